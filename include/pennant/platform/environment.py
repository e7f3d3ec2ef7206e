"""The environment that every process of a stack shares."""

import os
import sys
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path

from pennant.platform import airflow, serving
from pennant.settings import Settings

_SHARED = {
    # Nothing we start may call home.
    "DO_NOT_TRACK": "1",
    "GX_ANALYTICS_ENABLED": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    # Several tasks share a few cores: more threads each would only make them wait for one another.
    "OMP_NUM_THREADS": "2",
    "OPENBLAS_NUM_THREADS": "1",
    "POLARS_MAX_THREADS": "2",
    # Threads of glibc keep 64 MB arenas each by default.
    "MALLOC_ARENA_MAX": "2",
    "GIT_PYTHON_REFRESH": "quiet",
    "MPLBACKEND": "Agg",
}


def environment(
    settings: Settings, airflow_database_url: str, base: Mapping[str, str] | None = None
) -> dict[str, str]:
    """The whole environment of our processes.

    Args:
        settings: with every address filled in.
        airflow_database_url: of Airflow's own database.
        base: what it is added to; by default this process's environment.
    """
    inherited = dict(os.environ if base is None else base)
    programs = str(Path(sys.executable).parent)
    return {
        **inherited,
        "PATH": os.pathsep.join([programs, inherited.get("PATH", os.defpath)]),
        **_SHARED,
        "MPLCONFIGDIR": str(settings.home / "cache" / "matplotlib"),
        **_as_variables(settings),
        **airflow.environment(settings, airflow_database_url, settings.warehouse_url),
    } | serving.environment(settings, settings.warehouse_url)


def _as_variables(settings: Settings) -> dict[str, str]:
    """The `PENNANT_*` variables from which `Settings.load` makes the same settings again."""
    values = {f"PENNANT_{each.name.upper()}": getattr(settings, each.name) for each in fields(settings)}
    return {name: _text(value) for name, value in values.items() if value != ""}


def _text(value: object) -> str:
    return str(int(value)) if isinstance(value, bool) else str(value)
