"""The MLflow tracking server: its environment, its command, its health."""

import sys

import httpx

from pennant.platform.ports import LOOPBACK
from pennant.settings import Settings


def environment(settings: Settings, database_url: str) -> dict[str, str]:
    """Variables of the server process; the database's password stays out of the command line.

    Artifacts do not pass through the server: clients write to the artifact root themselves, and its
    proxy serves the same folder to the web pages.
    """
    return {
        "MLFLOW_BACKEND_STORE_URI": "postgresql+psycopg2://" + database_url.split("://", 1)[1],
        "MLFLOW_DEFAULT_ARTIFACT_ROOT": settings.artifacts,
        "MLFLOW_ARTIFACTS_DESTINATION": settings.artifacts,
        # The jobs it could run are about language models; each runner is a process of 200 MB.
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    }


def command(settings: Settings) -> list[str]:
    where = [f"--host={LOOPBACK}", f"--port={settings.mlflow_port}"]
    return [sys.executable, "-m", "mlflow", "server", *where, "--workers=1"]


def unhealthy(address: str, client: httpx.Client) -> str | None:
    """None when the server answers; else what was seen."""
    try:
        answer = client.get(f"{address}/health")
    except httpx.HTTPError as error:
        return f"{type(error).__name__}: {error}"
    return None if answer.status_code == httpx.codes.OK else f"HTTP {answer.status_code}"
