"""Aliases: named, promoted, rolled back, and compared with the ledger.

Every move goes through `pennant.registry.writer`: the ledger first, then MLflow.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from sqlalchemy import Connection, Engine

from pennant.registry import ledger
from pennant.registry.errors import NoPreviousChampion
from pennant.registry.ledger import LedgerEntry
from pennant.registry.models import Models
from pennant.registry.moves import ALIASES, Versions, changes_of, fold, ledger_state, moves_of, targets
from pennant.registry.writer import Plan, Request, lock_name, perform, remember_head
from pennant.warehouse.lock import held

__all__ = ["ALIASES", "Deviation", "challenge", "ledger_state", "move", "promote", "reconcile", "rollback"]


@dataclass(frozen=True)
class Deviation:
    """One alias in MLflow that is not where the ledger has it.

    `kind`: `unfinished` (a process died between ledger and MLflow), `moved` (somebody else moved it).
    """

    use_case: str
    alias: str
    kind: Literal["unfinished", "moved"]
    ledger: str | None
    mlflow: str | None
    repaired: bool

    def to_json(self) -> dict[str, object]:
        return {
            "use_case": self.use_case,
            "alias": self.alias,
            "kind": self.kind,
            "ledger": self.ledger,
            "mlflow": self.mlflow,
            "repaired": self.repaired,
        }


def move(  # noqa: PLR0913, PLR0917 - a move names all that its entry says
    models: Models,
    warehouse: Engine,
    use_case: str,
    changes: Versions,
    expected: Versions,
    action: str,
    why: str,
    actor: str,
    evidence_sha256: str = "",
    *,
    request_key: str = "",
    details: Mapping[str, object] | None = None,
) -> LedgerEntry:
    """Move aliases if they are where `expected` says, in the ledger and in MLflow.

    Args:
        models: the registry.
        warehouse: the database of the ledger.
        use_case: name of the use case.
        changes: the new version of each alias; None removes it. May be empty: then only the entry is made.
        expected: what the caller decided on; names every alias of `changes`.
        action: what the ledger calls it, for example `challenge`.
        why: the reason, for people.
        actor: who asked for it.
        evidence_sha256: hash of the evidence, empty when there is none.
        request_key: makes the move happen once, however often it is asked for.
        details: numbers for the entry.

    Returns:
        The ledger entry; the earlier one when this very move was made before.

    Raises:
        AliasConflict: an alias is somewhere else; nothing was moved.
        VersionUnknown: MLflow has no such version; nothing was moved.
        RegistryDown: MLflow did not answer. If the entry was written, the next move, or
            `reconcile`, finishes it.
        ValueError: an alias that Pennant does not keep, or one that `expected` does not name.
    """
    request = Request(use_case, action, why, actor, evidence_sha256, request_key, details or {})
    return perform(models, warehouse, request, lambda _: Plan(changes, expected))


def challenge(
    models: Models,
    warehouse: Engine,
    use_case: str,
    version: str,
    why: str,
    actor: str,
    evidence_sha256: str = "",
) -> LedgerEntry:
    """Name `version` the challenger, whoever was it before."""
    request = Request(use_case, "challenge", why, actor, evidence_sha256)

    def plan(state: Mapping[str, str]) -> Plan:
        return Plan({"challenger": version}, {"challenger": state.get("challenger")})

    return perform(models, warehouse, request, plan, lambda _, state: state.get("challenger") == version)


def promote(  # noqa: PLR0913 - as above
    models: Models,
    warehouse: Engine,
    use_case: str,
    version: str,
    why: str,
    actor: str,
    evidence_sha256: str = "",
    *,
    champion: str | None,
    request_key: str = "",
    details: Mapping[str, object] | None = None,
) -> LedgerEntry:
    """Make the challenger `version` champion; the old champion becomes `previous_champion`.

    Args:
        models: the registry.
        warehouse: the database of the ledger.
        use_case: name of the use case.
        version: the challenger.
        why: the reason, for people.
        actor: who asked for it.
        evidence_sha256: hash of the gate's evidence.
        champion: the champion that the challenger was judged against; None for the first.
        request_key: makes the promotion happen once.
        details: numbers for the entry.

    Raises:
        AliasConflict: `version` is not the challenger, or another champion reigns by now.
        VersionUnknown: MLflow has no such version.
        RegistryDown: MLflow did not answer.
    """
    request = Request(use_case, "promote", why, actor, evidence_sha256, request_key, details or {})

    def plan(state: Mapping[str, str]) -> Plan:
        previous = champion if champion is not None else state.get("previous_champion")
        return Plan(
            {"champion": version, "challenger": None, "previous_champion": previous},
            {
                "champion": champion,
                "challenger": version,
                "previous_champion": state.get("previous_champion"),
            },
        )

    def same(entry: LedgerEntry, state: Mapping[str, str]) -> bool:
        return state.get("champion") == version and targets(entry).get("champion") == version

    return perform(models, warehouse, request, plan, same)


def rollback(
    models: Models, warehouse: Engine, use_case: str, actor: str, why: str, *, request_key: str = ""
) -> LedgerEntry:
    """Swap champion and previous champion; a second rollback swaps them back.

    The challenger loses its alias: it was judged against the champion that goes. A rollback whose
    process died before MLflow followed is finished, not made again.

    Raises:
        NoPreviousChampion: there is nothing to go back to.
        AliasConflict: an alias was moved behind Pennant's back.
        RegistryDown: MLflow did not answer.
    """
    request = Request(use_case, "rollback", why, actor, request_key=request_key)

    def plan(state: Mapping[str, str]) -> Plan:
        champion, previous = state.get("champion"), state.get("previous_champion")
        if previous is None or champion is None:
            raise NoPreviousChampion(use_case, champion)
        challenger = state.get("challenger")
        return Plan(
            {"champion": previous, "previous_champion": champion, "challenger": None},
            {"champion": champion, "previous_champion": previous, "challenger": challenger},
        )

    return perform(models, warehouse, request, plan, unfinished_is_same=True)


def reconcile(models: Models, warehouse: Engine, use_cases: Sequence[str], repair: bool) -> list[Deviation]:
    """Compare MLflow's aliases with the ledger, and move them to it when `repair` is asked for.

    A repair of an alias that somebody moved is itself written to the ledger. The head of the ledger
    is remembered in the lake (`pennant.registry.heads`).

    Raises:
        VersionUnknown: the ledger names a version that was deleted in MLflow.
        RegistryDown: MLflow did not answer.
    """
    found: list[Deviation] = []
    for use_case in use_cases:
        with held(warehouse, lock_name(use_case)) as connection:
            deviations = _deviations(models, connection, use_case, repair)
            if repair and deviations:
                _repair(models, connection, use_case, deviations)
        found.extend(deviations)
    remember_head(models, warehouse)
    return found


def _deviations(models: Models, connection: Connection, use_case: str, repair: bool) -> list[Deviation]:
    moves = moves_of(connection, use_case)
    connection.rollback()
    state, registry = fold(moves), models.held(use_case)
    behind = bool(moves) and registry.ledger_seq < moves[-1].seq
    open_changes = changes_of(moves[-1]) if behind else {}
    found = []
    for alias in ALIASES:
        at = registry.aliases.get(alias)
        if at == state.get(alias):
            continue
        unfinished = alias in open_changes and at == open_changes[alias]["from"]
        found.append(
            Deviation(use_case, alias, "unfinished" if unfinished else "moved", state.get(alias), at, repair)
        )
    if behind and repair and not found:
        models._mark(use_case, moves[-1].seq, moves[-1].hash)
    return found


def _repair(models: Models, connection: Connection, use_case: str, found: Sequence[Deviation]) -> None:
    moved = [each for each in found if each.kind == "moved"]
    for version in {each.ledger for each in found if each.ledger is not None}:
        models.version(use_case, version)
    if moved:
        with connection.begin():
            ledger.append(
                connection,
                use_case,
                "reconcile",
                {"moved_behind_our_back": [each.to_json() for each in moved]},
            )
    for each in found:
        models._set_alias(use_case, each.alias, each.ledger)
    moves = moves_of(connection, use_case)
    connection.rollback()
    if moves:
        models._mark(use_case, moves[-1].seq, moves[-1].hash)
