"""The feature functions that ship: what they declare, that they do not look ahead, how good they are."""

from datetime import UTC, date, datetime, timedelta
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest
from sklearn.linear_model import LogisticRegression

from pennant.features.build import feature_rows, requests_of
from pennant.features.errors import FeaturesMismatch, FeaturesModuleBroken
from pennant.features.labels import labels_of
from pennant.features.leaks import leaks_of
from pennant.features.module import code_hash, features_module
from pennant.settings import REPOSITORY
from pennant.simulation.league import RULE_CHANGE, SEED, simulate

USE_CASES = REPOSITORY / "include" / "use_cases"
FIRST, LAST = datetime(1999, 1, 1, tzinfo=UTC), datetime(2030, 1, 1, tzinfo=UTC)


def build(use_case, tables, first=FIRST, as_of=LAST) -> pl.DataFrame:
    requests = requests_of(use_case, tables, first, as_of, as_of)
    module = features_module(USE_CASES / use_case.name)
    known = labels_of(use_case, tables).filter(~pl.col("void")).select("entity", "label")
    return feature_rows(use_case, module, tables, requests).join(known, on="entity", maintain_order="left")


def log_loss(label: np.ndarray, chance: np.ndarray) -> float:
    return float(-np.mean(np.log(np.where(label == 1.0, chance, 1.0 - chance))))


def fitted(use_case, train: pl.DataFrame, test: pl.DataFrame) -> np.ndarray:
    """Chances from a plain logistic regression on the standardised features."""
    both = [each.select(*use_case.features).fill_null(0.0).to_numpy() for each in (train, test)]
    mean, scale = both[0].mean(axis=0), both[0].std(axis=0) + 1e-9
    model = LogisticRegression().fit((both[0] - mean) / scale, train["label"].to_numpy())
    return model.predict_proba((both[1] - mean) / scale)[:, 1]


@pytest.fixture(scope="module")
def two_years() -> pl.DataFrame:
    league = simulate(11, first_day=date(2023, 1, 1), last_day=date(2024, 12, 31))
    return league.games.rename({"kickoff": "event_time"}).with_columns(truth=league.p_home_win)


def test_features_of_the_league_recover_most_of_the_planted_truth(league_demo, make_tables, two_years):
    rows = build(league_demo, make_tables(league_demo, two_years))
    rows = rows.join(
        two_years.select("game_id", "truth"), left_on="entity", right_on="game_id", maintain_order="left"
    )
    late = pl.col("event_time") >= datetime(2024, 10, 1, tzinfo=UTC)
    test = rows.filter(late)
    label = test["label"].to_numpy()
    model = log_loss(label, fitted(league_demo, rows.filter(~late), test))
    known, elo = (
        log_loss(label, test["truth"].to_numpy()),
        log_loss(label, test["baseline__elo_probability"].to_numpy()),
    )
    rate = log_loss(label, np.full(len(label), label.mean()))
    assert known < model < elo < rate
    assert (rate - model) / (rate - known) > 0.85
    assert elo - model > 0.03


@pytest.mark.parametrize("seed", [SEED, 1, 2])
def test_a_champion_goes_stale_with_the_new_rules_and_four_weeks_of_them_make_a_better_one(
    league_demo, make_tables, seed
):
    league = simulate(seed, first_day=date(2023, 10, 1), last_day=date(2025, 3, 1))
    tables = make_tables(league_demo, league.games.rename({"kickoff": "event_time"}))
    rows = build(league_demo, tables)

    def between(start: datetime, end: datetime) -> pl.DataFrame:
        return rows.filter(pl.col("event_time") >= start, pl.col("event_time") < end)

    def loss(train: pl.DataFrame, test: pl.DataFrame) -> float:
        return log_loss(test["label"].to_numpy(), fitted(league_demo, train, test))

    fresh = timedelta(days=league_demo.split.fresh_days)
    new_year, march = datetime(2025, 1, 1, tzinfo=UTC), datetime(2025, 3, 1, tzinfo=UTC)
    champion = between(FIRST, new_year - fresh)
    promised = loss(champion, between(new_year - fresh, new_year))
    limit = league_demo.watch.performance.max_loss_increase
    january, february = between(new_year, RULE_CHANGE), between(march - fresh, march)
    assert loss(champion, january) < promised + limit
    assert loss(champion, february) > promised + max(limit, 0.06)
    recent = between(march - fresh - timedelta(days=60), march - fresh)
    assert loss(recent, february) < loss(champion, february) - 0.05


def test_the_leagues_features_stay_in_their_declared_ranges_and_do_not_look_ahead(
    league_demo, make_tables, short_league
):
    tables = make_tables(league_demo, short_league)
    rows = build(league_demo, tables)
    for name, declared in league_demo.features.items():
        found = rows[name].drop_nulls()
        assert found.len() > 400, name
        assert declared.low <= found.min() <= found.max() <= declared.high, name
    requests = requests_of(league_demo, tables, FIRST, LAST, LAST)
    module = features_module(USE_CASES / "league_demo")
    assert leaks_of(league_demo, module, tables, requests, moments=5) == []


BROKEN = {
    "no file": (None, "there is no such file"),
    "no baselines": ("def features(view): ...", "baselines"),
    "an import that fails": ("import nowhere_at_all", "ModuleNotFoundError"),
    "a syntax error": ("def features(view:", "SyntaxError"),
}


@pytest.mark.parametrize("case", BROKEN, ids=str)
def test_a_broken_features_file_is_named_with_its_fault(tmp_path, case):
    code, problem = BROKEN[case]
    if code is not None:
        (tmp_path / "features.py").write_text(code)
    with pytest.raises(FeaturesModuleBroken) as refused:
        features_module(tmp_path)
    assert refused.value.path == tmp_path / "features.py"
    assert problem in refused.value.problem


CHANGES = {
    "a column too few": lambda rows: rows.drop("temperature"),
    "a column too many": lambda rows: rows.with_columns(extra=1.0),
    "a row too few": lambda rows: rows.head(3),
    "a row twice": lambda rows: pl.concat([rows.head(rows.height - 1), rows.head(1)]),
    "an infinite value": lambda rows: rows.with_columns(temperature=float("inf")),
}


@pytest.mark.parametrize("change", CHANGES, ids=str)
def test_features_that_do_not_match_the_declaration_are_refused(
    league_demo, make_tables, short_league, change
):
    module = features_module(USE_CASES / "league_demo")
    wrong = SimpleNamespace(
        features=lambda view: CHANGES[change](module.features(view)), baselines=module.baselines
    )
    tables = make_tables(league_demo, short_league)
    requests = requests_of(league_demo, tables, FIRST, LAST, LAST)
    with pytest.raises(FeaturesMismatch) as refused:
        feature_rows(league_demo, wrong, tables, requests)
    assert refused.value.use_case == "league_demo"


def test_features_in_another_row_order_are_put_right(league_demo, make_tables, short_league):
    module = features_module(USE_CASES / "league_demo")
    turned = SimpleNamespace(
        features=lambda view: module.features(view).reverse(), baselines=module.baselines
    )
    tables = make_tables(league_demo, short_league)
    requests = requests_of(league_demo, tables, FIRST, LAST, LAST)
    expected = feature_rows(league_demo, module, tables, requests)
    assert feature_rows(league_demo, turned, tables, requests).equals(expected)


def test_the_code_hash_follows_the_features_file(tmp_path):
    (tmp_path / "features.py").write_text("one = 1")
    before = code_hash(tmp_path)
    assert code_hash(tmp_path) == before
    (tmp_path / "features.py").write_text("one = 2")
    assert code_hash(tmp_path) != before


def test_a_use_case_whose_baselines_need_no_column_builds(league_demo, make_tables, short_league):
    only_rate = league_demo.model_copy(
        update={"baselines": {"base_rate": league_demo.baselines["base_rate"]}}
    )
    module = features_module(USE_CASES / "league_demo")
    bare = SimpleNamespace(features=module.features, baselines=lambda view: view.requests.select("entity"))
    tables = make_tables(league_demo, short_league)
    requests = requests_of(league_demo, tables, FIRST, LAST, LAST)
    rows = feature_rows(only_rate, bare, tables, requests)
    assert rows.columns == ["entity", "event_time", "moment", *league_demo.features]
    assert rows.height == short_league.height
