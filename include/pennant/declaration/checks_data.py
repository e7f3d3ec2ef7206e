"""Cross-field checks of sources, validation, spine and label."""

from collections.abc import Callable, Collection, Generator, Iterator
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pennant.declaration.document import Document
from pennant.declaration.expectations import COLUMN_ARGUMENTS, COLUMN_LIST_ARGUMENT, EXPECTATIONS
from pennant.declaration.expression import parse
from pennant.declaration.model_data import Address, ColumnGroup, DataUseCase, Expectation, KnownAt, Source
from pennant.declaration.problems import Field, Problem, nearest

Problems = Iterator[Problem]


def unknown(document: Document, path: Field, what: str, name: str, names: list[str]) -> Problem:
    """The problem of a name that leads nowhere."""
    allowed = ", ".join(names) or "none is declared"
    return document.problem(
        path, f"no such {what}", found=repr(name), allowed=allowed, near=nearest(name, names)
    )


def check_sources(use_case: DataUseCase, document: Document) -> Problems:
    for name, source in use_case.sources.items():
        path: Field = ("sources", name)
        yield from _address(source, path, document)
        if source.fallback is not None:
            yield from _address(source.fallback, (*path, "fallback"), document)
        yield from _event_time(source, path, document)
        owners: dict[str, str] = dict.fromkeys(source.key, "the key")
        owners |= dict.fromkeys(source.event_time.columns, "the event time")
        names = [*source.key, *(name for group in source.groups.values() for name in group.columns)]
        for number, column in enumerate(source.optional_columns):
            if column not in names or column in source.key:
                grouped = [name for name in names if name not in source.key]
                where = (*path, "optional_columns", number)
                yield unknown(document, where, "column of a group", column, grouped)
        for group_name, group in source.groups.items():
            here = (*path, "groups", group_name)
            yield from _known_at(group, here, document)
            for column in group.columns:
                if column in owners:
                    message = (
                        f"the column belongs to {owners[column]} already; it is known at one moment only"
                    )
                    found, allowed = repr(column), "a column of one group"
                    yield document.problem((*here, "columns", column), message, found=found, allowed=allowed)
                owners.setdefault(column, f"group {group_name}")


def _address(given: Address, path: Field, document: Document) -> Problems:
    """What every kind needs to be found; what a provider's own options are, its connector says."""
    kind = given.kind
    if kind in {"csv", "json", "parquet"} and given.url is None and given.path is None:
        message, allowed = f"a {kind} source needs an address", "url, path, or both"
        yield document.problem(path, message, found="neither url nor path", allowed=allowed)
    for name in ("connection", "sql") if kind == "sql" else ():
        if getattr(given, name) is None:
            message = "a source of kind sql needs a connection and a query"
            yield document.problem((*path, name), message, found="nothing", allowed=name)
    if kind != "sql" and given.sql is not None:
        message = f"a source of kind {kind} runs no query"
        yield document.problem((*path, "sql"), message, allowed="no sql, or kind: sql")
    for name in ("url", "path") if kind in {"simulation", "sql"} else ():
        if getattr(given, name) is not None:
            message = f"a source of kind {kind} has no such address: it would not be read"
            yield document.problem((*path, name), message, allowed="no url and no path")


def _event_time(source: Source, path: Field, document: Document) -> Problems:
    given, here = source.event_time, (*path, "event_time")
    try:
        ZoneInfo(given.time_zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        allowed = "a name of the IANA time zones, for example America/New_York or UTC"
        yield document.problem((*here, "time_zone"), "no such time zone", allowed=allowed)
    ways = {
        "fixed": given.fixed is not None,
        "start and unit_seconds": given.start is not None or given.unit_seconds is not None,
        "columns and format": bool(given.formats) or not (given.fixed or given.start or given.unit_seconds),
    }
    chosen = [name for name, is_chosen in ways.items() if is_chosen]
    if len(chosen) > 1:
        message = "an event time is said in one way"
        yield document.problem(here, message, found=" and ".join(chosen), allowed=" or ".join(ways))
        return
    yield from _ways[chosen[0]](source, here, document)
    if given.default_time is not None and len(given.columns) == 1 and not given.start:
        message = "a default time stands in for an empty time column, and there is none"
        allowed = "two columns, or no default_time"
        yield document.problem((*here, "default_time"), message, allowed=allowed)


def _dated(source: Source, here: Field, document: Document) -> Problems:
    given = source.event_time
    if not given.columns:
        yield document.problem((*here, "columns"), "no column says when it happens", allowed="one or two")
    if not given.formats:
        allowed = 'strptime codes, for example "%Y-%m-%d %H:%M"'
        yield document.problem((*here, "format"), "the field is missing", found="nothing", allowed=allowed)
    if any("%" not in each for each in given.formats):
        allowed = 'strptime codes, for example "%Y-%m-%d %H:%M"'
        yield document.problem((*here, "format"), "the format reads nothing", allowed=allowed)


def _counted(source: Source, here: Field, document: Document) -> Problems:
    given = source.event_time
    for name in ("start", "unit_seconds"):
        if getattr(given, name) is None:
            message = "counting needs the moment it starts from and the length of a unit"
            yield document.problem((*here, name), message, found="nothing", allowed="start and unit_seconds")
    if len(given.columns) != 1:
        found = f"{len(given.columns)} columns"
        yield document.problem((*here, "columns"), "one column counts", found=found, allowed="one column")


def _fixed(source: Source, here: Field, document: Document) -> Problems:
    if source.event_time.columns:
        message = "a table without dates reads no column for them"
        yield document.problem((*here, "columns"), message, allowed="no columns, or no fixed")


_ways: dict[str, Callable[[Source, Field, Document], Problems]] = {
    "fixed": _fixed,
    "start and unit_seconds": _counted,
    "columns and format": _dated,
}


def _known_at(group: ColumnGroup, path: Field, document: Document) -> Problems:
    rule, here = group.known_at, (*path, "known_at")
    if rule.rule != "column":
        if rule.column is not None:
            message = f"rule {rule.rule} counts hours and reads no column"
            yield document.problem((*here, "column"), message, allowed="no column, or rule: column")
        return
    if "hours" in rule.model_fields_set:
        message = "rule column reads the moment from the row and counts no hours"
        yield document.problem((*here, "hours"), message, allowed="no hours")
    moments = [name for name, kind in group.columns.items() if kind == "datetime"]
    if rule.column is None:
        allowed = "column: " + (" or ".join(moments) or "a datetime column of the group")
        yield document.problem(here, "rule column needs the name of a column", found="none", allowed=allowed)
    elif rule.column not in group.columns:
        yield unknown(document, (*here, "column"), "column in the group", rule.column, moments)
    elif rule.column not in moments:
        found = f"{rule.column!r} of type {group.columns[rule.column]}"
        yield document.problem(
            (*here, "column"), "no moment can be read", found=found, allowed="type datetime"
        )


def check_expectations(use_case: DataUseCase, document: Document) -> Problems:
    for number, each in enumerate(use_case.validation.expectations):
        path: Field = ("validation", "expectations", number)
        group = yield from _group(use_case, document, path, each.source, each.group)
        rule = EXPECTATIONS.get(each.expect)
        if rule is None:
            yield unknown(document, (*path, "expect"), "expectation", each.expect, sorted(EXPECTATIONS))
            continue
        if each.on_failure == "quarantine" and not rule.rows:
            message = f"{each.expect} judges the batch and cannot say which rows to set aside"
            yield document.problem((*path, "on_failure"), message, allowed="'stop' or 'warn'")
        yield from _arguments(each, path, document)
        if group is not None:
            columns = [*use_case.sources[each.source].key, *group.columns]
            yield from _columns(each, path, document, columns)


def _arguments(given: Expectation, path: Field, document: Document) -> Problems:
    rule, here = EXPECTATIONS[given.expect], (*path, "with")
    allowed = sorted(rule.arguments)
    for name in given.with_:
        if name not in rule.arguments:
            yield unknown(document, (*here, name), f"argument of {given.expect}", name, allowed)
    for name in sorted(rule.required - set(given.with_)):
        yield document.problem(
            (*here, name), f"{given.expect} needs {name}", found="nothing", allowed=", ".join(allowed)
        )
    if rule.bounds and not {"min_value", "max_value"} & set(given.with_):
        message = f"{given.expect} without a bound holds for anything"
        yield document.problem(here, message, found="no bound", allowed="min_value, max_value, or both")


def _columns(given: Expectation, path: Field, document: Document, columns: list[str]) -> Problems:
    for name in COLUMN_ARGUMENTS:
        value = given.with_.get(name)
        if name in given.with_ and value not in columns:
            where = (*path, "with", name)
            yield unknown(document, where, f"column in {given.source}.{given.group}", str(value), columns)
    listed = given.with_.get(COLUMN_LIST_ARGUMENT)
    for number, value in enumerate(listed if isinstance(listed, list) else []):
        if value not in columns:
            where = (*path, "with", COLUMN_LIST_ARGUMENT, number)
            yield unknown(document, where, f"column in {given.source}.{given.group}", str(value), columns)


def check_spine(use_case: DataUseCase, document: Document) -> Problems:
    spine, path = use_case.spine, ("spine",)
    group = yield from _group(use_case, document, path, spine.source, spine.group)
    if group is None:
        return
    columns = [*use_case.sources[spine.source].key, *group.columns]
    if spine.entity not in columns:
        where = f"column in {spine.source}.{spine.group}"
        yield unknown(document, (*path, "entity"), where, spine.entity, columns)
    rule = group.known_at
    if rule.rule == "after_event":
        message = "these rows are known only after the event: there is nothing left to predict"
        yield document.problem((*path, "group"), message, allowed="a group with rule before_event or column")
    elif rule.rule == "before_event" and rule.hours < spine.lead_hours:
        message = (
            f"the row itself is known {rule.hours:g} h before the event; "
            f"the prediction asks for it {spine.lead_hours:g} h before"
        )
        yield document.problem((*path, "lead_hours"), message, allowed=f"at most {rule.hours:g}")


def check_label(use_case: DataUseCase, document: Document) -> Problems:
    label, path = use_case.label, ("label",)
    group = yield from _group(use_case, document, path, label.source, label.group)
    if group is None:
        return
    key = use_case.sources[label.source].key
    entity = use_case.spine.entity
    if entity in spine_columns(use_case) and entity not in [*key, *group.columns]:
        message = f"a label needs the predicted entity {entity!r} in its rows"
        names = ", ".join([*key, *group.columns])
        yield document.problem((*path, "group"), message, allowed=f"a group with it; here are {names}")
    yield from _what(use_case, group, document)
    if label.drop_when is not None:
        yield from _expression(document, (*path, "drop_when"), label.drop_when, group, {}, alone=False)
    yield from _delay(document, (*path, "delay_hours"), label.delay_hours, group.known_at)


def spine_columns(use_case: DataUseCase) -> list[str]:
    """Columns of the predicted rows; none where the spine leads nowhere, which is a problem of its own."""
    source = use_case.sources.get(use_case.spine.source)
    group = source.groups.get(use_case.spine.group) if source else None
    return [*source.key, *group.columns] if source and group else []


def _what(use_case: DataUseCase, group: ColumnGroup, document: Document) -> Problems:
    """What is predicted has the form that the kind of the task asks for."""
    label, path, kind = use_case.label, ("label",), use_case.task
    wanted = {
        "expression": kind != "trajectory",
        "classes": kind == "multiclass",
        "path": kind == "trajectory",
    }
    for name, needed in wanted.items():
        given = bool(getattr(label, name))
        if given != needed:
            message = f"a task of kind {kind} {'needs' if needed else 'has no'} label.{name}"
            found = "nothing" if needed else "one"
            yield document.problem((*path, name), message, found=found, allowed=name if needed else "none")
    if label.expression and kind != "trajectory":
        numbers = {"int", "float", "bool"}
        kinds = {"str", "int"} if kind == "multiclass" else numbers
        yield from _expression(document, (*path, "expression"), label.expression, group, kinds)
    if label.path:
        here = (*path, "path", "columns")
        for number, name in enumerate(label.path.columns):
            if group.columns.get(name) != "float":
                columns = [each for each, of in group.columns.items() if of == "float"]
                yield unknown(document, (*here, number), "float column in the label's group", name, columns)
        names = [*use_case.sources[label.source].key, *group.columns]
        for number, name in enumerate(label.path.walker):
            if name not in names:
                yield unknown(document, (*path, "path", "walker", number), "column", name, names)


def _expression(
    document: Document, path: Field, text: str, group: ColumnGroup, kinds: Collection[str], alone: bool = True
) -> Problems:
    found = parse(text)
    if found is None or (found.operator is None and not alone):
        also = "one column, or " if alone else ""
        allowed = f"{also}a comparison as in `a > b` or `a >= 3`"
        yield document.problem(path, "not an expression that is read here", allowed=allowed)
        return
    for name in found.columns:
        if name not in group.columns:
            yield unknown(document, path, "column in the label's group", name, list(group.columns))
    of = {name: group.columns[name] for name in found.columns if name in group.columns}
    ordered = found.operator in {">", ">=", "<", "<="} or isinstance(found.right, float)
    allowed_kinds = {"int", "float", "bool"} if ordered else set(kinds)
    for name in [each for each in of if allowed_kinds and of[each] not in allowed_kinds]:
        message = (
            "a label is made of numbers" if "float" in allowed_kinds else "classes are texts or whole numbers"
        )
        allowed = ", ".join(sorted(allowed_kinds))
        yield document.problem(path, message, found=f"{name!r} of type {of[name]}", allowed=allowed)


def _delay(document: Document, path: Field, delay_hours: float, rule: KnownAt) -> Problems:
    if rule.rule == "before_event":
        message = "the label's group is known before its event: the label would leak into the features"
        yield document.problem(("label", "group"), message, allowed="a group with rule after_event or column")
    elif rule.rule == "after_event" and delay_hours < rule.hours:
        message = f"the label's columns are known only {rule.hours:g} h after the event"
        yield document.problem(path, message, allowed=f"at least {rule.hours:g}")


def _group(
    use_case: DataUseCase, document: Document, path: Field, source: str, group: str
) -> Generator[Problem, None, ColumnGroup | None]:
    """Yield the problem of a reference that leads nowhere; return the group it leads to."""
    if source not in use_case.sources:
        yield unknown(document, (*path, "source"), "source", source, list(use_case.sources))
        return None
    groups = use_case.sources[source].groups
    if group not in groups:
        yield unknown(document, (*path, "group"), f"group in source {source}", group, list(groups))
        return None
    return groups[group]


CHECKS = (check_sources, check_expectations, check_spine, check_label)
