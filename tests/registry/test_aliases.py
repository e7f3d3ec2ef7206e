"""Aliases: one writer, compare before set, and a ledger that outlives the process that wrote it."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import Engine

from pennant.data.lake import Lake
from pennant.registry import aliases, heads, ledger
from pennant.registry.errors import AliasConflict, NoPreviousChampion, VersionUnknown
from pennant.registry.models import Models
from pennant.warehouse.engine import connect

Make = Callable[[int], str]


def _crown(
    models: Models, warehouse: Engine, name: str, version: str, *, over: str | None
) -> ledger.LedgerEntry:
    """Name a challenger and promote it."""
    aliases.challenge(models, warehouse, name, version, "the gate said so", "gate", f"evidence {version}")
    return aliases.promote(
        models, warehouse, name, version, "it won", "gate", f"evidence {version}", champion=over
    )


def _both(models: Models, warehouse: Engine, name: str) -> dict[str, str]:
    """The aliases, which ledger and MLflow have to agree on."""
    held = models.held(name).aliases
    assert held == aliases.ledger_state(warehouse, name)
    return held


def _behind_our_back(models: Models, name: str, alias: str, version: str) -> None:
    from mlflow import MlflowClient

    MlflowClient(tracking_uri=models.settings.mlflow).set_registered_model_alias(name, alias, version)


def test_a_promotion_crowns_the_challenger_and_keeps_the_old_champion(
    models: Models, warehouse: Engine, model: Make
) -> None:
    name = model(2)
    _crown(models, warehouse, name, "1", over=None)
    assert _both(models, warehouse, name) == {"champion": "1"}
    entry = _crown(models, warehouse, name, "2", over="1")
    assert _both(models, warehouse, name) == {"champion": "2", "previous_champion": "1"}
    assert entry.entry["aliases"] == {
        "champion": {"from": "1", "to": "2"},
        "challenger": {"from": "2", "to": None},
        "previous_champion": {"from": None, "to": "1"},
    }
    assert (entry.entry["why"], entry.entry["actor"]) == ("it won", "gate")
    assert entry.entry["evidence_sha256"] == "evidence 2"


def test_the_same_promotion_again_is_the_same_entry(models: Models, warehouse: Engine, model: Make) -> None:
    name = model(2)
    _crown(models, warehouse, name, "1", over=None)
    first = _crown(models, warehouse, name, "2", over="1")
    again = aliases.promote(models, warehouse, name, "2", "it won", "gate", "evidence 2", champion="1")
    assert again == first
    assert len(ledger.entries(warehouse)) == 4


def test_a_promotion_on_the_word_of_an_older_state_is_refused(
    models: Models, warehouse: Engine, model: Make
) -> None:
    name = model(3)
    _crown(models, warehouse, name, "1", over=None)
    _crown(models, warehouse, name, "2", over="1")
    aliases.challenge(models, warehouse, name, "3", "the gate said so", "gate", "evidence 3")
    with pytest.raises(AliasConflict) as caught:
        aliases.promote(models, warehouse, name, "3", "it won", "gate", "evidence 3", champion="1")
    assert (caught.value.alias, caught.value.expected, caught.value.found) == ("champion", "1", "2")
    assert caught.value.where == "ledger"
    assert _both(models, warehouse, name)["champion"] == "2"


def test_a_version_that_is_not_the_challenger_is_not_promoted(
    models: Models, warehouse: Engine, model: Make
) -> None:
    name = model(2)
    _crown(models, warehouse, name, "1", over=None)
    with pytest.raises(AliasConflict) as caught:
        aliases.promote(models, warehouse, name, "2", "it won", "gate", "evidence 2", champion="1")
    assert (caught.value.alias, caught.value.expected, caught.value.found) == ("challenger", "2", None)


def test_a_version_that_does_not_exist_moves_nothing(models: Models, warehouse: Engine, model: Make) -> None:
    name = model(1)
    with pytest.raises(VersionUnknown) as caught:
        aliases.challenge(models, warehouse, name, "7", "why", "me")
    assert (caught.value.found, caught.value.allowed) == ("7", ["1"])
    assert ledger.entries(warehouse) == []


def test_a_move_that_compares_nothing_is_refused(models: Models, warehouse: Engine, model: Make) -> None:
    name = model(1)
    with pytest.raises(ValueError, match="champion"):
        aliases.move(models, warehouse, name, {"champion": "1"}, {}, "force", "why", "me")
    with pytest.raises(ValueError, match="production"):
        aliases.move(models, warehouse, name, {"production": "1"}, {"production": None}, "force", "why", "me")


def test_a_request_with_a_key_is_made_once_for_ever(models: Models, warehouse: Engine, model: Make) -> None:
    name = model(2)
    _crown(models, warehouse, name, "1", over=None)
    _crown(models, warehouse, name, "2", over="1")
    first = aliases.rollback(models, warehouse, name, "me", "worse", request_key="alert 7")
    aliases.rollback(models, warehouse, name, "me", "better after all")
    assert aliases.rollback(models, warehouse, name, "me", "worse", request_key="alert 7") == first
    assert _both(models, warehouse, name) == {"champion": "2", "previous_champion": "1"}


def test_rolling_back_twice_returns_to_the_first(models: Models, warehouse: Engine, model: Make) -> None:
    name = model(3)
    _crown(models, warehouse, name, "1", over=None)
    _crown(models, warehouse, name, "2", over="1")
    aliases.challenge(models, warehouse, name, "3", "the gate said so", "gate")
    aliases.rollback(models, warehouse, name, "me", "worse")
    assert _both(models, warehouse, name) == {"champion": "1", "previous_champion": "2"}
    aliases.rollback(models, warehouse, name, "me", "not worse")
    assert _both(models, warehouse, name) == {"champion": "2", "previous_champion": "1"}


def test_without_a_previous_champion_there_is_no_rollback(
    models: Models, warehouse: Engine, model: Make
) -> None:
    name = model(1)
    _crown(models, warehouse, name, "1", over=None)
    with pytest.raises(NoPreviousChampion) as caught:
        aliases.rollback(models, warehouse, name, "me", "worse")
    assert caught.value.champion == "1"


def test_a_model_that_was_promoted_and_rolled_back_can_be_promoted_again(
    models: Models, warehouse: Engine, model: Make
) -> None:
    name = model(2)
    _crown(models, warehouse, name, "1", over=None)
    _crown(models, warehouse, name, "2", over="1")
    aliases.rollback(models, warehouse, name, "me", "worse")
    _crown(models, warehouse, name, "2", over="1")
    assert _both(models, warehouse, name) == {"champion": "2", "previous_champion": "1"}


_DIES = """
import os, signal, sys
from pathlib import Path
from pennant.registry import aliases
from pennant.registry.models import Models
from pennant.settings import Settings
from pennant.warehouse.engine import connect

class Dying(Models):
    def _set_alias(self, use_case, alias, version):
        if alias == sys.argv[5]:
            os.kill(os.getpid(), signal.SIGKILL)
        super()._set_alias(use_case, alias, version)

home, mlflow, lake, warehouse, _, name = sys.argv[1:]
models = Dying(Settings(home=Path(home), mlflow_url=mlflow, lake_url=lake))
aliases.promote(models, connect(warehouse), name, "2", "it won", "gate", "evidence 2", champion="1")
"""


def _kill_in_promotion(models: Models, warehouse: Engine, name: str, alias: str) -> None:
    """Promote version 2 in a process that is killed when it is about to move `alias` in MLflow."""
    _crown(models, warehouse, name, "1", over=None)
    aliases.challenge(models, warehouse, name, "2", "the gate said so", "gate", "evidence 2")
    given = models.settings
    url = warehouse.url.render_as_string(hide_password=False)
    arguments = [str(given.home), given.mlflow, given.lake, url, alias, name]
    root = str(Path(aliases.__file__).parents[2])
    died = subprocess.run(
        [sys.executable, "-c", _DIES, *arguments], env=os.environ | {"PYTHONPATH": root}, check=False
    )
    assert died.returncode == -signal.SIGKILL
    assert aliases.ledger_state(warehouse, name) == {"champion": "2", "previous_champion": "1"}
    assert models.held(name).aliases["champion"] == "1"


def _stop_in_promotion(models: Models, warehouse: Engine, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same without a process of its own: stops when it is about to move the first alias."""
    _crown(models, warehouse, name, "1", over=None)
    aliases.challenge(models, warehouse, name, "2", "the gate said so", "gate", "evidence 2")

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(models, "_set_alias", stop)
        with pytest.raises(KeyboardInterrupt):
            aliases.promote(models, warehouse, name, "2", "it won", "gate", "evidence 2", champion="1")


@pytest.mark.parametrize("way", ["reconcile", "the same promotion", "the next move"])
def test_a_promotion_killed_between_ledger_and_mlflow_is_finished_by(
    models: Models, warehouse: Engine, model: Make, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = model(3)
    if way == "reconcile":
        _kill_in_promotion(models, warehouse, name, "champion")
    else:
        _stop_in_promotion(models, warehouse, name, monkeypatch)
    if way == "reconcile":
        reported = aliases.reconcile(models, warehouse, [name], repair=False)
        assert {each.kind for each in reported} == {"unfinished"}
        assert not any(each.repaired for each in reported)
        assert models.held(name).aliases["champion"] == "1"
        repaired = aliases.reconcile(models, warehouse, [name], repair=True)
        assert {(each.alias, each.ledger, each.mlflow) for each in repaired} == {
            ("champion", "2", "1"),
            ("previous_champion", "1", None),
        }
        assert aliases.reconcile(models, warehouse, [name], repair=True) == []
    elif way == "the same promotion":
        aliases.promote(models, warehouse, name, "2", "it won", "gate", "evidence 2", champion="1")
    else:
        aliases.challenge(models, warehouse, name, "3", "the gate said so", "gate", "evidence 3")
        aliases.move(models, warehouse, name, {"challenger": None}, {"challenger": "3"}, "drop", "why", "me")
    assert _both(models, warehouse, name) == {"champion": "2", "previous_champion": "1"}
    promotions = [each for each in ledger.entries(warehouse) if each.action == "promote"]
    assert len(promotions) == 2
    assert ledger.verify(warehouse) == []


def test_a_rollback_that_stopped_before_mlflow_is_finished_not_doubled(
    models: Models, warehouse: Engine, model: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = model(2)
    _crown(models, warehouse, name, "1", over=None)
    _crown(models, warehouse, name, "2", over="1")

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(models, "_set_alias", stop)
        with pytest.raises(KeyboardInterrupt):
            aliases.rollback(models, warehouse, name, "me", "worse")
    aliases.rollback(models, warehouse, name, "me", "worse")
    assert _both(models, warehouse, name) == {"champion": "1", "previous_champion": "2"}
    assert [each.action for each in ledger.entries(warehouse)].count("rollback") == 1


def test_of_two_promotions_at_once_exactly_one_wins(
    models: Models, warehouse: Engine, model: Make, lake: Lake
) -> None:
    name = model(3)
    _crown(models, warehouse, name, "1", over=None)
    ready = threading.Barrier(2)
    lost: list[AliasConflict] = []

    def promote(version: str) -> None:
        own = connect(warehouse.url.render_as_string(hide_password=False))
        changes = {"champion": version, "previous_champion": "1"}
        expected = {"champion": "1", "previous_champion": None}
        ready.wait()
        try:
            aliases.move(
                Models(models.settings), own, name, changes, expected, "promote", "it won", "gate", version
            )
        except AliasConflict as conflict:
            lost.append(conflict)
        finally:
            own.dispose()

    threads = [threading.Thread(target=promote, args=(version,)) for version in ("2", "3")]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    (conflict,) = lost
    champion = _both(models, warehouse, name)["champion"]
    assert champion in {"2", "3"}
    assert (conflict.expected, conflict.found, conflict.where) == ("1", champion, "ledger")
    assert ledger.verify(warehouse, heads.read(lake)) == []


def test_an_alias_moved_behind_our_back_is_reported_and_moved_back(
    models: Models, warehouse: Engine, model: Make
) -> None:
    name = model(2)
    _crown(models, warehouse, name, "1", over=None)
    _behind_our_back(models, name, "champion", "2")
    (reported,) = aliases.reconcile(models, warehouse, [name], repair=False)
    assert reported == aliases.Deviation(name, "champion", "moved", "1", "2", repaired=False)
    assert models.held(name).aliases["champion"] == "2"
    (repaired,) = aliases.reconcile(models, warehouse, [name], repair=True)
    assert repaired.repaired
    assert _both(models, warehouse, name) == {"champion": "1"}
    noticed = ledger.entries(warehouse)[-1]
    assert noticed.action == "reconcile"
    assert noticed.entry == {"moved_behind_our_back": [repaired.to_json()]}
    assert aliases.reconcile(models, warehouse, [name], repair=True) == []


def test_no_move_is_made_over_one_that_was_made_behind_our_back(
    models: Models, warehouse: Engine, model: Make
) -> None:
    name = model(3)
    _crown(models, warehouse, name, "1", over=None)
    aliases.challenge(models, warehouse, name, "2", "why", "gate", "evidence 2")
    _behind_our_back(models, name, "champion", "3")
    before = ledger.entries(warehouse)
    with pytest.raises(AliasConflict) as caught:
        aliases.promote(models, warehouse, name, "2", "it won", "gate", "evidence 2", champion="1")
    assert (caught.value.where, caught.value.expected, caught.value.found) == ("mlflow", "1", "3")
    assert ledger.entries(warehouse) == before


def test_every_move_leaves_the_newest_head_in_the_lake(
    models: Models, warehouse: Engine, model: Make, lake: Lake
) -> None:
    _crown(models, warehouse, model(1), "1", over=None)
    assert heads.read(lake)[-1] == ledger.head(warehouse)
