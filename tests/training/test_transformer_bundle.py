"""A transformer's whole way: searched in a study, mixed with others, written, loaded, scored by serving."""

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pennant.data.lake import Lake
from pennant.security.signing import ensure_keys
from pennant.settings import Settings
from pennant.training import fit, rows, search
from pennant_serving import bundle as serving
from pennant_serving.errors import ExplanationUnavailable

pytestmark = pytest.mark.skipif(
    find_spec("torch") is None, reason="PyTorch is not installed: uv pip install --python .venv torch"
)

OTHERS = {
    "binary": {"linear": {"kind": "logistic"}},
    "multiclass": {"linear": {"kind": "logistic"}},
    "count": {"linear": {"kind": "poisson"}},
    "regression": {"linear": {"kind": "ridge"}},
    "trajectory": {"straight": {"kind": "constant_velocity"}},
}
GRID = {
    "learning_rate": {"low": 0.003, "high": 0.03, "log": True},
    "batch_size": {"low": 32, "high": 128, "log": True, "kind": "int"},
    "hidden_dim": {"low": 4, "high": 16, "log": True, "kind": "int"},
}


def members(task: str) -> dict[str, Any]:
    events = [["back_x_2", "back_y_2"], ["back_x_1", "back_y_1"]]
    sequence = events if task == "trajectory" else [["form"], ["strength"]]
    fixed = {"layers": 1, "epochs": 4}
    network = {"kind": "transformer", "sequence": sequence, "search": GRID, "fixed": fixed}
    return {"network": network, **OTHERS[task]}


@pytest.mark.parametrize("task", list(OTHERS))
def test_a_searched_transformer_is_served_as_it_was_trained(
    task: str, tmp_path: Path, new_database: Callable[[], str], planted_task: Any
) -> None:
    settings, lake, url = Settings(home=tmp_path / "home"), Lake((tmp_path / "lake").as_uri()), new_database()
    ensure_keys(settings.secrets)
    world = planted_task(task)
    budget = {"trials": 2, "workers": 1, "minutes": 5, "seed": 7}
    use_case = world.declare(members=members(task), search=budget, ensemble="voting")
    snapshot = world.league(600).put(lake)
    plan = search.prepare(use_case, snapshot, lake, url)
    assert search.run_shard(use_case, snapshot, lake, url, plan.study, 0)["trials"] == 2
    author = "author@example.org"
    made = [
        fit.fit(use_case, snapshot, lake, url, plan.study, tmp_path / name, settings, author)
        for name in ("one", "other")
    ]
    assert made[0].sha256 == made[1].sha256
    loaded = serving.load(made[0].folder, (settings.secrets / "signing.pub").read_bytes())
    assert {each["kind"] for each in loaded.manifest["members"]} > {"transformer"}
    assert {"onnx", "torch"} <= set(loaded.manifest["packages"])
    chosen, _ = search.best_parameters(use_case, snapshot, url, plan.study, None)
    model = fit.fit_rows(use_case, rows.read(use_case, snapshot, lake), chosen)
    x, _ = world.draw(200, 77)
    assert np.abs(loaded.predict(x).prediction - model.predict(x)).max() < 1e-9
    alone = np.concatenate([loaded.predict(x[at : at + 1]).prediction for at in range(50)])
    assert np.abs(alone - loaded.predict(x).prediction[:50]).max() < 1e-9
    with pytest.raises(ExplanationUnavailable) as refused:
        loaded.explain(x[:1])
    assert refused.value.kind == "transformer"
