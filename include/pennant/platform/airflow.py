"""Airflow 3 on one machine: its environment, its four processes, its health."""

import base64
import hashlib
import json
import sys
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

import httpx
import psycopg

from pennant.platform import credentials
from pennant.platform.ports import LOOPBACK
from pennant.settings import REPOSITORY, Settings

USERS = {"admin": "admin", "op": "op", "viewer": "viewer"}
"""Name and role of the logins of a local installation; production uses another auth manager."""
PASSWORDS = "airflow.passwords.json"

COMPONENTS: dict[str, tuple[str, ...]] = {
    "airflow-api-server": ("api-server",),
    # Both log servers would listen on all addresses; the api-server reads the same files itself.
    "airflow-scheduler": ("scheduler", "--skip-serve-logs"),
    "airflow-dag-processor": ("dag-processor",),
    "airflow-triggerer": ("triggerer", "--skip-serve-logs"),
}

PATIENCE = {"airflow-triggerer": 3.0}
"""Seconds to end before it is killed, where not 10: a triggerer asked to stop while it still starts never
does, and killing one is harmless because the next takes over its triggers."""

_SETTINGS = {
    "CORE__EXECUTOR": "LocalExecutor",
    "CORE__LOAD_EXAMPLES": "False",
    "CORE__AUTH_MANAGER": "airflow.api_fastapi.auth.managers.simple.simple_auth_manager.SimpleAuthManager",
    # The default asks DNS for a full name, which takes seconds where there is no DNS.
    "CORE__HOSTNAME_CALLABLE": "socket.gethostname",
    "CORE__DAGBAG_IMPORT_TIMEOUT": "60",
    "DAG_PROCESSOR__DAG_FILE_PROCESSOR_TIMEOUT": "90",
    "DAG_PROCESSOR__REFRESH_INTERVAL": "10",
    "DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "20",
    # A loop that found nothing sleeps this long (seconds); the default of 1 is most of a short task's delay.
    "SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.25",
    "SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "60",
    "SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "120",
    "WORKERS__EXECUTION_API_TIMEOUT": "30",
    "API__HOST": LOOPBACK,
    "API__WORKERS": "1",
    # How long open connections may delay a stop; 120 by default.
    "API__WORKER_TIMEOUT": "30",
    "API__INSTANCE_NAME": "Pennant",
    "LOGGING__COLORED_CONSOLE_LOG": "False",
}


def environment(settings: Settings, database_url: str, warehouse_url: str) -> dict[str, str]:
    """The variables that make every Airflow process of this installation agree.

    Args:
        settings: of the running installation.
        database_url: of Airflow's own database.
        warehouse_url: what the connection `pennant_warehouse` holds.
    """
    keys = settings.secrets
    own = {
        "CORE__DAGS_FOLDER": str(REPOSITORY / "dags"),
        "CORE__PLUGINS_FOLDER": str(REPOSITORY / "plugins"),
        "CORE__PARALLELISM": str(settings.parallelism),
        "CORE__SIMPLE_AUTH_MANAGER_USERS": ",".join(f"{name}:{role}" for name, role in USERS.items()),
        "CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(keys / PASSWORDS),
        "CORE__FERNET_KEY": _fernet_key(credentials.secret(keys, "airflow.fernet")),
        "CORE__EXECUTION_API_SERVER_URL": f"http://{LOOPBACK}:{settings.airflow_port}/execution/",
        "DATABASE__SQL_ALCHEMY_CONN": _with_driver(database_url, "psycopg2"),
        "API__PORT": str(settings.airflow_port),
        "API__BASE_URL": settings.airflow,
        "API__SECRET_KEY": credentials.secret(keys, "airflow.api_secret"),
        "API_AUTH__JWT_SECRET": credentials.secret(keys, "airflow.jwt_secret", 64),
    }
    named = {f"AIRFLOW__{name}": value for name, value in {**_SETTINGS, **own}.items()}
    return named | {
        "AIRFLOW_HOME": str(settings.home / "airflow"),
        "AIRFLOW_CONN_PENNANT_WAREHOUSE": _connection(warehouse_url),
    }


def passwords(folder: Path) -> dict[str, str]:
    """Passwords of `USERS` by name; made the first time, in a file only the owner can read."""
    path = folder / PASSWORDS
    if not path.exists():
        made = {name: credentials.secret(folder, f"airflow.{name}", 24) for name in USERS}
        credentials.secret_folder(folder)
        credentials.keep(path, json.dumps(made))
    found: dict[str, str] = json.loads(path.read_text(encoding="utf-8"))
    return found


def command(*arguments: str) -> list[str]:
    """The `airflow` program of this environment; not through its script, whose path may hold a space."""
    return [sys.executable, "-m", "airflow", *arguments]


def unhealthy(address: str, client: httpx.Client) -> str | None:
    """None when all four processes report health to the api-server; else what it said."""
    try:
        answer = client.get(f"{address}/api/v2/monitor/health")
    except httpx.HTTPError as error:
        return f"{type(error).__name__}: {error}"
    if answer.status_code != httpx.codes.OK:
        return f"HTTP {answer.status_code}"
    parts: Mapping[str, Mapping[str, str | None]] = answer.json()
    states = {name: (part or {}).get("status") for name, part in parts.items()}
    wrong = [f"{name} is {state or 'not there yet'}" for name, state in states.items() if state != "healthy"]
    return ", ".join(wrong) or None


def migration_mark(database_url: str) -> str:
    """What tells a migrated database again: this Airflow, this server, and the revision it is at.

    It differs when another version, another server or another revision is there.
    """
    packages = [f"{name}=={version(name)}" for name in ("apache-airflow-core", "apache-airflow-task-sdk")]
    with psycopg.connect(database_url, connect_timeout=10) as connection:
        system = connection.execute("SELECT system_identifier FROM pg_control_system()").fetchone()
        revision: object = None
        if connection.execute("SELECT to_regclass('alembic_version')").fetchone() != (None,):
            revision = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    return f"{' '.join(packages)} server={system} revision={revision}"


def _with_driver(url: str, driver: str) -> str:
    return f"postgresql+{driver}://" + url.split("://", 1)[1]


def _fernet_key(secret: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(secret.encode()).digest()).decode()


def _connection(url: str) -> str:
    """An Airflow connection as JSON; what the URL's query holds (such as sslmode) goes to `extra`."""
    parts = urlsplit(url)
    return json.dumps(
        {
            "conn_type": "postgres",
            "host": parts.hostname,
            "port": parts.port,
            "login": unquote(parts.username or ""),
            "password": unquote(parts.password or ""),
            "schema": parts.path.lstrip("/"),
            "extra": dict(parse_qsl(parts.query)),
        }
    )
