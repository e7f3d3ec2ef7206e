"""A transformer learns from the order of events what no linear member sees; the newest rows end it."""

from importlib.util import find_spec

import numpy as np
import pytest

from pennant.declaration.parameters import PARAMETERS
from pennant.training.losses import Floats, expit
from pennant.training.members.kinds import KINDS
from pennant.training.problem import Problem, row_losses

pytestmark = pytest.mark.skipif(
    find_spec("torch") is None, reason="PyTorch is not installed: uv pip install --python .venv torch"
)

EVENTS = 4
NAMES = (*(f"{what}_{age}" for age in range(EVENTS, 0, -1) for what in ("result", "margin")), "rest", "home")
PROBLEM = Problem(
    "binary",
    NAMES,
    sequence=tuple((f"result_{age}", f"margin_{age}") for age in range(EVENTS, 0, -1)),
)
CHOSEN = {name: each.default for name, each in PARAMETERS["transformer"].items()}
CHOSEN |= {"hidden_dim": 16, "learning_rate": 0.01, "epochs": 20}


def ordered(rows: int, seed: int) -> tuple[Floats, Floats, Floats]:
    """Features, labels and true chances: it matters whether the last two results are alike.

    No column alone tells anything, nor does any sum of columns.
    """
    stream = np.random.default_rng(seed)
    x = stream.normal(size=(rows, len(NAMES)))
    x[:, 0:-2:2] = np.sign(x[:, 0:-2:2])
    older, newer = NAMES.index("result_2"), NAMES.index("result_1")
    truth = expit(2.0 * x[:, older] * x[:, newer])
    return x, (stream.random(rows) < truth).astype(float), truth


def test_the_order_of_events_is_learned_where_no_linear_model_sees_any_of_it() -> None:
    x, y, _ = ordered(4_000, 1)
    later, unseen, truth = ordered(4_000, 2)
    worst = row_losses(PROBLEM, unseen, np.full(len(unseen), y.mean())).mean()
    best = row_losses(PROBLEM, unseen, truth).mean()

    def learned(model) -> float:
        return (worst - row_losses(PROBLEM, unseen, model.predict(later)).mean()) / (worst - best)

    assert learned(KINDS["transformer"].fit(x, y, np.ones(len(y)), CHOSEN, 5, PROBLEM)) > 0.8
    linear = KINDS["logistic"].fit(x, y, np.ones(len(y)), {"c": 1.0, "knots": 0}, 5, PROBLEM)
    assert learned(linear) < 0.05


def test_rows_of_weight_zero_are_not_learned() -> None:
    x, y, _ = ordered(3_000, 13)
    wrong = np.arange(3_000) % 2 == 1
    y[wrong] = 1.0 - y[wrong]
    model = KINDS["transformer"].fit(x, y, np.where(wrong, 0.0, 2.0), CHOSEN, 5, PROBLEM)
    assert row_losses(PROBLEM, y[~wrong], model.predict(x[~wrong])).mean() < 0.45


def test_the_newest_rows_say_when_to_stop(caplog) -> None:
    x, y, _ = ordered(2_000, 14)
    y[-240:] = np.random.default_rng(0).integers(0, 2, 240)  # nothing that was learned holds any more
    with caplog.at_level("INFO", logger="pennant.training.members.transformer_network"):
        KINDS["transformer"].fit(x, y, np.ones(2_000), {**CHOSEN, "hidden_dim": 32}, 5, PROBLEM)
    told = [each.getMessage() for each in caplog.records]
    assert "on the 240 newest rows" in told[0]
    assert int(told[-1].split()[1]) <= 3
    assert len(told) < 12


def test_a_feature_that_told_nothing_in_training_tells_nothing_later() -> None:
    x, y, _ = ordered(1_000, 15)
    rest, home = NAMES.index("rest"), NAMES.index("home")
    x[:, rest], x[:, home] = 3.0, np.nan
    model = KINDS["transformer"].fit(x, y, np.ones(len(y)), {**CHOSEN, "epochs": 4}, 5, PROBLEM)
    otherwise, told = x.copy(), x.copy()
    otherwise[:, rest] = 50.0
    assert (model.predict(otherwise) == model.predict(x)).all()
    otherwise[:, home], told[:, home] = 50.0, 0.0
    assert (model.predict(otherwise) == model.predict(told)).all()
