"""How every command answers: text for people, or one JSON object with `--json`."""

import dataclasses
import json
from collections.abc import Mapping
from typing import Annotated

import typer

from pennant.errors import PennantError
from pennant.settings import Settings

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]
"""The option that every command has."""


class SettingsError(PennantError):
    """A `PENNANT_*` variable that cannot be read; the text names it, what it held and what is allowed."""


def load_settings() -> Settings:
    """The settings of this installation.

    Raises:
        SettingsError: a variable that cannot be read.
    """
    try:
        return Settings.load()
    except ValueError as error:
        raise SettingsError(str(error)) from error


def answer(content: Mapping[str, object], text: str, as_json: bool) -> None:
    """Print the answer of a command: `content` as one JSON object, or `text`."""
    typer.echo(json.dumps(content, default=_plain) if as_json else text)


def described(error: PennantError) -> dict[str, object]:
    """An error as data: its kind, its message, and the attributes it was built from."""
    attributes = {name: value for name, value in vars(error).items() if not name.startswith("_")}
    return {"error": type(error).__name__, "message": str(error), **attributes}


def _plain(value: object) -> object:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    return str(value)
