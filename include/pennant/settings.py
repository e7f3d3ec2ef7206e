"""Every setting of Pennant, each with its type, default and reason, read from `PENNANT_*` variables.

Nothing here holds a secret: secrets come from Airflow connections, the environment of the process
that needs them, or files under `home/secrets` that only the owner can read.
"""

import os
from dataclasses import dataclass, field, fields
from functools import cached_property
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Settings:
    """Where things are and on which ports, for one installation.

    Each field can be set by the environment variable `PENNANT_<FIELD IN CAPITALS>`.
    """

    home: Path = field(default=REPOSITORY / "var")
    """Folder of everything Pennant writes on this machine: database, lake, logs, secrets."""
    use_cases: Path = field(default=REPOSITORY / "include" / "use_cases")
    """Folder with one folder per use case."""
    lake_url: str = ""
    """fsspec URL of the lake; empty means the folder `home/lake`. Production: `s3://` or `gs://`."""
    database_url: str = ""
    """PostgreSQL server to use, `postgresql://user:password@host:port/`; empty starts the embedded one."""
    warehouse_url: str = ""
    """URL of the warehouse database itself; empty means database `pennant` on the server above."""
    mlflow_url: str = ""
    """MLflow tracking server; empty means `http://127.0.0.1:<mlflow_port>`."""
    artifacts_url: str = ""
    """Where MLflow keeps artifacts; empty means the folder `home/mlflow-artifacts`."""
    serving_url: str = ""
    """The serving app; empty means `http://127.0.0.1:<serving_port>`."""
    airflow_url: str = ""
    """Airflow's public address, used in links; empty means `http://127.0.0.1:<airflow_port>`."""
    data_mirror: str = ""
    """Folder or URL that holds copies of the public data sets; empty means their public addresses."""
    postgres_port: int = 5439
    """Not 5432, so that a PostgreSQL that is already on the machine is left alone."""
    airflow_port: int = 8080
    mlflow_port: int = 5055
    """Not 5000, which other programs take on macOS."""
    serving_port: int = 8001
    dask_address: str = ""
    """Dask scheduler, `tcp://host:8786`, that builds views too large for one machine; empty: none."""
    parallelism: int = 4
    """Task processes at once under the LocalExecutor; each holds up to 400 MB while it trains."""
    replay: bool = False
    """True ends every schedule at the declared `replay.until`: the demo drives a simulated clock."""

    @classmethod
    def load(cls, environ: dict[str, str] | None = None) -> "Settings":
        """Read the settings from `environ` (default: this process's environment).

        Raises:
            ValueError: a port or flag that cannot be read, naming the variable and what it held.
        """
        env = dict(os.environ) if environ is None else environ
        given: dict[str, object] = {}
        for each in fields(cls):
            name = f"PENNANT_{each.name.upper()}"
            text = env.get(name, "")
            if not text:
                continue
            given[each.name] = _parse(name, text, type(each.default))
        return cls(**given)  # type: ignore[arg-type]

    @cached_property
    def lake(self) -> str:
        return self.lake_url or (self.home / "lake").as_uri()

    @cached_property
    def artifacts(self) -> str:
        return self.artifacts_url or (self.home / "mlflow-artifacts").as_uri()

    @cached_property
    def mlflow(self) -> str:
        return self.mlflow_url or f"http://127.0.0.1:{self.mlflow_port}"

    @cached_property
    def serving(self) -> str:
        return self.serving_url or f"http://127.0.0.1:{self.serving_port}"

    @cached_property
    def airflow(self) -> str:
        return self.airflow_url or f"http://127.0.0.1:{self.airflow_port}"

    @property
    def secrets(self) -> Path:
        """Folder of keys and passwords that Pennant made for itself; mode 0700."""
        return self.home / "secrets"


def _parse(name: str, text: str, kind: type) -> object:
    if kind is bool:
        if text.lower() in {"1", "true", "yes", "on"}:
            return True
        if text.lower() in {"0", "false", "no", "off"}:
            return False
        raise ValueError(f"{name}: found {text!r}; allowed are 1, true, yes, on, 0, false, no, off")
    if kind is int:
        if not text.isdecimal() or not 0 < int(text) < 65536:
            raise ValueError(f"{name}: found {text!r}; allowed is a whole number from 1 to 65535")
        return int(text)
    if issubclass(kind, Path):
        return Path(text).expanduser().resolve()
    return text
