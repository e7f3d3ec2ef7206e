"""The kinds of member by the name the declaration uses."""

from pennant.training.members.base import MemberKind
from pennant.training.members.column import Column
from pennant.training.members.counts import Poisson, TreesCount
from pennant.training.members.logistic import Logistic
from pennant.training.members.paths import ConstantVelocity, PathResidual
from pennant.training.members.ridge import Ridge
from pennant.training.members.transformer import Transformer
from pennant.training.members.xgboost import XGBoost

KINDS: dict[str, MemberKind] = {
    "xgboost": XGBoost(),
    "logistic": Logistic(),
    "ridge": Ridge(),
    "column": Column(),
    "poisson": Poisson(),
    "trees_count": TreesCount(),
    "constant_velocity": ConstantVelocity(),
    "path_residual": PathResidual(),
    "transformer": Transformer(),
}
