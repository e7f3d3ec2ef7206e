"""The command `pennant-serving`."""

import argparse
import dataclasses
import secrets
import signal
import socket
import sys
from pathlib import Path
from types import FrameType

from pennant_serving import keys, logs
from pennant_serving.errors import BundleRejected
from pennant_serving.settings import Settings, SettingsError
from pennant_serving.spool import SpoolError


def main(arguments: list[str] | None = None) -> int:
    """Entry point; exit code 0 after a clean stop, 2 when it could not start."""
    given = _parser().parse_args(arguments)
    try:
        settings = Settings.load()
        if given.command == "add-key":
            return _add_key(settings, given.name, given.role)
        if given.port is not None:
            settings = dataclasses.replace(settings, port=given.port)
        return _run(settings, given.bundle, allow_unsigned=given.allow_unsigned)
    except (SettingsError, SpoolError, BundleRejected, OSError, ValueError) as error:
        sys.stderr.write(f"pennant-serving: {error}\n")
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="pennant-serving",
        description="Serve Pennant's models. Settings are PENNANT_SERVING_* variables; see the README.",
    )
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="serve until SIGTERM", epilog="example: pennant-serving run")
    run.add_argument("--port", type=int, help="instead of PENNANT_SERVING_PORT")
    run.add_argument("--bundle", type=Path, help="serve this one bundle alone, as policy 0")
    run.add_argument(
        "--allow-unsigned", action="store_true", help="with --bundle: do not ask who made the bundle"
    )
    add = commands.add_parser(
        "add-key",
        help="make an API key, print it once and store its hash in PENNANT_SERVING_KEYS_FILE",
        epilog="example: pennant-serving add-key dashboard --role read",
    )
    add.add_argument("name")
    add.add_argument("--role", choices=("read", "predict", "admin"), required=True)
    return parser


def _add_key(settings: Settings, name: str, role: keys.Role) -> int:
    if settings.keys_file is None:
        raise SettingsError("PENNANT_SERVING_KEYS_FILE", "nothing", "the path of the keys file")
    key = secrets.token_urlsafe(32)
    keys.add(settings.keys_file, name, role, key)
    sys.stdout.write(f"{key}\n")
    return 0


def _run(settings: Settings, bundle: Path | None, *, allow_unsigned: bool) -> int:
    # Imported here: `add-key` and `--help` need no web server.
    import uvicorn

    from pennant_serving.app import build

    # Uvicorn raises the signal again once it has stopped cleanly: that is a success, not a death.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _exit_cleanly)
    logs.configure()
    listening = _listen(settings)
    app = build(settings, bundle, allow_unsigned=allow_unsigned)
    config = uvicorn.Config(
        app, log_config=None, access_log=False, server_header=False, timeout_graceful_shutdown=20
    )
    logs.info("listening", host=settings.host, port=listening.getsockname()[1])
    uvicorn.Server(config).run(sockets=[listening])
    return 0


def _exit_cleanly(_number: int, _frame: FrameType | None) -> None:
    sys.exit(0)


def _listen(settings: Settings) -> socket.socket:
    """Take the port first, so that a taken one is said before anything is loaded."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listening = socket.socket(family)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((settings.host, settings.port))
    except OSError as error:
        listening.close()
        found = f"{settings.host}:{settings.port}: {error.strerror}"
        raise SettingsError("PENNANT_SERVING_PORT", found, "a free port of this machine") from error
    return listening
