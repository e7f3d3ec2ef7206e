"""Hyper-parameters that a member may declare, with the values each takes.

The same as in `pennant.training.members`, which would cost seconds to import; a test compares the two.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Bounds:
    low: float
    high: float
    whole: bool = False

    def describe(self) -> str:
        return f"a {'whole ' if self.whole else ''}number from {self.low:g} to {self.high:g}"

    def accepts(self, value: object) -> bool:
        if isinstance(value, bool) or not isinstance(value, int | float):
            return False
        return self.low <= value <= self.high and (not self.whole or float(value).is_integer())


PARAMETERS: dict[str, dict[str, Bounds]] = {
    "xgboost": {
        "max_depth": Bounds(1, 16, whole=True),
        "learning_rate": Bounds(1e-4, 1.0),
        "n_estimators": Bounds(1, 5000, whole=True),
        "min_child_weight": Bounds(0.0, 1e5),
        "subsample": Bounds(0.05, 1.0),
        "colsample_bytree": Bounds(0.05, 1.0),
        "gamma": Bounds(0.0, 1e5),
        "reg_lambda": Bounds(0.0, 1e5),
        "reg_alpha": Bounds(0.0, 1e5),
        "max_delta_step": Bounds(0.0, 100.0),
        "max_bin": Bounds(2, 4096, whole=True),
    },
    "logistic": {"c": Bounds(1e-6, 1e6)},
}
