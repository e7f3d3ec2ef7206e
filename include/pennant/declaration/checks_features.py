"""Cross-field checks of features, split, baselines, market and identities."""

from collections.abc import Iterator

from pennant.declaration.checks_data import spine_columns, unknown
from pennant.declaration.document import Document
from pennant.declaration.model_data import Baseline, DataUseCase
from pennant.declaration.problems import Field, Problem

Problems = Iterator[Problem]


def check_features(use_case: DataUseCase, document: Document) -> Problems:
    for name, feature in use_case.features.items():
        if feature.low >= feature.high:
            allowed = f"more than low ({feature.low:g})"
            yield document.problem(("features", name, "high"), "the range is empty", allowed=allowed)


def check_split(use_case: DataUseCase, document: Document) -> Problems:
    split, delay = use_case.split, use_case.label.delay_hours
    if split.fresh_days >= split.history_days:
        message = "the fresh rows take the whole history: none would be left to train on"
        allowed = f"less than history_days ({split.history_days})"
        yield document.problem(("split", "fresh_days"), message, allowed=allowed)
    if split.fresh_share is not None and split.groups != "entity":
        message = "entities can only be drawn where their order in time says nothing"
        yield document.problem(("split", "fresh_share"), message, allowed="groups: entity, or no fresh_share")
    columns = spine_columns(use_case)
    for field, name in (("groups", split.groups), ("clusters", split.clusters)):
        if name is not None and columns and name not in [*columns, "entity"]:
            yield unknown(document, ("split", field), "column of the spine", name, sorted(columns))
    if split.embargo_hours < delay:
        message = "a training row's label would still be unknown when the next fold begins"
        yield document.problem(
            ("split", "embargo_hours"), message, allowed=f"at least label.delay_hours ({delay:g})"
        )


_TAKEN = ("challenger", "champion", "model", "entity", "event_time", "label")
"""What forecasts of models, and columns of kept scores, are called beside those of the baselines."""


def check_baselines(use_case: DataUseCase, document: Document) -> Problems:
    for name, baseline in use_case.baselines.items():
        path = ("baselines", name)
        if name in _TAKEN or name.startswith(("challenger_", "champion_")):
            allowed = (
                f"another name than {', '.join(_TAKEN)}, or one that begins with challenger_ or champion_"
            )
            yield document.problem(path, "the name stands for something else", found=name, allowed=allowed)
        given = baseline.column is not None or bool(baseline.columns)
        if baseline.kind == "column" and not given:
            message = "a baseline of kind column needs the name of its column"
            allowed = "a column of features.py"
            yield document.problem((*path, "column"), message, found="nothing", allowed=allowed)
        if baseline.kind == "base_rate" and given:
            field = "column" if baseline.column is not None else "columns"
            message = "base_rate is the mean label and reads no column"
            yield document.problem((*path, field), message, allowed="no column, or kind: column")
        yield from _class_columns(use_case, baseline, path, document)
    if not any(each.required for each in use_case.baselines.values()):
        message = "no baseline is required: the first champion would have nothing to beat"
        yield document.problem(
            ("baselines",), message, found="required: false in all", allowed="one required"
        )


def _class_columns(use_case: DataUseCase, baseline: Baseline, path: Field, document: Document) -> Problems:
    several = use_case.task == "multiclass"
    if baseline.columns and use_case.task not in {"multiclass", "trajectory"}:
        message = f"a task of kind {use_case.task} has one number per row"
        yield document.problem((*path, "columns"), message, allowed="column")
    if several and baseline.column is not None:
        message = "a multiclass forecast is one probability per class"
        yield document.problem((*path, "column"), message, allowed="columns, one per class")
    if several and baseline.columns and len(baseline.columns) != len(use_case.label.classes):
        found = f"{len(baseline.columns)} columns"
        allowed = f"one for each of {', '.join(use_case.label.classes)}"
        yield document.problem((*path, "columns"), "one column per class", found=found, allowed=allowed)


def check_prices(use_case: DataUseCase, document: Document) -> Problems:
    market = use_case.market
    if market is None:
        return
    outcomes = len(use_case.label.classes) if use_case.task == "multiclass" else 2
    for name in ("price_columns", "closing_columns"):
        found = len(getattr(market, name))
        if found not in {0, outcomes}:
            message = "a market has a price for each outcome"
            allowed = f"{outcomes} columns, or none"
            yield document.problem(("market", name), message, found=f"{found} columns", allowed=allowed)
    if market.closing_columns and not market.price_columns:
        message = "closing prices measure the prices of bets"
        yield document.problem(("market", "closing_columns"), message, allowed="price_columns beside them")
    if market.price_columns and use_case.task == "count" and market.line_column is None:
        message = "over and under are about a line"
        yield document.problem(("market", "price_columns"), message, allowed="line_column beside them")


def check_market(use_case: DataUseCase, document: Document) -> Problems:
    # At a line the market's chance is no forecast of the count: it is no baseline's column.
    if use_case.market is None or use_case.market.line_column is not None:
        return
    columns = [each.column for each in use_case.baselines.values() if each.column is not None]
    columns += [name for each in use_case.baselines.values() for name in each.columns]
    name = use_case.market.probability_column
    if name not in columns:
        yield unknown(document, ("market", "probability_column"), "column of a baseline", name, columns)


def check_identities(use_case: DataUseCase, document: Document) -> Problems:
    for table, identities in use_case.identities.items():
        canonical = set(identities)
        for name, aliases in identities.items():
            for number, alias in enumerate(aliases):
                path: Field = ("identities", table, name, number)
                if alias.name in canonical and alias.since is None and alias.until is None:
                    message = "the alias is an identity of its own"
                    allowed = "another name, or an alias for a time (since, until)"
                    yield document.problem(path, message, found=repr(alias.name), allowed=allowed)
                if alias.since is not None and alias.until is not None and alias.since >= alias.until:
                    yield document.problem(
                        (*path, "until"), "the alias is never in force", allowed="after since"
                    )
    for source, declared in use_case.sources.items():
        kinds = {name: kind for each in declared.groups.values() for name, kind in each.columns.items()}
        kinds |= dict.fromkeys(declared.key, "str")
        for column, table in declared.identities.items():
            path = ("sources", source, "identities", column)
            if table not in use_case.identities:
                yield unknown(document, path, "table of identities", table, list(use_case.identities))
            if kinds.get(column) != "str":
                names = [name for name, kind in kinds.items() if kind == "str"]
                yield unknown(document, path, "text column of the source", column, names)


CHECKS = (check_features, check_split, check_baselines, check_market, check_prices, check_identities)
