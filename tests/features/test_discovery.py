"""Discovery keeps what holds on later rows, nothing that is luck, and looks at no row of the fresh period."""

import json
from datetime import UTC, date, datetime, timedelta
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest

from pennant.declaration.loader import load
from pennant.features.build import requests_of
from pennant.features.candidates import candidates
from pennant.features.discovery import Limits, NotDiscoverable, content, search, values_of
from pennant.features.discovery_report import page
from pennant.features.labels import labels_of
from pennant.features.selection import Problem, select
from pennant.features.snippet import snippet
from pennant.features.tables import Tables
from pennant.features.view import View
from pennant.reference import Reference
from pennant.settings import REPOSITORY
from pennant.simulation.league import simulate

USE_CASES = REPOSITORY / "include" / "use_cases"
AS_OF = datetime(2024, 6, 1, tzinfo=UTC)
NOWHERE = Reference("memory", "0" * 64)


@pytest.fixture(scope="module")
def world(league_demo, make_tables):
    """Five months of games; the only declared feature is the weather, which says nothing."""
    league = simulate(9, first_day=date(2024, 1, 1), last_day=date(2024, 5, 31))
    tables = make_tables(league_demo, league.games.rename({"kickoff": "event_time"}))
    weather = {"temperature": league_demo.features["temperature"]}
    use_case = league_demo.model_copy(update={"features": weather})
    return SimpleNamespace(use_case=use_case, tables=tables, rows=snapshot_of(use_case, tables))


def snapshot_of(use_case, tables) -> pl.DataFrame:
    requests = requests_of(use_case, tables, datetime(2023, 12, 1, tzinfo=UTC), AS_OF, AS_OF)
    known = labels_of(use_case, tables).filter(~pl.col("void"))
    known = known.select("entity", "label", pl.col("first_known_at").alias("label_known_at"))
    noise = pl.Series("temperature", np.random.default_rng(1).normal(size=requests.height))
    asked = requests.select("entity", "event_time", "moment").with_columns(noise)
    return asked.join(known, on="entity", how="inner").sort("event_time", "entity")


def looked(world, rows=None, tables=None, use_case=None, limits=None):
    rows = world.rows if rows is None else rows
    return search(
        use_case or world.use_case, tables or world.tables, rows, AS_OF, limits or Limits(most_candidates=60)
    )


@pytest.fixture(scope="module")
def done(world):
    return looked(world)


def test_planted_causes_are_kept_and_the_weather_is_not(done):
    words = " ".join(each.words for each in done.kept())
    assert "home_absences and away_absences, first side less second" in words
    assert "shots" in words or "goals" in words
    assert "temperature" not in words
    assert len(done.kept()) <= 6


def test_each_kept_one_beat_luck_in_most_folds_and_beyond_chance(done):
    for each in done.kept():
        assert each.low > 0.0
        assert 3 * len(each.folds) >= 2 * done.selection.folds


def test_what_is_kept_saves_loss_in_folds_that_did_not_choose_it(done):
    saved = np.concatenate([each for each in done.selection.gains.values() if each.any()])
    assert saved.mean() - 1.96 * saved.std() / len(saved) ** 0.5 > 0.0


def test_of_candidates_that_say_the_same_one_is_kept(done):
    kept = {each.name for each in done.kept()}
    left = {name for each in done.kept() for name in each.same}
    assert not kept & left
    names = [each.name for each in done.tried]
    of_kept = done.x[:, [names.index(name) for name in kept]]
    ranks = pl.DataFrame(of_kept).select(pl.all().fill_nan(None).rank()).to_numpy()
    alike = np.abs(np.ma.corrcoef(np.ma.masked_invalid(ranks), rowvar=False)) - np.eye(len(kept))
    assert alike.max() < 0.9


def test_a_perfect_column_of_the_fresh_period_changes_nothing_that_is_chosen(world, done):
    """Absences that tell the label, of games in the fresh period and its embargo only."""
    cutoff = AS_OF - timedelta(days=world.use_case.split.fresh_days, hours=3)
    won = world.rows.filter(pl.col("label_known_at") > cutoff).select(
        pl.col("entity").alias("game_id"), "label"
    )
    assert won.height > 200
    frames = dict(world.tables.frames)
    told = frames["games", "team_news"].join(won, on="game_id", how="left", maintain_order="left")
    tells = (100 * pl.col("label")).cast(pl.Int64)
    frames["games", "team_news"] = told.with_columns(
        pl.coalesce(tells, name).alias(name) for name in ("home_absences", "away_absences")
    ).drop("label")
    fresh = pl.col("label_known_at") > cutoff
    perfect = pl.when(fresh).then("label").otherwise("temperature").alias("temperature")
    again = looked(world, world.rows.with_columns(perfect), Tables(frames, world.tables.keys))
    first, second = (json.dumps(content(each, AS_OF, NOWHERE), sort_keys=True) for each in (done, again))
    assert first == second


def test_labels_dealt_at_random_give_nothing_to_keep(world):
    kept = 0
    for seed in range(3):
        labels = world.rows["label"].sample(fraction=1.0, shuffle=True, seed=seed)
        kept += len(looked(world, world.rows.with_columns(labels.alias("label"))).kept())
    assert kept == 0


def test_the_lines_to_paste_give_the_values_that_were_judged(world, done):
    module: dict[str, object] = {}
    exec(compile(snippet(done), "found.py", "exec"), module)
    requests = requests_of(world.use_case, world.tables, datetime(2023, 12, 1, tzinfo=UTC), AS_OF, AS_OF)
    pasted = pl.DataFrame(module["found"](View(requests, world.tables, ("games", "result"))))
    judged = values_of(world.use_case, world.tables, requests, done.chosen())
    assert sorted(pasted.columns) == sorted(each.name for each in done.kept())
    assert pasted.select(judged.columns[1:]).equals(judged.drop("entity"))


def test_every_kind_of_candidate_can_be_pasted(world):
    """Differences and totals, trends, deviations, rest, own values and flags of texts."""
    listed, _ = candidates(world.use_case, world.tables, 1_000)
    forms = {(each.form, each.aggregate, each.pool is None) for each in listed}
    chosen = [
        next(e for e in listed if (e.form, e.aggregate, e.pool is None) == form) for form in sorted(forms)
    ]
    x = np.zeros((1, len(listed)))
    fake = SimpleNamespace(chosen=lambda: chosen, tried=listed, x=x)
    module: dict[str, object] = {}
    exec(compile(snippet(fake), "found.py", "exec"), module)
    requests = requests_of(world.use_case, world.tables, datetime(2024, 5, 1, tzinfo=UTC), AS_OF, AS_OF)
    pasted = pl.DataFrame(module["found"](View(requests, world.tables, ("games", "result"))))
    judged = values_of(world.use_case, world.tables, requests, chosen).drop("entity")
    assert pasted.equals(judged)
    assert judged.height == requests.height > 500


def test_the_cap_leaves_no_column_out_before_another_has_its_second(world):
    everything, possible = candidates(world.use_case, world.tables, 10_000)
    assert len(everything) == possible > 60
    first, as_many = candidates(world.use_case, world.tables, 10)
    assert (len(first), as_many) == (10, possible)
    counted = [each.column for each in first if each.pool is not None]
    assert len(set(counted)) == len(counted) >= 5
    columns = {each.column for each in everything}
    enough, _ = candidates(world.use_case, world.tables, len(columns) + 2)  # two sides' own values come twice
    assert {each.column for each in enough} == columns


def test_no_fold_is_begun_after_the_time_is_up(world):
    short = looked(world, limits=Limits(most_candidates=20, minutes=0.0))
    assert short.selection.folds == 1
    shown = page(short, AS_OF, NOWHERE, "").decode()
    assert "Time ran out" in shown


def _of_task(task: str, stream: np.random.Generator, signal: np.ndarray) -> np.ndarray:
    if task == "count":
        return stream.poisson(np.exp(0.5 * signal)).astype(float)
    if task == "regression":
        return signal + stream.normal(size=len(signal))
    if task == "multiclass":
        return np.digitize(signal + stream.normal(size=len(signal)), [-0.7, 0.7]).astype(float)
    return (signal + stream.normal(size=len(signal)) > 0).astype(float)


@pytest.mark.parametrize("task", ["binary", "multiclass", "count", "regression"])
def test_of_noise_and_a_cause_the_cause_is_kept_for_each_task(task):
    stream = np.random.default_rng(4)
    x = stream.normal(size=(1_500, 20))
    x[:, 11] = x[:, 7] + 0.05 * stream.normal(size=1_500)  # says what 7 says
    x[stream.random((1_500, 20)) < 0.1] = np.nan
    y = _of_task(task, stream, np.nan_to_num(x[:, 7]))
    folds = [(np.arange(n), np.arange(n, n + 300)) for n in (600, 900, 1_200)]
    found = select(Problem(task, y, x[:, :2], x[:, 2:], folds), most_kept=5, seconds=60)
    assert len(found.kept) == 1
    assert set(found.kept[0].members) >= {5}
    assert found.kept[0].leader in (5, 9)


def test_a_candidate_that_says_what_is_declared_is_named_and_not_tried():
    stream = np.random.default_rng(5)
    x = stream.normal(size=(900, 3))
    y = (x[:, 0] > 0).astype(float)
    folds = [(np.arange(n), np.arange(n, n + 300)) for n in (300, 600)]
    found = select(Problem("binary", y, x, np.exp(x), folds), 5, 60)
    assert found.declared_twice == {0: 0, 1: 1, 2: 2}
    assert found.kept == []


def test_a_path_is_refused_with_the_reason(world):
    paths = load(USE_CASES / "pedestrian_paths")
    with pytest.raises(NotDiscoverable) as refused:
        looked(world, use_case=paths)
    assert refused.value.use_case == "pedestrian_paths"
    assert "path" in refused.value.found


def test_a_use_case_without_numbers_is_refused(world):
    source = world.use_case.sources["games"]
    groups = {
        name: each.model_copy(update={"columns": dict.fromkeys(each.columns, "str")})
        for name, each in source.groups.items()
    }
    bare = world.use_case.model_copy(
        update={"sources": {"games": source.model_copy(update={"groups": groups})}}
    )
    texts = {
        name: each.with_columns(pl.lit("x").alias(column) for column in source.groups[name[1]].columns)
        for name, each in world.tables.frames.items()
    }
    with pytest.raises(NotDiscoverable, match="no number"):
        looked(world, use_case=bare, tables=Tables(texts, world.tables.keys))


def test_the_page_tells_what_was_kept_and_escapes_what_is_data(world, done):
    odd = world.use_case.model_copy(update={"title": "<script>alert(1)</script>"})
    shown = page(looked(world, use_case=odd, limits=Limits(most_candidates=5)), AS_OF, NOWHERE, "").decode()
    assert "<script>" not in shown
    full = page(done, AS_OF, NOWHERE, snippet(done)).decode()
    assert all(each.name in full for each in done.kept())
