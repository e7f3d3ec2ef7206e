"""Candidates for features, made from the declared columns alone: columns x windows x aggregations.

Whose past is looked at is read off the requests: a text column that names somebody again and again, or two
of them for two sides (`home_team` and `away_team`). Every source that has these columns gives its numbers.
All of it goes through `windows` and as-of joins: a candidate knows no more than a feature written by hand.

What is *not* tried: ratings, products of columns, and entities that only a join of two sources can name.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import zip_longest

import polars as pl

from pennant.declaration.model import DataUseCase
from pennant.features.blocks import day_of, last_played, sides
from pennant.features.tables import Group, Tables
from pennant.features.view import View
from pennant.features.windows import windows

LAST = (5, 10, 20)
"""Windows of so many events; the deviation is taken over the middle one."""
AGGREGATES = ("mean_5", "mean_20", "mean_all", "mean_10", "std_10", "trend")
"""`trend` is the mean of the last 5 less that of the last 20."""
FEWEST_ENTITIES = 8
FEWEST_EVENTS = 3
MOST_LEVELS = 12
REST = "rest_days"
NUMBERS = ("int", "float", "bool")
_PAIRS = (("home", "away"), ("Home", "Away"), ("H", "A"), ("1", "2"))


@dataclass(frozen=True)
class Subject:
    """Whom the requests name: one column, or one for each of two sides."""

    name: str
    asked: tuple[str, ...]


@dataclass(frozen=True)
class Pool:
    """The rows that tell of a subject: groups of one source, and what is counted in them.

    Attributes:
        subject: whose rows.
        source: where they are.
        groups: which of its groups have to be known.
        pairs: name of a number to its column of either side; empty for a subject without sides.
        plain: numbers that are the same for both sides, or all of them.
    """

    subject: Subject
    source: str
    groups: tuple[str, ...]
    pairs: dict[str, tuple[str, str]]
    plain: tuple[str, ...]

    @cached_property
    def name(self) -> str:
        """What its view is called."""
        return re.sub(r"\W+", "_", f"found_{self.subject.name}_{self.source}_{self.groups[-1]}").lower()

    def counted(self) -> list[str]:
        """The columns that windows go over."""
        names = [f"{name}{part}" for name in self.pairs for part in ("", "_against", "_lead")]
        return [*names, *self.plain]

    def rows(self, events: pl.DataFrame) -> pl.DataFrame:
        """The events by subject: `entity`, `known_at`, `event_time` and the counted columns."""
        if len(self.subject.asked) == 1:
            values = [pl.col(name).cast(pl.Float64) for name in self.plain]
            [who] = self.subject.asked
            named = events.filter(pl.col(who).is_not_null())
            return named.select(pl.col(who).alias("entity"), "known_at", "event_time", *values)
        both = self.pairs | {name: (name, name) for name in self.plain}
        made = sides(events, both, *self.subject.asked).filter(pl.col("entity").is_not_null())
        leads = [(pl.col(name) - pl.col(f"{name}_against")).alias(f"{name}_lead") for name in self.pairs]
        return made.with_columns(leads)


@dataclass(frozen=True)
class Candidate:
    """One column that could be a feature.

    Attributes:
        name: what it would be called.
        form: `value`; of two sides `difference` (first less second) or `total`; `level` for a text.
        pool: whose window it is; None for a value of the request's own row.
        column: the number that is counted, `rest_days`, or the own row's column (of either side).
        aggregate: one of `AGGREGATES`; "" for rest and own values.
        source: of the own row's column.
        group: of the own row's column.
        level: the text that is flagged.
    """

    name: str
    form: str
    pool: Pool | None
    column: str | tuple[str, ...]
    aggregate: str = ""
    source: str = ""
    group: str = ""
    level: str = ""

    @property
    def words(self) -> str:
        """What it is, for people; it becomes the feature's `unit`."""
        what = self.column if isinstance(self.column, str) else " and ".join(self.column)
        if self.level:
            return f"flag: {what} is {self.level}"
        of = {"difference": ", first side less second", "total": ", both sides together"}.get(self.form, "")
        if self.column == REST:
            return f"days since the last event{of}"
        span = {"mean_all": "mean so far of", "trend": "mean of the last 5 less of the last 20 of"}
        stat, _, rows = self.aggregate.partition("_")
        long = {"mean": "mean", "std": "deviation"}.get(stat, stat)
        how = span.get(self.aggregate) or (f"{long} of the last {rows} of" if self.aggregate else "")
        return f"{how} {what}{of}".strip()


def candidates(use_case: DataUseCase, tables: Tables, most: int) -> tuple[list[Candidate], int]:
    """All candidates of a use case, at most `most`, and how many there would be.

    Where there are more, every column keeps its first ones: none is left out for its place in the alphabet.
    """
    pools = list(_pools(use_case, tables))
    own = list(_own(use_case, tables))
    by_column = [list(_of_column(pool, column)) for pool in pools for column in pool.counted()]
    rested = [list(_rested(pool)) for pool in _one_each(pools)]
    turns = zip_longest(*([each] for each in own), *rested, *by_column)
    ordered = {each.name: each for turn in turns for each in turn if each is not None}
    return list(ordered.values())[:most], len(ordered)


def columns_of(view: View, wanted: Iterable[Candidate]) -> pl.DataFrame:
    """The candidates' values for each request of a view, in their order; null where nothing was known."""
    chosen = list(wanted)
    by_pool: dict[str, dict[str, list[pl.Series]]] = {}
    made: dict[str, pl.Series] = {}
    for each in chosen:
        if each.pool is None:
            made[each.name] = _own_value(view, each)
            continue
        pool = each.pool
        if pool.name not in by_pool:
            by_pool[pool.name] = _joined(view, pool)
        made[each.name] = _formed(each.form, _aggregated(by_pool[pool.name], each))
    return pl.DataFrame({name: values.cast(pl.Float64).fill_nan(None) for name, values in made.items()})


def _joined(view: View, pool: Pool) -> dict[str, list[pl.Series]]:
    """Each window of a pool as known at the requests' moments, one series per side."""
    rows = pool.rows(view.events(pool.source, *pool.groups))
    timeline = windows(
        rows, pool.counted(), last=LAST, stats=("mean", "std"), expanding=("mean",), dtype=pl.Float64
    )
    values = [name for name in timeline.columns if name not in ("entity", "known_at", "event_time")]
    found = [view.asof(who, timeline, *values) for who in pool.subject.asked]
    joined = {name: [each[name] for each in found] for name in values}
    last = last_played(rows)
    start = view.requests.select(day_of("event_time")).to_series()
    joined[REST] = [start - view.asof(who, last)["value"] for who in pool.subject.asked]
    return joined


def _aggregated(joined: dict[str, list[pl.Series]], each: Candidate) -> list[pl.Series]:
    if each.column == REST:
        return joined[REST]
    if each.aggregate == "trend":
        short, long = joined[f"{each.column}_mean_5"], joined[f"{each.column}_mean_20"]
        return [new - old for new, old in zip(short, long, strict=True)]
    return joined[f"{each.column}_{each.aggregate}"]


def _own_value(view: View, each: Candidate) -> pl.Series:
    columns = (each.column,) if isinstance(each.column, str) else each.column
    found = view.own(each.source, each.group, *columns)
    if each.form == "level":
        return (found[columns[0]] == each.level).cast(pl.Float64)
    return _formed(each.form, [found[name].cast(pl.Float64) for name in columns])


def _formed(form: str, parts: list[pl.Series]) -> pl.Series:
    if form == "difference":
        return parts[0] - parts[1]
    return parts[0] + parts[1] if form == "total" else parts[0]


def _of_column(pool: Pool, column: str) -> Iterator[Candidate]:
    forms = ["value"] if len(pool.subject.asked) == 1 else ["difference", "total"]
    if column.endswith("_lead") and pool.pairs:
        forms = ["difference"]  # what one side leads by, the other trails by: their total says nothing
    for aggregate in AGGREGATES:
        for form in forms:
            name = _name(pool.subject.name if form == "value" else "", column, aggregate, _ending(form))
            yield Candidate(name, form, pool, column, aggregate)


def _rested(pool: Pool) -> Iterator[Candidate]:
    form = "value" if len(pool.subject.asked) == 1 else "difference"
    yield Candidate(_name(pool.subject.name, REST, _ending(form)), form, pool, REST)


def _own(use_case: DataUseCase, tables: Tables) -> Iterator[Candidate]:
    """Values of the request's own row that are known by its moment: those of groups known before events."""
    source = use_case.sources[use_case.spine.source]
    label = (use_case.label.source, use_case.label.group)
    for group, declared in source.groups.items():
        if (use_case.spine.source, group) == label or declared.known_at.rule == "after_event":
            continue
        kinds = {name: kind for name, kind in declared.columns.items() if name not in source.key}
        place = {"source": use_case.spine.source, "group": group}
        pairs, plain = _paired([name for name, kind in kinds.items() if kind in NUMBERS])
        for name, both in pairs.items():
            for form in ("difference", "total"):
                yield Candidate(_name("own", name, form), form, None, both, **place)
        for name in plain:
            yield Candidate(_name("own", name), "value", None, name, **place)
        frame = tables.versions(use_case.spine.source, group)
        for name in (name for name, kind in kinds.items() if kind == "str"):
            levels = frame[name].drop_nulls().unique().sort()
            if 2 <= len(levels) <= MOST_LEVELS:
                for level in levels if len(levels) > 2 else levels[1:]:
                    flag = _name("own", name, "is", level)
                    yield Candidate(flag, "level", None, name, **place, level=level)


def _pools(use_case: DataUseCase, tables: Tables) -> Iterator[Pool]:
    for subject in _subjects(use_case, tables):
        for source, declared in use_case.sources.items():
            holders = _holders(use_case, source, subject)
            for group, columns in declared.groups.items() if holders else ():
                kinds = {name: kind for name, kind in columns.columns.items() if name not in declared.key}
                numbers = [name for name, kind in kinds.items() if kind in NUMBERS]
                pairs, plain = _paired(numbers) if len(subject.asked) == 2 else ({}, numbers)
                if numbers and (source, group) != (use_case.spine.source, use_case.spine.group):
                    groups = tuple(dict.fromkeys([*holders, group]))
                    yield Pool(subject, source, groups, pairs, tuple(plain))


def _holders(use_case: DataUseCase, source: str, subject: Subject) -> list[str]:
    """Groups of a source that name the subject; empty unless all of its columns are there."""
    groups = use_case.sources[source].groups
    by_column = [
        [name for name, each in groups.items() if column in each.columns] for column in subject.asked
    ]
    return list(dict.fromkeys(names[0] for names in by_column)) if all(by_column) else []


def _subjects(use_case: DataUseCase, tables: Tables) -> list[Subject]:
    """Whom the spine names again and again; names that go together one to one count once."""
    spine: Group = (use_case.spine.source, use_case.spine.group)
    declared = use_case.sources[spine[0]].groups[spine[1]].columns
    frame = tables.versions(*spine)
    texts = [name for name, kind in declared.items() if kind == "str" and name != use_case.spine.entity]
    found: list[Subject] = []
    pairs, plain = _paired(texts)
    for name, (first, second) in pairs.items():
        both = [frame.select(pl.col(side).alias("who"), "event_time") for side in (first, second)]
        if _repeats(pl.concat(both), "who", fewest=2):
            found.append(Subject(name, (first, second)))
    for name in plain:
        twin = any(_one_to_one(frame, name, each.asked[0]) for each in found if len(each.asked) == 1)
        if not twin and _repeats(frame, name, FEWEST_ENTITIES):
            found.append(Subject(name, (name,)))
    return found


def _repeats(frame: pl.DataFrame, column: str, fewest: int) -> bool:
    times = frame.select(column, "event_time").drop_nulls().unique()
    entities = times[column].n_unique()
    return entities >= fewest and times.height >= FEWEST_EVENTS * entities


def _one_to_one(frame: pl.DataFrame, first: str, second: str) -> bool:
    """Whether two columns name the same: an id and a name, but for one in twenty."""
    together = frame.select(first, second).drop_nulls().unique().height
    fewer = min(frame[name].drop_nulls().n_unique() for name in (first, second))
    return together <= 1.05 * fewer


def _paired(names: list[str]) -> tuple[dict[str, tuple[str, str]], list[str]]:
    """Columns of two sides under the name that they share, and the others."""
    pairs: dict[str, tuple[str, str]] = {}
    taken: set[str] = set()
    for name in names:
        if name in taken:
            continue
        for first, second in _PAIRS:
            places = [each.start() for each in re.finditer(re.escape(first), name)]
            others = [name[:at] + second + name[at + len(first) :] for at in places]
            match = next((each for each in others if each in names and each not in taken), None)
            if match is not None:
                at = places[others.index(match)]
                short = (name[:at] + name[at + len(first) :]).strip("_")
                pairs[short if short and short not in pairs and short not in names else name] = (name, match)
                taken |= {name, match}
                break
    return pairs, [name for name in names if name not in taken]


def _one_each(pools: list[Pool]) -> list[Pool]:
    """The first pool of each subject and source: rest is the same in all of them."""
    return list({(each.subject, each.source): each for each in reversed(pools)}.values())[::-1]


def _ending(form: str) -> str:
    return "" if form == "value" else form


def _name(*parts: str) -> str:
    return re.sub(r"\W+", "_", "_".join(part for part in parts if part)).strip("_").lower()
