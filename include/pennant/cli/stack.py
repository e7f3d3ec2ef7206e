"""`pennant up`, `pennant down` and `pennant status`: the whole system on this machine."""

import signal
import time
from typing import TYPE_CHECKING

import typer

from pennant.cli.output import Json, answer, load_settings

if TYPE_CHECKING:
    from pennant.platform.stack import Stack
    from pennant.settings import Settings


def register(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    app.command()(up)
    app.command()(down)
    app.command()(status)
    app.command("prepare")(prepare_server)


def up(as_json: Json = False) -> None:
    """Start PostgreSQL, Airflow, MLflow and the serving app, and stay until Ctrl-C.

    Example: pennant up
    """
    from pennant.platform.stack import Stack

    def told(part: str, seconds: float) -> None:
        if not as_json:
            typer.echo(f"  {seconds:5.1f} s  {part}")

    _end_on(signal.SIGTERM, signal.SIGHUP)
    stack = Stack(load_settings(), told)
    try:
        with stack:
            answer(_shown(stack.settings), _welcome(stack), as_json)
            while True:
                stack.check()
                time.sleep(1)
    except KeyboardInterrupt:
        if not as_json:
            typer.echo("Stopped: nothing of it runs any more.")


def down(as_json: Json = False) -> None:
    """Stop the stack that runs from this home folder, wherever it was started.

    Example: pennant down
    """
    from pennant.platform.discover import located, stop_running

    settings = located(load_settings())
    stopped = stop_running(settings)
    answer({"stopped": stopped}, f"Stopped the stack of {settings.home} (process {stopped}).", as_json)


def status(as_json: Json = False) -> None:
    """Show what runs, where to reach it, and how to log in. Fails when nothing runs.

    Example: pennant status --json
    """
    from pennant.platform.discover import located, record, running_settings

    settings = located(load_settings())
    processes = record(settings)["processes"]
    found = running_settings(settings)
    names = ", ".join(str(each["name"]) for each in processes)
    answer(_shown(found) | {"processes": processes}, f"Running: {names}\n{_addresses(found)}", as_json)


def prepare_server(as_json: Json = False) -> None:
    """Create databases, migrate the warehouse and make keys, where something else starts the processes.

    Example: pennant prepare
    """
    from dataclasses import asdict

    from pennant.platform.prepare import prepare

    done = prepare(load_settings())
    text = f"The warehouse {done.warehouse} is migrated; keys are in {done.secrets}."
    answer(asdict(done), text, as_json)


def _shown(settings: "Settings") -> dict[str, object]:
    """Addresses, and the file of the passwords instead of the passwords."""
    from pennant.platform.airflow import PASSWORDS

    return {
        "home": settings.home,
        "airflow": settings.airflow,
        "mlflow": settings.mlflow,
        "serving": settings.serving,
        "airflow_passwords": settings.secrets / PASSWORDS,
        "logs": settings.home / "logs",
    }


def _welcome(stack: "Stack") -> str:
    return f"{_addresses(stack.settings)}\nCtrl-C stops everything."


def _addresses(settings: "Settings") -> str:
    from pennant.platform.airflow import passwords

    return "\n".join(
        [
            f"Airflow   {settings.airflow}   user admin, password {passwords(settings.secrets)['admin']}",
            f"MLflow    {settings.mlflow}",
            f"Serving   {settings.serving}/docs",
            f"Logs      {settings.home / 'logs'}",
        ]
    )


def _end_on(*signals: signal.Signals) -> None:
    """Let these signals end the command as Ctrl-C does, so that everything is stopped in order."""

    def interrupt(_signal: int, _frame: object) -> None:
        raise KeyboardInterrupt

    for each in signals:
        signal.signal(each, interrupt)
