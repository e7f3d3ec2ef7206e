"""The `pennant` command."""

import importlib
import json
from typing import Any

import typer
from typer.core import TyperGroup

from pennant.cli.output import described
from pennant.errors import PennantError

GROUPS = (
    "demo",
    "declaration",
    "data",
    "sources",
    "quarantine",
    "features",
    "backtest",
    "rebuild",
    "gate",
    "ledger",
    "stack",
)
"""Modules of `pennant.cli` that add commands, in the order of the help. They must be light to import."""


class _Commands(TyperGroup):
    """Prints our own errors as one message; any other exception is a defect and keeps its traceback."""

    def invoke(self, ctx: Any) -> Any:
        wants_json = "--json" in [*ctx._protected_args, *ctx.args]
        try:
            return super().invoke(ctx)
        except PennantError as error:
            if wants_json:
                typer.echo(json.dumps(described(error), default=str))
            else:
                typer.secho(f"pennant: {error}", fg=typer.colors.RED, err=True)
            raise typer.Exit(1) from error


def build() -> typer.Typer:
    """Make the command with all groups; a group that cannot be imported is an error, not a gap."""
    made = typer.Typer(
        name="pennant",
        cls=_Commands,
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        help="Put predictive models into production with Apache Airflow, and keep them honest there.",
    )
    for group in GROUPS:
        importlib.import_module(f"pennant.cli.{group}").register(made)
    return made


app = build()
