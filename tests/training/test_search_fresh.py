"""The last test period is looked at by nothing that chooses: a leak planted there only changes no choice."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import optuna
import polars as pl
import pytest

from pennant.data.lake import Lake
from pennant.declaration.model import UseCase
from pennant.training import fit, rows, search
from pennant.training.storage import opened

FRESH_DAYS = 14
EVERYTHING = {
    "search": {"trials": 5, "workers": 1, "minutes": 5, "seed": 7},
    "ensemble": "best",
    "calibration": "best",
    # A slice of the very column that leaks: selection by it would be worth everything.
    "slices": {
        "leaks": {"column": "noise", "at_least": 2.0},
        "strong": {"column": "strength", "at_least": 1.0},
    },
}


def leaking(league: Any, days: int) -> Any:
    """The league with the column `noise` telling the label, in its newest days only."""
    newest = pl.col("label_known_at") > league.as_of - timedelta(days=days)
    told = pl.when(newest).then(pl.col("label") * 6 - 3).otherwise(pl.col("noise")).alias("noise")
    return type(league)(league.frame.with_columns(told), league.truth)


@pytest.fixture
def choices(lake: Lake, declared: Any, new_database: Callable[[], str]) -> Callable[[Any], dict[str, Any]]:
    """All that the training way chooses for a league: trials, parameters, ensemble, calibration, weights."""
    base = declared(**EVERYTHING).model_dump(mode="json", by_alias=True)
    split = {"history_days": 400, "fresh_days": FRESH_DAYS, "folds": 4, "embargo_hours": 3}
    use_case, url = UseCase.model_validate({**base, "split": split}), new_database()

    def made(league: Any) -> dict[str, Any]:
        snapshot = league.put(lake)
        plan = search.prepare(use_case, snapshot, lake, url)
        search.run_shard(use_case, snapshot, lake, url, plan.study, 0)
        chosen, _ = search.best_parameters(use_case, snapshot, url, plan.study, None)
        data = rows.read(use_case, snapshot, lake)
        fitted = fit.fit_rows(use_case, data, chosen)
        with opened(url) as (storage, _):
            trials = optuna.load_study(study_name=plan.study, storage=storage).get_trials()
        return {
            "snapshot": snapshot.sha256,
            "trials": [(each.state, each.params, each.values, each.intermediate_values) for each in trials],
            "parameters": chosen,
            "weights": fitted.combination.weights,
            "ensemble": fitted.combination.to_json(),
            "judged": fitted.combination.described,
            "calibration": fitted.calibration.to_json(),
            "interval": fit.interval_of(use_case, data, fitted).to_json(),
            "members": {name: each.content() for name, each in fitted.members.items()},
        }

    return made


def test_a_label_in_a_column_of_the_last_test_period_changes_nothing_that_is_chosen(
    choices: Any, planted: Any
) -> None:
    league = planted(rows=700, seed=2)
    honest, leaked = choices(league), choices(leaking(league, FRESH_DAYS))
    assert honest.pop("snapshot") != leaked.pop("snapshot"), "the leak is in the snapshot"
    for name in honest:
        assert honest[name] == leaked[name], name
    # The same leak a month earlier is seen at once: the comparison above could have failed.
    seen = choices(leaking(league, FRESH_DAYS + 30))
    assert seen["trials"] != honest["trials"]
    assert seen["calibration"] != honest["calibration"] or seen["ensemble"] != honest["ensemble"]
