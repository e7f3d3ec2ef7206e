"""MLflow's way in: `mlflow.pyfunc` with `loader_module="pennant_serving.flavor"` scores a bundle.

`mlflow models serve` gives the very numbers that the serving app gives. MLflow itself is not imported.
The public key is read from the file that PENNANT_SERVING_PUBLIC_KEY names; without it the caller must
say PENNANT_SERVING_ALLOW_UNSIGNED=1.
"""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pennant_serving.bundle import Bundle, load
from pennant_serving.golden import flattened

if TYPE_CHECKING:
    import pandas as pd


class BundleModel:
    """What `mlflow.pyfunc.load_model` wraps."""

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle

    def predict(self, model_input: "pd.DataFrame", params: dict[str, Any] | None = None) -> "pd.DataFrame":  # noqa: ARG002 - MLflow's signature
        """Score a frame that has every input of the contract.

        Returns:
            A frame with the same index and the columns prediction, low, high; where they are several numbers,
            one column for each, such as prediction_0 and low_0. Of a path, low holds the radii.

        Raises:
            ValueError: a column of the contract is absent.
        """
        import pandas as pd

        names = [each.name for each in self.bundle.inputs]
        absent = [name for name in names if name not in model_input.columns]
        if absent:
            raise ValueError(
                f"columns {absent} are absent; found {list(model_input.columns)}; allowed are {names}"
            )
        scores = self.bundle.predict(model_input[names].to_numpy(dtype=np.float64, na_value=np.nan))
        found = flattened(scores, self.bundle.task, ("prediction", "low", "high"))
        return pd.DataFrame(found, index=model_input.index)


def _load_pyfunc(path: str) -> BundleModel:
    """Called by MLflow with the data path of the model: the bundle's folder, or its parent."""
    folder = Path(path)
    if not (folder / "bundle.json").exists():
        inside = sorted(each.parent for each in folder.glob("*/bundle.json"))
        folder = inside[0] if len(inside) == 1 else folder
    key = os.environ.get("PENNANT_SERVING_PUBLIC_KEY", "")
    allow = os.environ.get("PENNANT_SERVING_ALLOW_UNSIGNED", "") == "1"
    return BundleModel(load(folder, Path(key).read_bytes() if key else None, allow_unsigned=allow))
