"""How fast declared views are: 81 features of player-game rows, against pandas and hand-written Polars.

Each way runs in a process of its own, interleaved; its wall time and peak memory are told as JSON lines, and
ratios of their medians. The tables are made and sorted by time before the clock starts, for all alike.

    python benchmarks/features.py                     # 2,000,000 rows, 3 rounds
    python benchmarks/features.py --rows 200000 --rounds 5
    python benchmarks/features.py --curve             # 200 thousand to 10 million rows, Pennant only
    python benchmarks/features.py --increment         # one more day, bit for bit, against a full build
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

if TYPE_CHECKING:
    from pennant.features.tables import Tables
    from pennant.features.views import FeatureView

STATISTICS = [f"s{number}" for number in range(10)]
LAST = (5, 10, 20)
TEAM_GAMES = 10
PLAYERS_PER_TEAM = 20
START = datetime(2000, 1, 1, 18, tzinfo=UTC)


def table(rows: int, seed: int = 7) -> pl.DataFrame:
    """Player-game rows in the order of time: every team plays every second day, all its players each time."""
    teams = 2 * max(10, min(100, rows // 20_000))
    per_day = teams * PLAYERS_PER_TEAM
    days = max(rows // per_day, 1)
    stream = np.random.default_rng(seed)
    opponents = np.empty((days, teams), dtype=np.int32)
    for day in range(days):
        order = stream.permutation(teams)
        opponents[day, order[0::2]], opponents[day, order[1::2]] = order[1::2], order[0::2]
    team = np.tile(np.repeat(np.arange(teams, dtype=np.int32), PLAYERS_PER_TEAM), days)
    day = np.repeat(np.arange(days), per_day)
    size = len(team)
    player = np.tile(np.arange(per_day, dtype=np.int32), days)
    begins = np.datetime64(START.replace(tzinfo=None), "us") + (day * 2).astype("timedelta64[D]")
    return pl.DataFrame(
        {
            "row": np.arange(size, dtype=np.int32),
            "player": player,
            "team": team,
            "opponent": opponents[day, team],
            "event_time": pl.Series(begins).dt.replace_time_zone("UTC"),
            **{name: stream.gamma(2.0, 10.0, size) for name in STATISTICS},
        }
    )


def by_pandas(games: pl.DataFrame) -> int:
    import pandas as pd

    frame = games.to_pandas().sort_values(["player", "event_time"], kind="stable")
    grouped = frame.groupby("player", sort=False)
    made: dict[str, pd.Series] = {}
    for name in STATISTICS:
        before = grouped[name].shift(1)
        by = before.groupby(frame["player"], sort=False)
        for last in LAST:
            rolling = by.rolling(last, min_periods=1)
            made[f"{name}_mean_{last}"] = rolling.mean().droplevel(0)
            made[f"{name}_std_{last}"] = rolling.std().droplevel(0)
        made[f"{name}_mean_all"] = by.expanding(min_periods=1).mean().droplevel(0)
    made["rest"] = grouped["event_time"].diff().dt.total_seconds() / 86_400
    allowed = frame.groupby(["opponent", "event_time"], as_index=False)[STATISTICS].sum()
    allowed = allowed.sort_values(["opponent", "event_time"])
    held = allowed.groupby("opponent", sort=False)[STATISTICS]
    mean = held.transform(lambda each: each.shift(1).rolling(TEAM_GAMES, min_periods=1).mean())
    allowed[[f"allowed_{name}" for name in STATISTICS]] = mean
    joined = frame.assign(**made).merge(
        allowed.drop(columns=STATISTICS), on=["opponent", "event_time"], how="left"
    )
    return len([name for name in joined.columns if ("_" in name and name != "event_time") or name == "rest"])


def by_polars(games: pl.DataFrame) -> int:
    expressions = []
    for name in STATISTICS:
        before = pl.col(name).shift(1)
        for last in LAST:
            expressions.append(
                before.rolling_mean(last, min_samples=1).over("player").alias(f"{name}_mean_{last}")
            )
            expressions.append(
                before.rolling_std(last, min_samples=2).over("player").alias(f"{name}_std_{last}")
            )
        mean = before.cum_sum() / before.cum_count()
        expressions.append(mean.over("player").alias(f"{name}_mean_all"))
    rest = pl.col("event_time").diff().dt.total_seconds() / 86_400
    expressions.append(rest.over("player").alias("rest"))
    lazy = games.lazy().sort("player", "event_time")
    allowed = (
        games.lazy()
        .group_by("opponent", "event_time")
        .agg(pl.col(STATISTICS).sum())
        .sort("opponent", "event_time")
        .with_columns(
            pl.col(name)
            .shift(1)
            .rolling_mean(TEAM_GAMES, min_samples=1)
            .over("opponent")
            .alias(f"allowed_{name}")
            for name in STATISTICS
        )
        .drop(STATISTICS)
    )
    made = lazy.with_columns(expressions).join(allowed, on=["opponent", "event_time"], how="left").collect()
    return len([name for name in made.columns if ("_" in name and name != "event_time") or name == "rest"])


def tables_of(games: pl.DataFrame) -> "Tables":
    """The rows as versions on two clocks: a game is known four hours after it began."""
    from pennant.features.tables import Tables

    known = pl.col("event_time") + timedelta(hours=4)
    return Tables(
        {("games", "result"): games.with_columns(known_at=known, batch_as_of=known)}, {"games": ["row"]}
    )


def views() -> "tuple[FeatureView, FeatureView]":
    """A player's form, and what a team has allowed: two declared views of windows."""
    from pennant.features.views import Known, feature_view
    from pennant.features.windows import Windows

    mine = Windows(tuple(STATISTICS), LAST, ("mean", "std"), ("mean",))
    theirs = Windows(tuple(STATISTICS), (TEAM_GAMES,))

    @feature_view(entity="player", reads=["games.result"], fresh_hours=240, windows=mine)
    def form(known: Known) -> pl.DataFrame:
        return known.events("games", "result").with_columns(pl.col("player").alias("entity"))

    @feature_view(entity="team", reads=["games.result"], fresh_hours=240, windows=theirs)
    def allowed(known: Known) -> pl.DataFrame:
        rows = known.events("games", "result")
        against = rows.group_by("opponent", "known_at", "event_time").agg(pl.col(STATISTICS).sum())
        return against.rename({"opponent": "entity"})

    return form, allowed


def by_pennant(games: pl.DataFrame) -> int:
    """Declared views, joined as of each request's moment: nothing here knows that it is measured."""
    from pennant.features.blocks import day_of
    from pennant.features.view import View

    form, allowed = views()
    requests = games.select("row", "player", "opponent", "event_time", moment="event_time")
    view = View(requests, tables_of(games), ("games", "result"))
    mine, theirs = view.join("player", form), view.join("opponent", allowed)
    last = view.join("player", form, "event_time").select(day_of("event_time").alias("last"))["last"]
    rest = requests.select(day_of("event_time").alias("now"))["now"] - last
    made = mine.with_columns(rest=rest).hstack(theirs.rename(lambda name: f"allowed_{name}"))
    return made.width


WAYS: dict[str, Callable[[pl.DataFrame], int]] = {
    "pandas": by_pandas,
    "polars": by_polars,
    "pennant": by_pennant,
}


def measure(way: str, rows: int) -> dict[str, float]:
    """Run one way once, in this process."""
    games = table(rows)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.perf_counter()
    width = WAYS[way](games)
    seconds = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {"seconds": seconds, "peak_mb": peak / 1024, "before_mb": before / 1024, "features": width}


def increment(rows: int) -> dict[str, float]:
    """Publish all rows but the last day's, go on by that day; and build everything, for the ratio.

    The day's time has everything that a run of the schedule does beside loading and the database: looking
    for the end of the last run, checking by hash that it still holds, and keeping the new end.
    """
    import tempfile

    from pennant.data.lake import Lake
    from pennant.declaration.loader import load
    from pennant.features.continued import keep_end, newer
    from pennant.features.views import Known
    from pennant.settings import Settings

    use_case = load(Settings.load().use_cases / "league_demo")  # names the place in the lake, nothing else
    games = table(rows)
    last = games["event_time"].max()
    assert isinstance(last, datetime)
    tables = tables_of(games)
    end, middle = last + timedelta(hours=4), last - timedelta(hours=1)
    seconds: dict[str, float] = {"rows": games.filter(pl.col("event_time") == last).height}
    with tempfile.TemporaryDirectory() as folder:
        lake = Lake(f"file://{folder}")
        for at, name in ((middle, "before"), (end, "day")):
            began = time.perf_counter()
            for view in views():
                assert view.windows is not None
                found = newer(use_case, lake, "", view, view.windows, tables, at)
                assert found.end is not None
                keep_end(use_case, lake, "", view, tables, found.end)
                if name == "day":
                    assert found.before is not None
                    seconds[view.name] = found.timeline.height
            seconds[name] = time.perf_counter() - began
    alone = numbers_alone(tables, middle, end)
    began = time.perf_counter()
    for view in views():
        whole = view.timeline(Known(tables, end))
        assert whole.filter(pl.col("event_time") == last).height == seconds[view.name]
    seconds["views"] = time.perf_counter() - began
    fresh = table(rows)
    began = time.perf_counter()
    by_pennant(fresh)
    return {**seconds, "full": time.perf_counter() - began, "windows": alone}


def numbers_alone(tables: "Tables", middle: datetime, end: datetime) -> float:
    """Seconds for the day's numbers alone, with each view's end at hand."""
    from pennant.features.views import Known

    seconds = 0.0
    for view in views():
        assert view.windows is not None
        _, state = view.windows.begun(view.rows(Known(tables, middle)))
        assert state is not None
        began = time.perf_counter()
        view.windows.extended(state, view.rows(Known(tables, end, since=middle)))
        seconds += time.perf_counter() - began
    return seconds


def apart(way: str, rows: int) -> dict[str, float]:
    """Run one way once, in a process of its own."""
    command = [sys.executable, __file__, "--measure", way, "--rows", str(rows)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def tell(figure: str, value: float, unit: str, n: int) -> None:
    print(json.dumps({"figure": figure, "value": round(value, 4), "unit": unit, "n": n}), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--curve", action="store_true", help="Pennant alone, at 0.2, 0.5, 1, 2, 5, 10 million rows"
    )
    parser.add_argument("--increment", action="store_true", help="One more day, and a build of everything")
    parser.add_argument("--measure", choices=WAYS, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.measure:
        print(json.dumps(measure(given.measure, given.rows)))
        return
    if given.increment:
        each = increment(given.rows)
        tell(f"one day of {each['rows']:g} rows on {given.rows}", each["day"], "s", 1)
        tell("the day's numbers alone", each["windows"], "s", 1)
        tell(
            "the day's numbers alone to a full build of the 81 features",
            each["windows"] / each["full"],
            "ratio",
            1,
        )
        tell("one day to a build of the two views", each["day"] / each["views"], "ratio", 1)
        tell("one day to a full build of the 81 features", each["day"] / each["full"], "ratio", 1)
        return
    if given.curve:
        for millions in (0.2, 0.5, 1, 2, 5, 10):
            each = apart("pennant", int(millions * 1e6))
            tell(f"pennant, {millions:g} million rows", each["seconds"], "s", 1)
            tell(f"pennant, {millions:g} million rows, per million", each["seconds"] / millions, "s", 1)
        return
    found: dict[str, list[dict[str, float]]] = {way: [] for way in WAYS}
    for _ in range(given.rounds):
        for way in WAYS:
            found[way].append(apart(way, given.rows))
    middle = {
        way: {name: statistics.median(each[name] for each in runs) for name in runs[0]}
        for way, runs in found.items()
    }
    for way, each in middle.items():
        tell(f"{way}, {given.rows} rows, {each['features']:g} features", each["seconds"], "s", given.rounds)
        tell(f"{way}, peak memory", each["peak_mb"], "MB", given.rounds)
    for way in ("polars", "pandas"):
        ratio = middle["pennant"]["seconds"] / middle[way]["seconds"]
        tell(f"pennant to {way}, time", ratio, "ratio", given.rounds)
        memory = middle["pennant"]["peak_mb"] / middle[way]["peak_mb"]
        tell(f"pennant to {way}, peak memory", memory, "ratio", given.rounds)


if __name__ == "__main__":
    main()
