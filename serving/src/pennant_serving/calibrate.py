"""From combined to calibrated probabilities, as bundle.json says; `manifest.py` has the formulas."""

import numpy as np

from pennant_serving.arrays import CLIP, Floats, logit, sigmoid
from pennant_serving.combine import LEAST
from pennant_serving.manifest import Beta, Calibration, Isotonic, Platt, Task, Temperature


def calibrated(calibration: Calibration, task: Task, mixed: Floats) -> Floats:
    """Calibrated predictions of the shape of `mixed`; only those of a binary task are clipped."""
    if isinstance(calibration, Temperature):
        raised = np.power(np.maximum(mixed, LEAST), 1.0 / calibration.temperature)
        return np.asarray(raised / raised.sum(axis=1, keepdims=True), dtype=np.float64)
    if isinstance(calibration, Platt):
        return sigmoid(calibration.slope * logit(mixed) + calibration.intercept)
    inside = np.clip(mixed, CLIP, 1.0 - CLIP) if task == "binary" else mixed
    if isinstance(calibration, Beta):
        return sigmoid(calibration.a * np.log(inside) - calibration.b * np.log1p(-inside) + calibration.c)
    if isinstance(calibration, Isotonic):
        return np.asarray(np.interp(inside, calibration.x, calibration.y), dtype=np.float64)
    return np.asarray(inside, dtype=np.float64)
