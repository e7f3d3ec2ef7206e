"""The watch takes the loss that the gate took, of every kind of task: the whole answer counts."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from sqlalchemy import Engine, insert

from pennant.declaration.loader import load_trained
from pennant.declaration.model import TrainedUseCase, UseCase
from pennant.settings import REPOSITORY
from pennant.training.metrics import MAIN, by_row
from pennant.training.problem import Problem
from pennant.warehouse.tables import outcomes, predictions
from pennant.watch.performance import losses
from pennant.watch.served import served
from pennant.watch.settle import _came

NOON = datetime(2025, 3, 1, 12, tzinfo=UTC)
ROWS = 6


def _distribution(seed: int, size: int) -> np.ndarray[Any, Any]:
    return np.random.default_rng(seed).dirichlet(np.ones(size), ROWS)


def _path(seed: int) -> np.ndarray[Any, Any]:
    return np.random.default_rng(seed).normal(size=(ROWS, 24))


CASES: dict[str, tuple[Any, Any, Callable[[Any], dict[str, Any] | None], dict[str, Any]]] = {
    "epl_matches": (
        np.arange(ROWS) % 3.0,
        _distribution(1, 3),
        lambda p: {"probabilities": dict(zip("HDA", p, strict=True))},
        {"classes": 3},
    ),
    "mlb_strikeouts": (
        np.arange(ROWS) * 1.0,
        _distribution(2, 12),
        lambda p: {"distribution": list(p)},
        {"most": 11},
    ),
    "pedestrian_paths": (
        _path(3),
        _path(4),
        lambda p: {"path": p.reshape(-1, 2).tolist()},
        {"steps": 12},
    ),
    "telco_churn": (np.arange(ROWS) % 2.0, _distribution(5, 2)[:, 0], lambda _: None, {}),
}


def _with_gate(name: str, league: UseCase) -> tuple[TrainedUseCase, UseCase]:
    declared = load_trained(REPOSITORY / "include" / "use_cases" / name)
    gate = league.gate.model_copy(update={"metric": MAIN[declared.task]})
    return declared, league.model_copy(
        update={"name": name, "task": declared.task, "label": declared.label, "gate": gate}
    )


@pytest.mark.parametrize("name", sorted(CASES))
def test_the_loss_of_what_was_served_is_the_loss_that_the_gate_takes(
    name: str, warehouse: Engine, league: UseCase
) -> None:
    came, said, answer, sizes = CASES[name]
    declared, use_case = _with_gate(name, league)
    asked, settled = [], []
    for at in range(ROWS):
        event = NOON + timedelta(minutes=at)
        common = {"use_case": name, "entity": f"e{at}", "event_time": event}
        number = float(said[at]) if said.ndim == 1 else 0.5
        whole = answer(said[at])
        asked.append(
            common
            | {"day": event.date(), "prediction_id": f"p{at}", "as_of": event, "version": "1"}
            | {"arm": "champion", "policy_id": 1, "features": {}, "prediction": number}
            | {"extra": {} if whole is None else {"answer": whole}, "answered_at": event}
        )
        label = came[at].tolist()
        settled.append(common | {"known_at": event, "void": False} | _came(label))
    with warehouse.begin() as connection:
        connection.execute(insert(predictions), asked)
        connection.execute(insert(outcomes), settled)
    rows = served(warehouse, name, "1", NOON, NOON + timedelta(hours=1), NOON + timedelta(hours=2))
    assert len(rows) == ROWS
    assert all(each.settled for each in rows)
    problem = replace(Problem(declared.task, ()), **sizes)
    wanted = by_row(use_case.gate.metric, problem, came, said)
    assert losses(use_case, rows) == pytest.approx(list(wanted), abs=1e-12)


def test_a_path_is_settled_by_where_it_went_and_not_by_a_number() -> None:
    assert _came([1.0, 2.0]) == {"label": None, "path": [1.0, 2.0]}
    assert _came(3.0) == {"label": 3.0, "path": None}
    assert _came(None) == {"label": None, "path": None}
