"""Views of windows, continued: from where a build ended, by what has become known since.

Kept are each entity's running sums and last rows. They hold as long as what was known then, the declaration
and the code are the same, and no value of those days was corrected since; hashes say so, each time, and where
they do not, the view is built of everything.
"""

from dataclasses import dataclass
from datetime import UTC, datetime

import polars as pl

from pennant.data.kept import keep, kept
from pennant.data.lake import Lake
from pennant.declaration.model import DataUseCase
from pennant.features.reuse import inputs_at, making
from pennant.features.tables import Group, Tables
from pennant.features.views import FeatureView, Known
from pennant.features.windows import State, Windows

_TAIL = "_tail"
_OWN = ("entity", "newest", "rank")


@dataclass(frozen=True)
class End:
    """Where a build ended.

    Attributes:
        state: the entities' running sums and last rows.
        until: the `as_of` of the build.
        published: the newest `as_of` at which there was anything to publish.
    """

    state: State
    until: datetime
    published: datetime


@dataclass(frozen=True)
class Newer:
    """What a view has learned since its last end.

    Attributes:
        timeline: the rows known since; all rows where there is no end to continue from.
        before: the end that was continued from.
        end: the new end, to be kept once the timeline is where it belongs; None for a run of an earlier
            moment than the kept end, which is not its business.
    """

    timeline: pl.DataFrame
    before: End | None
    end: End | None


def newer(
    use_case: DataUseCase,
    lake: Lake,
    code: str,
    declared: FeatureView,
    spec: Windows,
    tables: Tables,
    as_of: datetime,
) -> Newer:
    """What a view of windows (`spec`) has learned by `as_of`; see `Newer`."""
    groups, known = _groups(declared), Known(tables, as_of)
    found = kept(lake, _place(use_case, declared), making(use_case, code))
    if found is not None:
        before, inputs = _end(*found), found[1]["inputs"]
        if before.until > as_of:
            return Newer(declared.timeline(known), None, None)
        if _holds(inputs, tables, groups, before.until, as_of):
            rows = declared.rows(Known(tables, as_of, since=before.until))
            timeline, state = spec.extended(before.state, rows)
            published = as_of if timeline.height else before.published
            return Newer(timeline, before, End(state, as_of, published))
    timeline, begun = spec.begun(declared.rows(known))
    return Newer(timeline, None, None if begun is None else End(begun, as_of, as_of))


def keep_end(
    use_case: DataUseCase, lake: Lake, code: str, declared: FeatureView, tables: Tables, end: End
) -> None:
    """Let the next build go on from here."""
    told = {
        "until": end.until.astimezone(UTC).isoformat(),
        "published": end.published.astimezone(UTC).isoformat(),
        "inputs": inputs_at(tables, end.until, _groups(declared)),
    }
    totals = {name: State.MARK + name for name in end.state.entities.columns if name not in _OWN}
    parts = [end.state.entities.rename(totals), end.state.tail]
    marked = [
        part.with_columns(pl.lit(each).alias(_TAIL)) for part, each in zip(parts, (False, True), strict=True)
    ]
    both = pl.concat(marked, how="diagonal")
    keep(lake, _place(use_case, declared), making(use_case, code), both, told)


def _place(use_case: DataUseCase, declared: FeatureView) -> str:
    return f"windows/{use_case.name}/{declared.name}"


def _groups(declared: FeatureView) -> list[Group]:
    pairs = (each.split(".", 1) for each in declared.reads)
    return [(source, group) for source, group in pairs]


def _holds(
    inputs: dict[str, str], tables: Tables, groups: list[Group], until: datetime, as_of: datetime
) -> bool:
    corrected = any(until < moment <= as_of for moment in tables.correction_moments(groups))
    return not corrected and inputs == inputs_at(tables, until, groups)


def _end(rows: pl.DataFrame, told: dict[str, str]) -> End:
    totals = [name for name in rows.columns if name.startswith(State.MARK)]
    named = (pl.col(name).alias(name.removeprefix(State.MARK)) for name in totals)
    entities = rows.filter(~pl.col(_TAIL)).select(*_OWN, *named)
    tail = rows.filter(_TAIL).drop(_TAIL, "newest", "rank", *totals)
    until, published = (datetime.fromisoformat(told[name]) for name in ("until", "published"))
    return End(State(entities, tail), until, published)
