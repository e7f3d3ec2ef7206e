"""Loading a use case's `features.py`, and naming the code that made a snapshot."""

import hashlib
import importlib.util
from pathlib import Path
from types import ModuleType

import polars as pl

from pennant.declaration.model import Variant
from pennant.features.errors import FeaturesModuleBroken
from pennant.features.view import View

FUNCTIONS = ("features", "baselines")


def features_module(use_case_dir: Path) -> ModuleType:
    """Load `features.py` of a use case's folder afresh, under a name of its own.

    Raises:
        FeaturesModuleBroken: the file is missing, fails to import, or lacks one of `FUNCTIONS`.
    """
    path = use_case_dir / "features.py"
    if not path.is_file():
        raise FeaturesModuleBroken(path, "there is no such file")
    spec = importlib.util.spec_from_file_location(f"pennant_use_case_{use_case_dir.name}", path)
    if spec is None or spec.loader is None:
        raise FeaturesModuleBroken(path, "Python cannot load it as a module")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise FeaturesModuleBroken(path, f"importing it raised {type(error).__name__}: {error}") from error
    missing = [name for name in FUNCTIONS if not callable(getattr(module, name, None))]
    if missing:
        raise FeaturesModuleBroken(path, f"it does not define {' and '.join(missing)}")
    return module


def variant_module(use_case_dir: Path, name: str, variant: Variant) -> ModuleType:
    """Load `features.py` with `features` as a variant has them.

    The function of the variant's name is given the view and what `features` has made of it.

    Raises:
        FeaturesModuleBroken: as in `features_module`, or the variant has features and no function gives them.
    """
    module = features_module(use_case_dir)
    usual, more = module.features, getattr(module, name, None)
    if variant.features and not callable(more):
        raise FeaturesModuleBroken(
            use_case_dir / "features.py", f"it does not define {name}, for the variant"
        )

    def features(view: View) -> pl.DataFrame:
        made: pl.DataFrame = usual(view)
        if more is not None and variant.features:
            made = made.join(more(view, made), on="entity", how="left", maintain_order="left")
        return made.drop(variant.without)

    made = ModuleType(f"{module.__name__}_{name}")
    made.__dict__.update(features=features, baselines=module.baselines)
    return made


def code_hash(use_case_dir: Path) -> str:
    """SHA-256 over the use case's `features.py` and the code of the features room."""
    digest = hashlib.sha256()
    for path in [use_case_dir / "features.py", *sorted(Path(__file__).parent.glob("*.py"))]:
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()
