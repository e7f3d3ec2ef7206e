"""Boosted trees through XGBoost's C library, straight from the installed wheel.

The Python package is not imported: it would bring SciPy, pandas and scikit-learn along where they are
installed (3.5 s and 120 MB at start), and costs more than twice as much per row. Only prediction is here,
no training. API: https://xgboost.readthedocs.io/en/stable/c.html
"""

import ctypes
import json
import sys
import threading
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_VALUE, _CONTRIBUTIONS = 0, 2


class TreesError(Exception):
    """XGBoost's library is absent, or refused a model or an input."""


@cache
def _library() -> ctypes.CDLL:
    spec = find_spec("xgboost")  # finds the package without running it
    name = "libxgboost.dylib" if sys.platform == "darwin" else "libxgboost.so"
    folders = [] if spec is None else [Path(each) / "lib" for each in spec.submodule_search_locations or ()]
    for folder in folders:
        if (folder / name).is_file():
            library = ctypes.CDLL(str(folder / name))
            library.XGBGetLastError.restype = ctypes.c_char_p
            return library
    raise TreesError(f"{name} is not in {[str(each) for each in folders]}; install xgboost-cpu")


def _check(status: int) -> None:
    if status != 0:
        text: bytes = _library().XGBGetLastError() or b"unknown error"
        raise TreesError(text.decode("utf-8", "replace").splitlines()[0])


def _interface(rows: Floats) -> bytes:
    described = {
        "data": (rows.ctypes.data, True),
        "shape": rows.shape,
        "typestr": rows.dtype.str,
        "version": 3,
    }
    return json.dumps(described).encode()


def _config(kind: int) -> bytes:
    asked = {"type": kind, "training": False, "iteration_begin": 0, "iteration_end": 0}
    return json.dumps({**asked, "strict_shape": False, "cache_id": 0, "missing": float("nan")}).encode()


_VALUE_CONFIG = _config(_VALUE)
_CONTRIBUTIONS_CONFIG = _config(_CONTRIBUTIONS)
_MATRIX_CONFIG = json.dumps({"missing": float("nan"), "nthread": 1}).encode()


class Trees:
    """One boosted model; every tree of it is used.

    `predict` may run in many threads at once. The library does not survive every malformed file, so only
    bytes whose hash and signature are proven belong here.

    Raises:
        TreesError: `content` is no XGBoost model (UBJSON or JSON).
    """

    def __init__(self, content: bytes) -> None:
        self._handle = ctypes.c_void_p()
        if len(content) < 16:  # the library ends the process on an empty buffer
            raise TreesError(f"{len(content)} bytes, which is no model")
        _check(_library().XGBoosterCreate(None, ctypes.c_uint64(0), ctypes.byref(self._handle)))
        size = ctypes.c_uint64(len(content))
        _check(_library().XGBoosterLoadModelFromBuffer(self._handle, ctypes.c_char_p(content), size))
        # One thread a request: rows are few, and the requests themselves run side by side.
        _check(_library().XGBoosterSetParam(self._handle, b"nthread", b"1"))
        count = ctypes.c_uint64()
        _check(_library().XGBoosterGetNumFeature(self._handle, ctypes.byref(count)))
        self.feature_count = int(count.value)
        self._contributions_lock = threading.Lock()

    def __del__(self) -> None:
        if self._handle:
            _library().XGBoosterFree(self._handle)

    def feature_names(self) -> list[str]:
        """Names stored in the model file; empty when it was trained without."""
        count, names = ctypes.c_uint64(), ctypes.POINTER(ctypes.c_char_p)()
        _check(
            _library().XGBoosterGetStrFeatureInfo(
                self._handle, b"feature_name", ctypes.byref(count), ctypes.byref(names)
            )
        )
        return [(names[index] or b"").decode() for index in range(count.value)]

    def objective(self) -> str:
        size, text = ctypes.c_uint64(), ctypes.c_char_p()
        _check(_library().XGBoosterSaveJsonConfig(self._handle, ctypes.byref(size), ctypes.byref(text)))
        config = json.loads(text.value or b"{}")
        return str(config["learner"]["objective"]["name"])

    def outputs(self) -> int:
        """Numbers that `predict` gives for a row."""
        return int(self.predict(np.zeros((1, self.feature_count))).shape[1])

    def attribute(self, name: str) -> str | None:
        """A text that training left in the model file under this name."""
        text, there = ctypes.c_char_p(), ctypes.c_int()
        _check(
            _library().XGBoosterGetAttr(self._handle, name.encode(), ctypes.byref(text), ctypes.byref(there))
        )
        return (text.value or b"").decode() if there.value else None

    def predict(self, rows: Floats) -> Floats:
        """What the objective foretells of `rows`, (n, features), NaN where missing: shape (n, outputs)."""
        rows = np.ascontiguousarray(rows, dtype=np.float64)
        outputs = _Outputs()
        status = _library().XGBoosterPredictFromDense(
            self._handle, _interface(rows), _VALUE_CONFIG, None, *outputs.references()
        )
        _check(status)
        return outputs.copy().reshape(len(rows), -1)

    def contributions(self, rows: Floats) -> Floats:
        """TreeSHAP values of the margin, shape (n, outputs, features + 1); the last column is the bias."""
        rows = np.ascontiguousarray(rows, dtype=np.float64)
        matrix, outputs = ctypes.c_void_p(), _Outputs()
        _check(_library().XGDMatrixCreateFromDense(_interface(rows), _MATRIX_CONFIG, ctypes.byref(matrix)))
        try:
            with self._contributions_lock:  # only in-place prediction is documented as thread-safe
                status = _library().XGBoosterPredictFromDMatrix(
                    self._handle, matrix, _CONTRIBUTIONS_CONFIG, *outputs.references()
                )
                _check(status)
                return outputs.copy().reshape(len(rows), -1, self.feature_count + 1)
        finally:
            _library().XGDMatrixFree(matrix)


class _Outputs:
    """The three results of a prediction call; the memory belongs to the library, so it is copied out."""

    def __init__(self) -> None:
        self._shape = ctypes.POINTER(ctypes.c_uint64)()
        self._dimensions = ctypes.c_uint64()
        self._values = ctypes.POINTER(ctypes.c_float)()

    def references(self) -> tuple[object, object, object]:
        return ctypes.byref(self._shape), ctypes.byref(self._dimensions), ctypes.byref(self._values)

    def copy(self) -> Floats:
        shape = tuple(self._shape[index] for index in range(self._dimensions.value))
        return np.ctypeslib.as_array(self._values, shape=shape).astype(np.float64)
