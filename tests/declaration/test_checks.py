"""What one field of a declaration asks of another is refused at the field that is wrong."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pennant.declaration.parameters import PARAMETERS, TASKS
from pennant.declaration.problems import Problem

GONE: Any = ...
GAMES = ("sources", "games")
EXPECT = ("validation", "expectations", 0)
MARKET = {"probability_column": "elo_probability"}
COLUMN_RULE = {"rule": "column", "column": "told_at"}

SCORES: dict[str, Any] = {
    "kind": "simulation",
    "event_time": {"columns": ["kickoff"], "format": "%Y", "time_zone": "UTC"},
    "ahead_days": 1,
    "groups": {
        "result": {
            "known_at": {"rule": "after_event", "hours": 3},
            "columns": {"home_goals": "int", "away_goals": "int"},
        }
    },
}

# (what is changed, the field that is blamed)
LAWS: dict[str, tuple[dict[tuple[str | int, ...], Any], str]] = {
    "a csv source has an address": ({(*GAMES, "kind"): "csv"}, "sources.games"),
    "a simulation has none": ({(*GAMES, "url"): "https://example.org/a.csv"}, "sources.games.url"),
    "a time zone exists": (
        {(*GAMES, "event_time", "time_zone"): "Mars/Base"},
        "sources.games.event_time.time_zone",
    ),
    "a time zone is no path": (
        {(*GAMES, "event_time", "time_zone"): "../UTC"},
        "sources.games.event_time.time_zone",
    ),
    "a format reads something": (
        {(*GAMES, "event_time", "format"): "iso"},
        "sources.games.event_time.format",
    ),
    "a default time needs a time column": (
        {(*GAMES, "event_time", "default_time"): "13:00"},
        "sources.games.event_time.default_time",
    ),
    "a column is known at one moment": (
        {(*GAMES, "groups", "result", "columns", "season"): "int"},
        "sources.games.groups.result.columns.season",
    ),
    "a key is in no group": (
        {(*GAMES, "groups", "result", "columns", "game_id"): "str"},
        "sources.games.groups.result.columns.game_id",
    ),
    "rule column names one": (
        {(*GAMES, "groups", "team_news", "known_at"): {"rule": "column"}},
        "sources.games.groups.team_news.known_at",
    ),
    "rule column names one of the group": (
        {(*GAMES, "groups", "team_news", "known_at"): COLUMN_RULE},
        "sources.games.groups.team_news.known_at.column",
    ),
    "rule column reads a moment": (
        {(*GAMES, "groups", "team_news", "known_at"): {"rule": "column", "column": "home_absences"}},
        "sources.games.groups.team_news.known_at.column",
    ),
    "rule column counts no hours": (
        {
            (*GAMES, "groups", "team_news", "known_at"): {**COLUMN_RULE, "hours": 2},
            (*GAMES, "groups", "team_news", "columns", "told_at"): "datetime",
        },
        "sources.games.groups.team_news.known_at.hours",
    ),
    "other rules read no column": (
        {(*GAMES, "groups", "team_news", "known_at", "column"): "home_absences"},
        "sources.games.groups.team_news.known_at.column",
    ),
    "an expectation's source exists": ({(*EXPECT, "source"): "game"}, "validation.expectations[0].source"),
    "an expectation's group exists": ({(*EXPECT, "group"): "shedule"}, "validation.expectations[0].group"),
    "an expectation exists": (
        {(*EXPECT, "expect"): "ExpectColumnValuesToBeNotNull"},
        "validation.expectations[0].expect",
    ),
    "an expectation's column exists": (
        {(*EXPECT, "with", "column"): "home_taem"},
        "validation.expectations[0].with.column",
    ),
    "an expectation's arguments exist": (
        {(*EXPECT, "with", "mostli"): 0.9},
        "validation.expectations[0].with.mostli",
    ),
    "an expectation gets what it needs": (
        {(*EXPECT, "with"): {"mostly": 0.9}},
        "validation.expectations[0].with.column",
    ),
    "an expectation's listed columns exist": (
        {
            (*EXPECT, "expect"): "ExpectCompoundColumnsToBeUnique",
            (*EXPECT, "with"): {"column_list": ["game_id", "home_taem"]},
        },
        "validation.expectations[0].with.column_list[1]",
    ),
    "a label's rows name the predicted entity": (
        {
            ("sources", "scores"): {**SCORES, "key": ["score_id"]},
            ("label", "source"): "scores",
        },
        "label.group",
    ),
    "an expectation is more than true": (
        {(*EXPECT, "expect"): "ExpectColumnValuesToBeBetween"},
        "validation.expectations[0].with",
    ),
    "only rows are set aside": (
        {("validation", "expectations", 4, "on_failure"): "quarantine"},
        "validation.expectations[4].on_failure",
    ),
    "the spine's source exists": ({("spine", "source"): "gaems"}, "spine.source"),
    "the spine's group exists": ({("spine", "group"): "schedul"}, "spine.group"),
    "the spine's entity is a column": ({("spine", "entity"): "gameid"}, "spine.entity"),
    "the spine is known before its event": ({("spine", "group"): "result"}, "spine.group"),
    "the spine is known when it is asked for": (
        {("spine", "group"): "team_news", ("spine", "lead_hours"): 3},
        "spine.lead_hours",
    ),
    "the label's source exists": ({("label", "source"): "gaems"}, "label.source"),
    "the label's group exists": ({("label", "group"): "results"}, "label.group"),
    "the label's columns exist": ({("label", "expression"): "home_gaols > away_goals"}, "label.expression"),
    "a label is a column or a comparison": (
        {("label", "expression"): "home_goals - away_goals"},
        "label.expression",
    ),
    "a label is one comparison": ({("label", "expression"): "home_goals > 1 > 0"}, "label.expression"),
    "void rows are a comparison": ({("label", "drop_when"): "home_goals"}, "label.drop_when"),
    "a label of two sides has no classes": ({("label", "classes"): ["H", "A"]}, "label.classes"),
    "models are judged by a metric of their task": (
        {
            ("task",): "count",
            ("training", "calibration"): "none",
            ("training", "members"): {"trees": {"kind": "xgboost"}},
            ("gate", "metric"): "brier",
        },
        "gate.metric",
    ),
    "a calibration fits its task": (
        {("training", "calibration"): "temperature"},
        "training.calibration",
    ),
    "a member predicts the task": (
        {("training", "members", "trees"): {"kind": "ridge"}},
        "training.members.trees.kind",
    ),
    "a forecast names its column": (
        {("training", "members", "trees"): {"kind": "column"}},
        "training.members.trees.columns",
    ),
    "an event time is said in one way": (
        {(*GAMES, "event_time", "fixed"): "2024-01-01T00:00:00Z"},
        "sources.games.event_time",
    ),
    "a query needs a database": (
        {(*GAMES, "kind"): "sql", (*GAMES, "sql"): "select 1"},
        "sources.games.connection",
    ),
    "a fallback has an address": ({(*GAMES, "fallback"): {"kind": "csv"}}, "sources.games.fallback"),
    "an optional column is a column": (
        {(*GAMES, "optional_columns"): ["home_gaols"]},
        "sources.games.optional_columns[0]",
    ),
    "a table of identities exists": (
        {(*GAMES, "identities"): {"home_team": "clubs"}},
        "sources.games.identities.home_team",
    ),
    "an alias is in force for some time": (
        {
            ("identities",): {
                "clubs": {
                    "A": [{"name": "B", "since": "2024-01-01T00:00:00Z", "until": "2023-01-01T00:00:00Z"}]
                }
            }
        },
        "identities.clubs.A[0].until",
    ),
    "void rows compare columns": ({("label", "drop_when"): "home_goals == away_gaols"}, "label.drop_when"),
    "a label is not known before its event": (
        {("label", "group"): "team_news", ("label", "expression"): "home_absences > away_absences"},
        "label.group",
    ),
    "a label is made of numbers": (
        {(*GAMES, "groups", "result", "columns", "home_goals"): "str"},
        "label.expression",
    ),
    "a label's delay covers its columns": (
        {("label", "delay_hours"): 2.5, ("split", "embargo_hours"): 3},
        "label.delay_hours",
    ),
    "a feature has a range": ({("features", "temperature", "high"): -60}, "features.temperature.high"),
    "fresh rows leave some to train on": ({("split", "fresh_days"): 500}, "split.fresh_days"),
    "the embargo covers the label's delay": ({("split", "embargo_hours"): 2}, "split.embargo_hours"),
    "each worker has a trial": ({("training", "search", "workers"): 13}, "training.search.workers"),
    "a parameter exists": (
        {("training", "members", "trees", "fixed"): {"maxdepth": 3}},
        "training.members.trees.fixed.maxdepth",
    ),
    "a searched parameter exists": (
        {("training", "members", "linear", "search", "gamma"): {"low": 0.1, "high": 1}},
        "training.members.linear.search.gamma",
    ),
    "a parameter is searched or fixed": (
        {("training", "members", "trees", "fixed"): {"max_depth": 3}},
        "training.members.trees.fixed.max_depth",
    ),
    "a search has a range": (
        {("training", "members", "linear", "search", "c", "high"): 0.01},
        "training.members.linear.search.c.high",
    ),
    "a logarithm starts above zero": (
        {
            ("training", "members", "trees", "search", "gamma"): {"low": 0, "high": 1, "log": True},
        },
        "training.members.trees.search.gamma.low",
    ),
    "a range lies within its parameter's": (
        {("training", "members", "trees", "search", "subsample", "high"): 1.5},
        "training.members.trees.search.subsample.high",
    ),
    "a parameter that counts is searched in whole numbers": (
        {("training", "members", "trees", "search", "max_depth", "kind"): GONE},
        "training.members.trees.search.max_depth.kind",
    ),
    "a fixed value is one of its parameter's": (
        {("training", "members", "trees", "fixed"): {"gamma": -1}},
        "training.members.trees.fixed.gamma",
    ),
    "whole numbers have whole ends": (
        {("training", "members", "trees", "search", "max_depth", "low"): 2.5},
        "training.members.trees.search.max_depth.low",
    ),
    "a baseline is not taken for the champion": (
        {("baselines", "champion"): {"kind": "base_rate"}},
        "baselines.champion",
    ),
    "a baseline is not taken for the model": (
        {("baselines", "model"): {"kind": "base_rate"}},
        "baselines.model",
    ),
    "a baseline is not taken for the label": (
        {("baselines", "label"): {"kind": "base_rate"}},
        "baselines.label",
    ),
    "a baseline is not taken for an end of the champion's intervals": (
        {("baselines", "champion_low"): {"kind": "base_rate"}},
        "baselines.champion_low",
    ),
    "a baseline of a column names it": ({("baselines", "elo", "column"): GONE}, "baselines.elo.column"),
    "a base rate reads no column": (
        {("baselines", "base_rate", "column"): "x"},
        "baselines.base_rate.column",
    ),
    "a first champion has something to beat": (
        {("baselines", "elo", "required"): False, ("baselines", "base_rate", "required"): False},
        "baselines",
    ),
    "a market is a baseline": (
        {("market",): {**MARKET, "probability_column": "elo_probabilty"}},
        "market.probability_column",
    ),
    "alpha is no coin toss": ({("gate", "alpha"): 0.5}, "gate.alpha"),
    "non-inferiority has a margin": ({("gate", "policy"): "non_inferiority"}, "gate.margin"),
    "a slice is of a feature": (
        {("gate", "slices", "many_absences", "column"): "absence_total"},
        "gate.slices.many_absences.column",
    ),
    "a slice has a condition": (
        {("gate", "slices", "many_absences", "at_least"): GONE},
        "gate.slices.many_absences",
    ),
    "a slice has one condition": (
        {("gate", "slices", "many_absences", "equals"): 6},
        "gate.slices.many_absences",
    ),
    "a slice's band is not empty": (
        {("gate", "slices", "many_absences", "below"): 6},
        "gate.slices.many_absences.below",
    ),
    "a slice's value is a number": (
        {
            ("gate", "slices", "many_absences", "equals"): "6",
            ("gate", "slices", "many_absences", "at_least"): GONE,
        },
        "gate.slices.many_absences.equals",
    ),
    "an approval has approvers": ({("gate", "approval"): "person"}, "gate.approvers"),
    "approvers approve": ({("gate", "approvers"): ["ann"]}, "gate.approvers"),
    "an approver is named once": (
        {("gate", "approval"): "person", ("gate", "approvers"): ["ann", "bob", "ann"]},
        "gate.approvers[2]",
    ),
    "an owner does not approve alone": (
        {("gate", "approval"): "person", ("gate", "approvers"): ["demo@example.org"]},
        "gate.approvers",
    ),
    "a drift alert can fire": ({("watch", "drift", "violations"): 4}, "watch.drift.violations"),
    "a performance alert can fire": (
        {("watch", "performance", "violations"): 4},
        "watch.performance.violations",
    ),
    "each class of failure has an action": ({("healing", "drift"): GONE}, "healing.drift"),
    "an action has a budget": ({("healing", "drift", "weekly_budget"): 0}, "healing.drift.weekly_budget"),
    "each severity has a route": ({("alerts", "routes", "info"): GONE}, "alerts.routes.info"),
    "a route leads somewhere": ({("alerts", "routes", "critical"): []}, "alerts.routes.critical"),
    "a route has each channel once": (
        {("alerts", "routes", "info"): ["console", "console"]},
        "alerts.routes.info",
    ),
    "a schedule fires": ({("schedules", "train"): "0 0 31 2 *"}, "schedules.train"),
    "a schedule's fields are in range": ({("schedules", "score"): "61 0 * * *"}, "schedules.score"),
    "history ends at a tick of the coarse schedule": (
        {("schedules", "history_until"): "2024-12-01T00:00:00Z"},
        "schedules.history_until",
    ),
    "history ends at a tick of the fine schedule": (
        {("schedules", "ingest"): "0 6 * * *"},
        "schedules.history_until",
    ),
    "a backfill starts where history does": (
        {("replay", "history_from"): "2022-10-01T00:00:00Z"},
        "replay.history_from",
    ),
    "a replay begins in history": (
        {("replay", "history_from"): "2025-01-01T00:00:00Z"},
        "replay.history_from",
    ),
    "a replay's steps are fine ones": ({("replay", "live_from"): "2024-10-01T00:00:00Z"}, "replay.live_from"),
    "a replay goes forward": ({("replay", "until"): "2025-01-01T00:00:00Z"}, "replay.until"),
}


@pytest.mark.parametrize("law", LAWS)
def test_that(case: SimpleNamespace, tmp_path: Path, law: str) -> None:
    changes, field = LAWS[law]
    data = case.valid
    for path, value in changes.items():
        data = case.changed(data, path, value)
    text, places = case.written(data)
    problems: list[Problem] = case.refused(tmp_path, text)
    assert [each.field for each in problems] == [field]
    blamed = next(path for path in places if _dotted(path) == _present(field, places))
    assert problems[0].line == places[blamed]


def test_a_wrong_name_comes_with_the_nearest_right_one(case: SimpleNamespace, tmp_path: Path) -> None:
    for path, value, nearest in [
        ((*EXPECT, "group"), "shedule", "schedule"),
        (("spine", "entity"), "gameid", "game_id"),
        ((*EXPECT, "expect"), "ExpectColumnValuesToNotBeNul", "ExpectColumnValuesToNotBeNull"),
        (("gate", "slices", "many_absences", "column"), "absence_total", "absences_total"),
    ]:
        (problem,) = case.refused(tmp_path, case.written(case.changed(case.valid, path, value))[0])
        assert problem.nearest == nearest


def test_history_lies_between_its_start_and_its_end(case: SimpleNamespace, tmp_path: Path) -> None:
    data = case.changed(case.valid, ("schedules", "start"), "2025-01-01T00:00:00Z")
    problems = case.refused(tmp_path, case.written(data)[0])
    assert {each.field for each in problems} == {"schedules.history_until", "replay.history_from"}


def test_a_rule_that_reads_the_moment_from_the_row_loads(case: SimpleNamespace, tmp_path: Path) -> None:
    data = case.changed(case.valid, (*GAMES, "groups", "team_news", "known_at"), COLUMN_RULE)
    data = case.changed(data, (*GAMES, "groups", "team_news", "columns", "told_at"), "datetime")
    assert case.load(case.put(tmp_path, case.written(data)[0]))


def test_an_approval_with_people_loads(case: SimpleNamespace, tmp_path: Path) -> None:
    data = case.changed(case.valid, ("gate", "approval"), "person")
    data = case.changed(data, ("gate", "approvers"), ["ann", "demo@example.org"])
    assert case.load(case.put(tmp_path, case.written(data)[0])).gate.approvers == ["ann", "demo@example.org"]


def _dotted(path: tuple[str | int, ...]) -> str:
    text = "".join(f"[{each}]" if isinstance(each, int) else f".{each}" for each in path)
    return text.removeprefix(".")


def _present(field: str, places: dict[tuple[str | int, ...], int]) -> str:
    """The field, or what is around it when the field itself is missing."""
    known = {_dotted(path) for path in places}
    while field not in known:
        field = field.rpartition(".")[0]
    return field


def test_every_kind_of_member_has_its_parameters_and_its_tasks() -> None:
    from pennant.training.members.kinds import KINDS

    assert set(KINDS) == set(PARAMETERS) == set(TASKS)
