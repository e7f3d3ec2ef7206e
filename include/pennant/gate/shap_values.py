"""Why the challenger says what it says: SHAP values on the fresh rows.

TreeSHAP (Lundberg et al. 2020, Nature Machine Intelligence 2) on the tree member with the largest
weight, by the `shap` library; a bundle without trees is explained by its own scorer.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from pennant.gate.tables import Floats
from pennant_serving.bundle import Bundle

MAX_ROWS = 500
"""A mean over 500 rows stands still, and dots of more rows only cover each other."""


@dataclass(frozen=True)
class Explained:
    """SHAP values in logits.

    Attributes:
        what: the model that was explained.
        names: features, f of them.
        inputs: (n, f), NaN where missing.
        values: (n, f), logits.
    """

    what: str
    names: tuple[str, ...]
    inputs: Floats
    values: Floats

    def ranking(self) -> list[tuple[str, float]]:
        """Features with their mean |SHAP value|, largest first."""
        means = np.abs(self.values).mean(axis=0)
        return [(self.names[at], float(means[at])) for at in np.argsort(-means, kind="stable")]


def explain(rows: pl.DataFrame, bundle: Bundle, folder: Path) -> Explained | None:
    """SHAP values of up to 500 fresh rows, evenly spread; None when there is no row.

    Args:
        rows: the fresh rows, with a column per input of the bundle.
        bundle: the verified bundle.
        folder: where its files lie.
    """
    if not rows.height:
        return None
    names = tuple(each.name for each in bundle.inputs)
    taken = rows[np.linspace(0, rows.height - 1, min(MAX_ROWS, rows.height)).astype(np.int64)]
    inputs = taken.select(pl.col(names).cast(pl.Float64).fill_null(float("nan"))).to_numpy()
    inputs = np.ascontiguousarray(inputs, dtype=np.float64)
    trees = [each for each in bundle.manifest["members"] if each["kind"] == "xgboost"]
    if not trees:
        return Explained("the ensemble", names, inputs, bundle.explain(inputs).contributions)
    heaviest = max(trees, key=lambda each: float(each["weight"]))
    what = f"member {heaviest['name']}, which has {heaviest['weight']:.0%} of the weight"
    return Explained(what, names, inputs, _tree_shap(folder / heaviest["file"], names, inputs))


def _tree_shap(model: Path, names: tuple[str, ...], inputs: Floats) -> Floats:
    import shap
    import xgboost

    booster = xgboost.Booster()
    booster.load_model(model)
    booster.feature_names = list(names)
    values = shap.TreeExplainer(booster).shap_values(inputs)
    return np.asarray(values, dtype=np.float64)
