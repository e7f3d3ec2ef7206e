"""What made a bundle: the code's commit and the packages' versions."""

import subprocess
from importlib.metadata import version

from pennant.settings import REPOSITORY

PACKAGES = ("numpy", "optuna", "pennant", "polars", "pyarrow", "scikit-learn", "xgboost-cpu")


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


def packages() -> dict[str, str]:
    """Versions of the packages that the model's numbers depend on."""
    return {name: version(name) for name in PACKAGES}
