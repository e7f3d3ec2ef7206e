"""Cross-field checks of sources, validation, spine and label."""

from collections.abc import Generator, Iterator
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pennant.declaration.document import Document
from pennant.declaration.expectations import COLUMN_ARGUMENTS, COLUMN_LIST_ARGUMENT, EXPECTATIONS
from pennant.declaration.expression import parse
from pennant.declaration.model import ColumnGroup, Expectation, KnownAt, Source, UseCase
from pennant.declaration.problems import Field, Problem, nearest

Problems = Iterator[Problem]


def unknown(document: Document, path: Field, what: str, name: str, names: list[str]) -> Problem:
    """The problem of a name that leads nowhere."""
    allowed = ", ".join(names) or "none is declared"
    return document.problem(
        path, f"no such {what}", found=repr(name), allowed=allowed, near=nearest(name, names)
    )


def check_sources(use_case: UseCase, document: Document) -> Problems:
    for name, source in use_case.sources.items():
        path: Field = ("sources", name)
        yield from _address(source, path, document)
        yield from _event_time(source, path, document)
        owners: dict[str, str] = dict.fromkeys(source.key, "the key")
        owners |= dict.fromkeys(source.event_time.columns, "the event time")
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


def _address(source: Source, path: Field, document: Document) -> Problems:
    given = [each for each in ("url", "path") if getattr(source, each) is not None]
    if source.kind == "csv" and not given:
        yield document.problem(
            path, "a csv source needs an address", found="neither url nor path", allowed="url, path, or both"
        )
    if source.kind == "simulation":
        for each in given:
            message = "a simulation serves itself; an address would not be read"
            yield document.problem((*path, each), message, allowed="no url and no path")


def _event_time(source: Source, path: Field, document: Document) -> Problems:
    given, here = source.event_time, (*path, "event_time")
    try:
        ZoneInfo(given.time_zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        allowed = "a name of the IANA time zones, for example America/New_York or UTC"
        yield document.problem((*here, "time_zone"), "no such time zone", allowed=allowed)
    if "%" not in given.format:
        allowed = 'strptime codes, for example "%Y-%m-%d %H:%M"'
        yield document.problem((*here, "format"), "the format reads nothing", allowed=allowed)
    if given.default_time is not None and len(given.columns) == 1:
        message = "a default time stands in for an empty time column, and there is none"
        allowed = "two columns, or no default_time"
        yield document.problem((*here, "default_time"), message, allowed=allowed)


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


def check_expectations(use_case: UseCase, document: Document) -> Problems:
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


def check_spine(use_case: UseCase, document: Document) -> Problems:
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


def check_label(use_case: UseCase, document: Document) -> Problems:
    label, path = use_case.label, ("label",)
    group = yield from _group(use_case, document, path, label.source, label.group)
    if group is None:
        return
    key = use_case.sources[label.source].key
    entity = use_case.spine.entity
    if entity in _spine_columns(use_case) and entity not in [*key, *group.columns]:
        message = f"a label needs the predicted entity {entity!r} in its rows"
        names = ", ".join([*key, *group.columns])
        yield document.problem((*path, "group"), message, allowed=f"a group with it; here are {names}")
    yield from _expression(document, (*path, "expression"), label.expression, ">", group)
    if label.drop_when is not None:
        yield from _expression(document, (*path, "drop_when"), label.drop_when, "==", group)
    yield from _delay(document, (*path, "delay_hours"), label.delay_hours, group.known_at)


def _spine_columns(use_case: UseCase) -> list[str]:
    """Columns of the predicted rows; none where the spine leads nowhere, which is a problem of its own."""
    source = use_case.sources.get(use_case.spine.source)
    group = source.groups.get(use_case.spine.group) if source else None
    return [*source.key, *group.columns] if source and group else []


def _expression(document: Document, path: Field, text: str, operator: str, group: ColumnGroup) -> Problems:
    found = parse(text)
    alone = operator == ">"
    if found is None or found.operator not in ({None, ">"} if alone else {"=="}):
        allowed = f"{'one column, or ' if alone else ''}two columns as in `a {operator} b`"
        yield document.problem(path, "not an expression that is read here", allowed=allowed)
        return
    for name in found.columns:
        if name not in group.columns:
            yield unknown(document, path, "column in the label's group", name, list(group.columns))
    kinds = {name: group.columns[name] for name in found.columns if name in group.columns}
    wrong = [name for name, kind in kinds.items() if kind not in {"int", "float", "bool"}]
    for name in wrong if operator == ">" else []:
        message = "a label is made of numbers"
        yield document.problem(
            path, message, found=f"{name!r} of type {kinds[name]}", allowed="int, float or bool"
        )


def _delay(document: Document, path: Field, delay_hours: float, rule: KnownAt) -> Problems:
    if rule.rule == "before_event":
        message = "the label's group is known before its event: the label would leak into the features"
        yield document.problem(("label", "group"), message, allowed="a group with rule after_event or column")
    elif rule.rule == "after_event" and delay_hours < rule.hours:
        message = f"the label's columns are known only {rule.hours:g} h after the event"
        yield document.problem(path, message, allowed=f"at least {rule.hours:g}")


def _group(
    use_case: UseCase, document: Document, path: Field, source: str, group: str
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
