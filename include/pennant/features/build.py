"""From versions on two clocks to one row of features per prediction."""

from collections.abc import Callable
from datetime import datetime, timedelta
from types import ModuleType

import polars as pl

from pennant.data.lake import Lake
from pennant.declaration.model import DataUseCase
from pennant.features.errors import FeaturesMismatch
from pennant.features.module import features_module
from pennant.features.tables import Tables, load_tables
from pennant.features.view import View, epochs
from pennant.reference import Window
from pennant.settings import Settings

BASELINE = "baseline__"
"""Prefix of the columns that baselines() gives, in snapshots and request rows."""
REQUEST_COLUMNS = ["entity", "event_time", "moment"]


def request_rows(
    use_case: DataUseCase, lake: Lake, settings: Settings, window: Window, lookahead_hours: float = 0.0
) -> pl.DataFrame:
    """Return features and baselines of the events in (window.start, window.as_of + lookahead].

    Returns:
        `entity`, `event_time`, `moment` (when the features were taken: `lead_hours` before the event, or
        `as_of` if that comes first), the declared features, and `baseline__<column>`; in order of
        event_time and entity. Events that nobody could know of at their moment are left out.
    """
    tables = load_tables(use_case, lake, window.as_of)
    until = window.as_of + timedelta(hours=lookahead_hours)
    requests = requests_of(use_case, tables, window.start, until, window.as_of)
    module = features_module(settings.use_cases / use_case.name)
    return feature_rows(use_case, module, tables, requests)


def requests_of(
    use_case: DataUseCase, tables: Tables, start: datetime, until: datetime, as_of: datetime
) -> pl.DataFrame:
    """Return the requests for the spine's events in (start, until], as known at `as_of`.

    Columns: `entity`, `event_time`, `moment`, `settled_at`, and the spine's columns as known at the
    moment. A row first known after its moment (a game entered late) makes no request: it could not have
    been predicted.
    """
    spine = use_case.spine
    versions = tables.versions(spine.source, spine.group)
    key = tables.keys[spine.source]
    newest = versions.unique(subset=key, keep="last", maintain_order=True)
    newest = newest.filter(pl.col("event_time") > start, pl.col("event_time") <= until)
    cap = pl.lit(as_of).dt.cast_time_unit("us")
    lead, delay = timedelta(hours=spine.lead_hours), timedelta(hours=use_case.label.delay_hours)
    asked = newest.select(
        *key,
        "event_time",
        moment=pl.min_horizontal(pl.col("event_time") - lead, cap),
        settled_at=pl.min_horizontal(pl.col("event_time") + delay, cap),
    ).sort("moment", *key)
    known = asked.join_asof(
        versions.drop("event_time", "batch_as_of"),
        left_on="moment",
        right_on="known_at",
        by=key,
        strategy="backward",
        check_sortedness=False,  # both sorted by the clock; polars cannot check it by group
        coalesce=False,
    ).filter(pl.col("known_at").is_not_null())
    known = known.drop("known_at").with_columns(pl.col(spine.entity).cast(pl.String).alias("entity"))
    doubled = known.filter(pl.col("entity").is_duplicated())["entity"].unique().sort().to_list()
    if doubled:
        raise FeaturesMismatch(use_case.name, "spine", "entity is not unique", doubled[:5], "one row each")
    first = ["entity", "event_time", "moment", "settled_at"]
    return known.select(*first, pl.exclude(first)).sort("event_time", "entity")


def feature_rows(
    use_case: DataUseCase, module: ModuleType, tables: Tables, requests: pl.DataFrame
) -> pl.DataFrame:
    """Run a use case's feature and baseline functions over requests, epoch by epoch.

    Raises:
        FeaturesMismatch: a function's columns or rows are not the declared ones.
        ClockViolation: a function asked for a value of the future.
    """
    label = (use_case.label.source, use_case.label.group)
    declared = list(use_case.features)
    baselines = baseline_columns(use_case)
    offered = [] if use_case.market is None else list(use_case.market.price_columns)
    parts = []
    for part in epochs(requests, tables.correction_moments()):
        made = _run(use_case, module.features, View(part, tables, label), declared)
        shown = _run(use_case, module.baselines, View(part, tables, label, settles=True), baselines)
        if offered:
            # A bet can be had at a price of its moment alone, whatever baselines() may know of later ones.
            then = View(part.with_columns(settled_at="moment"), tables, label, settles=True)
            shown = shown.with_columns(_run(use_case, module.baselines, then, baselines).select(offered))
        shown = shown.select(pl.col(name).alias(BASELINE + name) for name in baselines)
        parts.append(pl.concat([part.select(REQUEST_COLUMNS), made, shown], how="horizontal"))
    return pl.concat(parts).sort("event_time", "entity")


def baseline_columns(use_case: DataUseCase) -> list[str]:
    """Columns that baselines() has to give: those of the declared baselines, and the market's."""
    given = use_case.baselines.values()
    wanted = [name for each in given for name in ([each.column] if each.column else each.columns)]
    market = use_case.market
    if market is not None:
        wanted += [market.probability_column, *([market.line_column] if market.line_column else [])]
        wanted += [*market.price_columns, *market.closing_columns]
    return list(dict.fromkeys(wanted))


def _run(
    use_case: DataUseCase, function: Callable[[View], pl.DataFrame], view: View, columns: list[str]
) -> pl.DataFrame:
    """Call one function and hold what it gives against the declaration; floats, NaN as null."""
    name = function.__name__
    made = function(view)
    expected = ["entity", *columns]
    if sorted(made.columns) != sorted(expected):
        raise FeaturesMismatch(use_case.name, name, "gave other columns", made.columns, expected)
    asked = view.requests["entity"]
    if made.height != asked.len() or not made["entity"].equals(asked):
        made = _aligned(use_case, name, made, asked)
    floats = made.select(pl.col(each).cast(pl.Float64).fill_nan(None) for each in columns)
    endless = [each for each in columns if floats[each].is_infinite().any()]
    if endless:
        raise FeaturesMismatch(use_case.name, name, "gave infinite values", endless, "finite numbers or null")
    return floats


def _aligned(use_case: DataUseCase, name: str, made: pl.DataFrame, asked: pl.Series) -> pl.DataFrame:
    if made.height != asked.len() or set(made["entity"]) != set(asked):
        found = f"{made.height} rows of {made['entity'].n_unique()} entities"
        raise FeaturesMismatch(use_case.name, name, "gave other rows", found, f"{asked.len()} rows, one each")
    return asked.to_frame("entity").join(made, on="entity", how="left", maintain_order="left")
