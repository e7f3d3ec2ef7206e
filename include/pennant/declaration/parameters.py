"""Kinds of member: what each can predict, and which hyper-parameters it takes.

Stated here and not with the members, whose libraries cost seconds to import: a declaration is checked at
once.
"""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Allowed:
    """One hyper-parameter: its default and what it may be.

    Attributes:
        default: taken where nothing is declared, searched or given.
        low: smallest value.
        high: largest value.
        whole: only whole numbers.
    """

    default: float
    low: float
    high: float
    whole: bool = False

    def describe(self) -> str:
        return f"a {'whole ' if self.whole else ''}number from {self.low:g} to {self.high:g}"

    def accepts(self, value: object) -> bool:
        """True for a number of the right type and size; a bool is no number."""
        if isinstance(value, bool) or not isinstance(value, int | float):
            return False
        return self.low <= value <= self.high and (not self.whole or float(value).is_integer())


TREES: Mapping[str, Allowed] = {
    "max_depth": Allowed(3, 1, 16, whole=True),
    "learning_rate": Allowed(0.05, 1e-4, 1.0),
    "n_estimators": Allowed(100, 1, 5000, whole=True),
    "min_child_weight": Allowed(5.0, 0.0, 1e5),
    "subsample": Allowed(0.8, 0.05, 1.0),
    "colsample_bytree": Allowed(1.0, 0.05, 1.0),
    "gamma": Allowed(0.0, 0.0, 1e5),
    "reg_lambda": Allowed(1.0, 0.0, 1e5),
    "reg_alpha": Allowed(0.0, 0.0, 1e5),
    "max_delta_step": Allowed(0.0, 0.0, 100.0),
    "max_bin": Allowed(256, 2, 4096, whole=True),
}

PATH_TREES: Mapping[str, Allowed] = {
    "max_depth": Allowed(6, 1, 16, whole=True),
    "learning_rate": Allowed(0.05, 1e-4, 1.0),
    "n_estimators": Allowed(150, 1, 5000, whole=True),
    "min_child_weight": Allowed(20.0, 0.0, 1e5),
    "subsample": Allowed(0.7, 0.05, 1.0),
    "colsample_bytree": Allowed(0.5, 0.05, 1.0),
    "reg_lambda": Allowed(1.0, 0.0, 1e5),
    "max_bin": Allowed(128, 2, 4096, whole=True),
}

TRANSFORMER: Mapping[str, Allowed] = {
    "learning_rate": Allowed(3e-3, 1e-5, 0.1),
    "batch_size": Allowed(256, 8, 8192, whole=True),
    "hidden_dim": Allowed(32, 4, 512, whole=True),
    "layers": Allowed(2, 1, 6, whole=True),
    "heads": Allowed(2, 1, 8, whole=True),
    "dropout": Allowed(0.1, 0.0, 0.9),
    "epochs": Allowed(40, 1, 500, whole=True),
    "weight_decay": Allowed(0.01, 0.0, 10.0),
}
"""`hidden_dim` is rounded up to a multiple of `heads`; `epochs` is the most, the newest rows may end it."""

PARAMETERS: dict[str, Mapping[str, Allowed]] = {
    "xgboost": TREES,
    "logistic": {"c": Allowed(1.0, 1e-6, 1e6), "knots": Allowed(0, 0, 12, whole=True)},
    "ridge": {"alpha": Allowed(1.0, 0.0, 1e9)},
    "column": {"sharpness": Allowed(1.0, 0.1, 10.0)},
    "poisson": {"alpha": Allowed(1.0, 0.0, 1e9), "knots": Allowed(0, 0, 12, whole=True)},
    "trees_count": TREES,
    "constant_velocity": {},
    "path_residual": PATH_TREES,
    "transformer": TRANSFORMER,
}

TASKS: dict[str, tuple[str, ...]] = {
    "xgboost": ("binary", "multiclass", "count", "regression"),
    "logistic": ("binary", "multiclass"),
    "ridge": ("regression",),
    "column": ("binary", "multiclass", "count", "regression", "trajectory"),
    "poisson": ("count",),
    "trees_count": ("count",),
    "constant_velocity": ("trajectory",),
    "path_residual": ("trajectory",),
    "transformer": ("binary", "multiclass", "count", "regression", "trajectory"),
}
"""What each kind can predict."""

COLUMNS = ("column",)
"""Kinds whose forecast stands in features, which the declaration names."""

SEQUENCES = ("transformer",)
"""Kinds that read features as a sequence, which the declaration names."""

NEURAL = ("transformer",)
"""Kinds that are fitted by PyTorch, which only the extra `neural` installs."""

CALIBRATIONS: dict[str, tuple[str, ...]] = {
    "binary": ("platt", "isotonic", "beta"),
    "multiclass": ("temperature",),
    "count": ("temperature",),
    "regression": (),
    "trajectory": (),
}
"""What predictions of each task can be calibrated by, beside not at all."""

METRICS: dict[str, tuple[str, ...]] = {
    "binary": ("log_loss", "brier"),
    "multiclass": ("rps", "log_loss", "brier"),
    "count": ("log_loss", "crps"),
    "regression": ("squared_error", "absolute_error"),
    "trajectory": ("ade", "fde"),
}
"""What the gate can compare models of each task by: means over rows."""

INTERVALS: dict[str, tuple[str, ...]] = {
    "binary": ("spread",),
    "multiclass": ("spread",),
    "count": ("quantiles",),
    "regression": ("split_conformal", "quantiles"),
    "trajectory": ("split_conformal",),
}
"""What intervals predictions of each task can have; the first is taken where none is declared."""
