"""TreeSHAP of one booster by the `shap` library: values and interaction values, held to what they promise.

Lundberg et al. 2020, "From local explanations to global understanding with explainable AI for trees", Nature
Machine Intelligence 2. Both are in the booster's margin: a logit, class scores, the log of a mean, a number.
"""

from typing import Any

import numpy as np

from pennant.errors import PennantError
from pennant.gate.tables import Floats
from pennant_serving.scorer import MemberModel

TOLERANCE = 1e-5
"""How far a sum may miss what it adds up to, for margins up to 1; of larger ones that share."""
INTERACTION_ROWS = (20, 200)
"""At least, and at most: a mean over 200 rows stands still, and each row costs the square of the features."""
INTERACTION_WORK = 3e8
"""Rows x features x nodes of all trees: some seconds."""


class NotAdditive(PennantError):
    """Terms do not add up to what they explain, so they explain nothing.

    Attributes:
        what: which sum.
        error: the largest distance found.
        allowed: the largest one allowed.
    """

    def __init__(self, what: str, error: float, allowed: float) -> None:
        self.what, self.error, self.allowed = what, error, allowed
        super().__init__(f"{what}: found {error:.2g} apart; allowed is {allowed:.2g}.")


class TreeShap:
    """One booster, explained by `shap`.

    Args:
        content: an XGBoost model in UBJSON or JSON.
        features: how many it takes.
    """

    def __init__(self, content: bytes, features: int) -> None:
        import shap
        import xgboost

        self._booster = xgboost.Booster(model_file=bytearray(content))
        self._booster.feature_names = None
        self._features = features
        self._explainer = shap.TreeExplainer(self._booster)

    def values(self, inputs: Floats) -> Floats:
        """SHAP values of (n, features), shape (n, outputs, features + 1); the last column is the bias.

        Raises:
            NotAdditive: they are not the margin that the booster itself gives.
        """
        found = _by_output(self._explainer.shap_values(inputs), 2)
        bias = np.broadcast_to(np.atleast_1d(self._explainer.expected_value), found.shape[:2])
        whole = np.concatenate([found, bias[..., None].astype(np.float64)], axis=2)
        _check("SHAP values and the margin of the trees", whole.sum(axis=2), self._margin(inputs))
        return whole

    def interactions(self, inputs: Floats) -> Floats:
        """SHAP interaction values, shape (n, outputs, features, features); a row sums to its SHAP value.

        What two features do together stands half on either side of the diagonal.

        Raises:
            NotAdditive: a feature's row does not sum to its SHAP value.
        """
        found = _by_output(self._explainer.shap_interaction_values(inputs), 3)
        alone = self.values(inputs)[..., :-1]
        _check("interaction values and SHAP values", found.sum(axis=3), alone)
        return found

    def affordable(self) -> int:
        """How many rows `interactions` may take; the same for the same booster."""
        nodes = sum(tree.count("\n") for tree in self._booster.get_dump())
        least, most = INTERACTION_ROWS
        return int(np.clip(INTERACTION_WORK / (self._features * max(nodes, 1)), least, most))

    def _margin(self, inputs: Floats) -> Floats:
        import xgboost

        margin = self._booster.predict(xgboost.DMatrix(inputs), output_margin=True)
        return np.asarray(margin, dtype=np.float64).reshape(len(inputs), -1)


class ByShap:
    """A member of a bundle whose terms are those of `shap`; everything else is the member's own."""

    def __init__(self, member: MemberModel, trees: TreeShap) -> None:
        self._member, self._trees = member, trees

    def predict(self, rows: Floats) -> Floats:
        return self._member.predict(rows)

    def contributions(self, rows: Floats) -> Floats:
        return self._trees.values(rows)

    def respond(self, link: Floats) -> Floats:
        return self._member.respond(link)


def _by_output(found: Any, plain: int) -> Floats:
    """`shap` puts outputs last, and leaves the axis out where there is one: here they come second."""
    values = np.asarray(found, dtype=np.float64)
    return values[:, None] if values.ndim == plain else np.moveaxis(values, -1, 1)


def _check(what: str, found: Floats, wanted: Floats) -> None:
    allowed = TOLERANCE * max(1.0, float(np.abs(wanted).max(initial=0.0)))
    error = float(np.abs(found - wanted).max(initial=0.0))
    if not error <= allowed:
        raise NotAdditive(what, error, allowed)
