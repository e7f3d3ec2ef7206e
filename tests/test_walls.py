"""The walls between rooms: who may import what, how heavy, and how large a file may grow."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pennant.settings import REPOSITORY

INCLUDE = REPOSITORY / "include"
PENNANT = INCLUDE / "pennant"
SERVING = REPOSITORY / "serving" / "src" / "pennant_serving"
CODE = [PENNANT, SERVING, REPOSITORY / "dags", REPOSITORY / "plugins", INCLUDE / "use_cases"]
MAY_IMPORT_AIRFLOW = [PENNANT / "orchestration", REPOSITORY / "dags", REPOSITORY / "plugins"]

HEAVY = {
    "dask",
    "duckdb",
    "evidently",
    "great_expectations",
    "matplotlib",
    "mlflow",
    "numba",
    "numpy",
    "optuna",
    "pandas",
    "polars",
    "pyarrow",
    "scipy",
    "shap",
    "sklearn",
    "torch",
    "xgboost",
}
"""Libraries that cost from 0.2 to 7 seconds, in every process that imports them."""

MAX_LINES = 400
VAGUE = re.compile(
    r"(Manager|Helper|Helpers|Util|Utils|Service|Services)$|^(manager|helper|helpers|util|utils)$"
)


def files(*folders: Path) -> list[Path]:
    found = [path for folder in folders if folder.exists() for path in sorted(folder.rglob("*.py"))]
    return [path for path in found if "__pycache__" not in path.parts]


def shown(path: Path) -> str:
    return str(path.relative_to(REPOSITORY))


def imports(node: ast.AST) -> Iterator[str]:
    """Full names of the modules that a piece of code imports, wherever it does."""
    for each in ast.walk(node):
        if isinstance(each, ast.Import):
            yield from (alias.name for alias in each.names)
        elif isinstance(each, ast.ImportFrom) and each.level == 0 and each.module:
            yield each.module


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def test_only_orchestration_imports_airflow() -> None:
    strangers = [
        shown(path)
        for path in files(PENNANT, SERVING, INCLUDE / "use_cases")
        if not any(path.is_relative_to(each) for each in MAY_IMPORT_AIRFLOW)
        and any(name.split(".")[0] == "airflow" for name in imports(tree(path)))
    ]
    assert strangers == []


def test_serving_imports_nothing_of_pennant() -> None:
    found = {
        shown(path): name
        for path in files(SERVING)
        for name in imports(tree(path))
        if name == "pennant" or name.startswith("pennant.")
    }
    assert found == {}


def test_of_serving_only_the_bundle_format_and_its_scorer_are_shared() -> None:
    allowed = {
        "pennant_serving.bundle",
        "pennant_serving.scorer",
        "pennant_serving.manifest",
        "pennant_serving.errors",
        "pennant_serving.members.onnx",  # training predicts with the file and the loader that serving has
    }
    found = {
        f"{shown(path)}: {name}"
        for path in files(PENNANT, REPOSITORY / "dags", REPOSITORY / "plugins")
        for name in imports(tree(path))
        if name.split(".")[0] == "pennant_serving" and name not in allowed
    }
    assert found == set()


def test_a_package_imports_nothing_by_itself() -> None:
    busy = [
        shown(path)
        for path in files(PENNANT)
        if path.name == "__init__.py" and any(True for _ in imports(tree(path)))
    ]
    assert busy == []


def test_every_folder_of_code_is_a_package() -> None:
    folders = {path.parent for path in files(PENNANT, SERVING)}
    assert [shown(each) for each in sorted(folders) if not (each / "__init__.py").exists()] == []


def modules(*rooms: str) -> list[str]:
    found = []
    for path in files(*(PENNANT / room for room in rooms)):
        parts = path.relative_to(INCLUDE).with_suffix("").parts
        if "migrations" not in parts:  # Alembic runs them by path
            found.append(".".join(parts[:-1] if parts[-1] == "__init__" else parts))
    return found


def loaded_by(code: str) -> set[str]:
    """Heavy modules that are in a fresh process after running `code`."""
    ask = f"{code}\nimport sys\nprint(' '.join(sorted(set({sorted(HEAVY)!r}) & set(sys.modules))))"
    answer = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", ask],
        capture_output=True,
        text=True,
        check=False,
        cwd=REPOSITORY,
        timeout=240,
    )
    assert answer.returncode == 0, answer.stderr
    return set(answer.stdout.split("\n")[-2].split())


def test_light_rooms_load_no_heavy_library() -> None:
    names = modules("declaration", "warehouse", "security", "cli", "release")
    names += ["pennant.settings", "pennant.errors", "pennant.reference", "pennant.registry.ledger"]
    names += [
        "pennant.registry.models",
        "pennant.registry.aliases",
        "pennant.watch.alerts",
        "pennant.watch.slack",
    ]
    assert loaded_by("\n".join(f"import {name}" for name in names)) == set()


def test_the_settings_and_the_declaration_load_neither_a_database_nor_a_web_client() -> None:
    code = "import pennant.settings, pennant.declaration.loader, sys\n"
    code += "found = {'sqlalchemy', 'alembic', 'httpx', 'airflow', 'rich', 'typer'} & set(sys.modules)\n"
    code += "assert not found, found"
    assert loaded_by(code) == set()


@pytest.mark.parametrize("what", ["orchestration", "dags", "plugins"])
def test_what_airflow_parses_adds_no_heavy_library(what: str) -> None:
    # Airflow itself may bring one along; what counts is what Pennant adds to it.
    base = loaded_by("import airflow.sdk, airflow.timetables.interval, airflow.plugins_manager")
    if what == "orchestration":
        code = "\n".join(f"import {name}" for name in modules("orchestration"))
    else:
        paths = [str(path) for path in files(REPOSITORY / what)]
        code = f"import runpy\nfor path in {paths!r}:\n    runpy.run_path(path)"
    assert loaded_by(code) - base == set()


def test_no_file_outgrows_one_idea() -> None:
    long = {
        shown(path): lines
        for path in files(*CODE, REPOSITORY / "tests", REPOSITORY / "serving" / "tests")
        if (lines := len(path.read_text(encoding="utf-8").splitlines())) > MAX_LINES
    }
    assert long == {}


def test_names_say_what_a_thing_is() -> None:
    vague = [
        f"{shown(path)}: {node.name}"
        for path in files(*CODE)
        for node in ast.walk(tree(path))
        if isinstance(node, ast.ClassDef) and VAGUE.search(node.name)
    ]
    vague += [shown(path) for path in files(*CODE) if VAGUE.search(path.stem)]
    assert vague == []


def test_no_step_asks_for_the_time() -> None:
    """Law 2: one as_of. Bookkeeping by the database's clock is not a step's time."""
    rooms = [
        "declaration",
        "data",
        "features",
        "training",
        "gate",
        "release",
        "watch",
        "registry",
        "warehouse",
    ]
    asking = re.compile(r"\b(datetime\.now|datetime\.utcnow|datetime\.today|date\.today|time\.time)\(")
    found = [
        f"{shown(path)}:{number}"
        for path in files(*(PENNANT / room for room in rooms))
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if asking.search(line)
    ]
    assert found == []
