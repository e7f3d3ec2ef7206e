"""The kinds of member by the name that bundle.json uses. Without an entry here a kind is refused."""

from pennant_serving.members.base import Loader
from pennant_serving.members.boosted import load_xgboost
from pennant_serving.members.column import load_column
from pennant_serving.members.counts import load_poisson, load_trees_count
from pennant_serving.members.linear import load_logistic, load_ridge
from pennant_serving.members.onnx import load_transformer
from pennant_serving.members.paths import load_constant_velocity, load_path_residual

LOADERS: dict[str, Loader] = {
    "xgboost": load_xgboost,
    "logistic": load_logistic,
    "ridge": load_ridge,
    "column": load_column,
    "poisson": load_poisson,
    "trees_count": load_trees_count,
    "constant_velocity": load_constant_velocity,
    "path_residual": load_path_residual,
    "transformer": load_transformer,
}
