"""What the ledger says about aliases: its moves, and the state they add up to. Reads only."""

from collections.abc import Mapping, Sequence
from typing import cast

from sqlalchemy import Connection, Engine

from pennant.registry import ledger
from pennant.registry.ledger import LedgerEntry

ALIASES = ("champion", "challenger", "previous_champion")
Versions = Mapping[str, str | None]
"""Version by alias; None means that the alias points at nothing."""


def ledger_state(source: Engine | Connection, use_case: str) -> dict[str, str]:
    """Where the aliases point by the ledger; an alias that points at nothing is absent."""
    return fold(moves_of(source, use_case))


def moves_of(source: Engine | Connection, use_case: str) -> list[LedgerEntry]:
    """The use case's alias moves in order; other rooms keep other entries in the same ledger."""
    return [each for each in ledger.entries(source, use_case) if "aliases" in each.entry]


def changes_of(entry: LedgerEntry) -> dict[str, dict[str, str | None]]:
    """What a move changed: `{alias: {"from": version, "to": version}}`."""
    return cast("dict[str, dict[str, str | None]]", entry.entry["aliases"])


def targets(entry: LedgerEntry) -> dict[str, str | None]:
    """Where a move left the aliases that it changed."""
    return {alias: change["to"] for alias, change in changes_of(entry).items()}


def fold(moves: Sequence[LedgerEntry]) -> dict[str, str]:
    """The state that moves, in order, add up to."""
    state: dict[str, str] = {}
    for entry in moves:
        for alias, version in targets(entry).items():
            if version is None:
                state.pop(alias, None)
            else:
                state[alias] = version
    return state


def made(source: Engine | Connection, use_case: str, request_key: str) -> LedgerEntry | None:
    """The move that was made under a key."""
    same = (each for each in moves_of(source, use_case) if each.entry["request_key"] == request_key)
    return next(same, None)
