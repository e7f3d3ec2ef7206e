"""Rollback: the previous champion serves again, proven by what the service answers."""

from dataclasses import dataclass

from sqlalchemy import Engine

from pennant.registry import aliases, moves
from pennant.registry.ledger import LedgerEntry
from pennant.registry.models import Models
from pennant.registry.writer import catch_up
from pennant.release import deployments, policy
from pennant.release.errors import PolicyNotServed
from pennant.release.rollout import champion_arms, rollout_lock
from pennant.release.target import Target
from pennant.warehouse.lock import held


@dataclass(frozen=True)
class RolledBack:
    """What a rollback came to.

    Attributes:
        before: the champion before.
        after: the champion that serves now.
        policy_id: the policy that the service answered it follows.
        ledger_seq: the entry that says who, when and why.
        resumed: an earlier rollback had been interrupted, and this call finished it.
    """

    use_case: str
    before: str
    after: str
    policy_id: int
    ledger_seq: int
    resumed: bool

    def to_json(self) -> dict[str, object]:
        return {
            "use_case": self.use_case,
            "before": self.before,
            "after": self.after,
            "policy_id": self.policy_id,
            "ledger_seq": self.ledger_seq,
            "resumed": self.resumed,
        }


def rollback(
    models: Models,
    warehouse: Engine,
    target: Target,
    use_case: str,
    actor: str,
    why: str,
    *,
    request_key: str = "",
) -> RolledBack:
    """Swap champion and previous champion, serve that, and make sure that it is served.

    Whatever was on its way into service was judged against the champion that goes, so it is closed.
    A rollback that was interrupted is finished first; a second rollback after a finished one goes
    back to where the first began.

    Args:
        models: the registry.
        warehouse: the database of ledger and policies.
        target: where it serves.
        use_case: name of the use case.
        actor: who asked for it.
        why: the reason, for the ledger.
        request_key: makes it happen once, however often it is asked for (a task that runs twice).

    Raises:
        NoPreviousChampion: there is nothing to go back to.
        AliasConflict, RegistryDown: see `pennant.registry.aliases.rollback`.
        ServingDown, ServingRefused, PolicyNotServed: the aliases are back, the service is not; run it
            again to finish.
    """
    with held(warehouse, rollout_lock(use_case)):
        if request_key and (earlier := _overtaken(warehouse, use_case, request_key)):
            return earlier
        begun = _interrupted(warehouse, target, use_case)
        if begun is None:
            entry = aliases.rollback(models, warehouse, use_case, actor, why, request_key=request_key)
        else:
            catch_up(models, warehouse, use_case)
            entry = begun
        deployments.close_open(warehouse, use_case, "the champion was rolled back")
        arms = champion_arms(models, use_case, aliases.ledger_state(warehouse, use_case))
        made = policy.publish(warehouse, use_case, arms, f"rollback: {why}", _key(entry))
        target.apply(made)
        served = target.served(use_case)
        if (served.policy_id, served.arms, served.ready) != (made.id, made.versions, True):
            wanted = {"policy_id": made.id, "arms": made.versions, "ready": True}
            found = {"policy_id": served.policy_id, "arms": served.arms, "ready": served.ready}
            raise PolicyNotServed(use_case, wanted, found)
    return _result(entry, made.id, resumed=begun is not None)


def _overtaken(warehouse: Engine, use_case: str, request_key: str) -> RolledBack | None:
    """What the request came to, if other moves have followed it since: there is nothing left to do."""
    entry = moves.made(warehouse, use_case, request_key)
    if entry is None or entry == _newest_change(warehouse, use_case):
        return None
    made = policy.published(warehouse, use_case, _key(entry))
    return _result(entry, made.id if made else 0, resumed=False)


def _result(entry: LedgerEntry, policy_id: int, *, resumed: bool) -> RolledBack:
    moved = moves.changes_of(entry)["champion"]
    return RolledBack(entry.use_case, str(moved["from"]), str(moved["to"]), policy_id, entry.seq, resumed)


def _interrupted(warehouse: Engine, target: Target, use_case: str) -> LedgerEntry | None:
    """The newest move, if it is a rollback that does not serve yet."""
    newest = _newest_change(warehouse, use_case)
    if newest is None or newest.action != "rollback":
        return None
    wanted = policy.published(warehouse, use_case, _key(newest))
    if wanted is None:
        return newest
    served = target.served(use_case)
    return None if (served.policy_id, served.arms) == (wanted.id, wanted.versions) else newest


def _newest_change(warehouse: Engine, use_case: str) -> LedgerEntry | None:
    """The newest move that moved an alias; a verdict of the gate is an entry without one."""
    changed = (each for each in reversed(moves.moves_of(warehouse, use_case)) if moves.changes_of(each))
    return next(changed, None)


def _key(entry: LedgerEntry) -> str:
    return f"rollback:{entry.seq}"
