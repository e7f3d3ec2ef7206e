"""The one writer of MLflow's aliases: compare, write the ledger, then move.

The ledger is the truth. A move is appended to it first, and only then made in MLflow; a tag of the
registered model says up to which entry MLflow has followed. So a process killed in between leaves a
move that anyone can finish, and an alias that differs although MLflow has followed was moved by
somebody else: `pennant.registry.aliases.reconcile` tells the two apart.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy import Connection, Engine

from pennant.registry import ledger
from pennant.registry.errors import AliasConflict
from pennant.registry.ledger import LedgerEntry
from pennant.registry.models import Models
from pennant.registry.moves import ALIASES, Versions, changes_of, fold, moves_of, targets
from pennant.warehouse.lock import held


@dataclass(frozen=True)
class Request:
    """One wanted move.

    Attributes:
        action: what the ledger calls it.
        request_key: a move with the same key is made once, ever; empty means that the same action
            with the same evidence is not made again while its result still stands.
        details: numbers that belong in the entry.
    """

    use_case: str
    action: str
    why: str
    actor: str
    evidence_sha256: str = ""
    request_key: str = ""
    details: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class Plan:
    """What a request comes to in a given state: new versions, and what it was decided on."""

    changes: Versions
    expected: Versions


def perform(
    models: Models,
    warehouse: Engine,
    request: Request,
    plan: Callable[[Mapping[str, str]], Plan],
    same: Callable[[LedgerEntry, Mapping[str, str]], bool] | None = None,
    *,
    unfinished_is_same: bool = False,
) -> LedgerEntry:
    with held(warehouse, lock_name(request.use_case)) as connection:
        moves = moves_of(connection, request.use_case)
        connection.rollback()
        finished = _finish(models, request.use_case, moves)
        entry = _earlier(request, moves, plan, same)
        if entry is None and unfinished_is_same and finished and moves[-1].action == request.action:
            entry = moves[-1]
        if entry is None:
            entry = _make(models, connection, request, plan(fold(moves)), fold(moves))
    remember_head(models, warehouse)
    return entry


def catch_up(models: Models, warehouse: Engine, use_case: str) -> bool:
    """Finish in MLflow what a killed process began; True if there was need to.

    Raises:
        AliasConflict: besides being behind, an alias was moved by somebody else.
        RegistryDown: MLflow did not answer.
    """
    with held(warehouse, lock_name(use_case)) as connection:
        moves = moves_of(connection, use_case)
        connection.rollback()
        return _finish(models, use_case, moves)


def _make(
    models: Models, connection: Connection, request: Request, plan: Plan, state: Mapping[str, str]
) -> LedgerEntry:
    """Compare, append, move. The caller holds the use case's lock."""
    use_case = request.use_case
    _check(plan)
    registry = models.held(use_case)
    for alias, version in plan.expected.items():
        for where, found in (("ledger", state.get(alias)), ("mlflow", registry.aliases.get(alias))):
            if found != version:
                raise AliasConflict(use_case, alias, version, found, where)
    for version in {each for each in plan.changes.values() if each is not None}:
        models.version(use_case, version)
    changes = {
        alias: {"from": state.get(alias), "to": version}
        for alias, version in plan.changes.items()
        if state.get(alias) != version
    }
    content: dict[str, object] = {
        "aliases": changes,
        "why": request.why,
        "actor": request.actor,
        "evidence_sha256": request.evidence_sha256,
        "request_key": request.request_key,
        "details": dict(request.details),
    }
    with connection.begin():
        entry = ledger.append(connection, use_case, request.action, content)
    _follow(models, entry)
    return entry


def _earlier(
    request: Request,
    moves: Sequence[LedgerEntry],
    plan: Callable[[Mapping[str, str]], Plan],
    same: Callable[[LedgerEntry, Mapping[str, str]], bool] | None,
) -> LedgerEntry | None:
    """The entry of this very request, if it was made before."""
    state = fold(moves)
    for entry in reversed(moves):
        if request.request_key:
            if entry.entry["request_key"] == request.request_key:
                return entry
        elif request.evidence_sha256 and entry.action == request.action:
            if entry.entry["evidence_sha256"] != request.evidence_sha256:
                continue
            if same(entry, state) if same else _stands(plan(state).changes, targets(entry), state):
                return entry
    return None


def _stands(wanted: Versions, made: Versions, state: Mapping[str, str]) -> bool:
    return bool(made) and all(
        state.get(alias) == version and made.get(alias, version) == version
        for alias, version in wanted.items()
    )


def _finish(models: Models, use_case: str, moves: Sequence[LedgerEntry]) -> bool:
    """Make the newest entry's moves in MLflow if it has not followed yet; True if there was need to.

    Raises:
        AliasConflict: besides being behind, an alias was moved by somebody else.
    """
    if not moves:
        return False
    registry = models.held(use_case)
    if registry.ledger_seq >= moves[-1].seq:
        return False
    for alias, change in changes_of(moves[-1]).items():
        found = registry.aliases.get(alias)
        if found not in (change["from"], change["to"]):
            raise AliasConflict(use_case, alias, change["to"], found, "mlflow")
    _follow(models, moves[-1])
    return True


def _follow(models: Models, entry: LedgerEntry) -> None:
    """Bring MLflow to the entry. The tag comes last: it says that nothing is left to do."""
    for alias, version in sorted(targets(entry).items()):
        models._set_alias(entry.use_case, alias, version)
    models._mark(entry.use_case, entry.seq, entry.hash)


def remember_head(models: Models, warehouse: Engine) -> None:
    from pennant.data.lake import Lake
    from pennant.registry.heads import remember

    remember(warehouse, Lake(models.settings.lake))


def _check(plan: Plan) -> None:
    unknown = sorted(set(plan.changes) - set(ALIASES))
    if unknown:
        raise ValueError(f"aliases {unknown} are not Pennant's; allowed are {list(ALIASES)}")
    blind = sorted(set(plan.changes) - set(plan.expected))
    if blind:
        raise ValueError(f"`expected` does not name {blind}: a move compares before it sets")


def lock_name(use_case: str) -> str:
    return f"aliases:{use_case}"
