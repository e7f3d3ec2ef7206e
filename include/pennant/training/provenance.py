"""What made a bundle: the code's commit and the packages' versions."""

import subprocess
from collections.abc import Iterable
from importlib.metadata import version

from pennant.settings import REPOSITORY

PACKAGES = ("numpy", "optuna", "pennant", "polars", "pyarrow", "scikit-learn", "scipy", "xgboost-cpu")
OF_KIND = {"transformer": ("onnx", "onnxruntime", "torch")}
"""Packages that only members of this kind need."""


def code_commit() -> str:
    """The commit of the working copy, or `pennant <version>` where there is none (an installed package)."""
    if not (REPOSITORY / ".git").exists():
        return f"pennant {version('pennant')}"
    asked = ["git", "-C", str(REPOSITORY), "rev-parse", "HEAD"]
    try:
        answered = subprocess.run(asked, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        # No git, or another owner's working copy: the version is less exact and still true.
        return f"pennant {version('pennant')}"
    return answered.stdout.strip()


def packages(kinds: Iterable[str] = ()) -> dict[str, str]:
    """Versions of the packages that the numbers of a model with members of these kinds depend on."""
    more = {name for kind in kinds for name in OF_KIND.get(kind, ())}
    return {name: version(name) for name in sorted({*PACKAGES, *more})}
