"""A release killed anywhere, any number of times, ends served, verified and told."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import count

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine, event

from pennant.data.lake import Lake
from pennant.declaration.model import UseCase
from pennant.registry import aliases, heads, ledger
from pennant.registry.models import Models
from pennant.release import deployments, policy, rollout
from pennant.release.canary import Answer
from pennant.release.policy import Policy
from pennant.release.rollback import rollback
from pennant.release.target import Served, Target
from pennant.warehouse.engine import connect

AS_OF = datetime(2025, 3, 1, tzinfo=UTC)
SOUND = [Answer(0.5 + n / 100, 0.2, 0.9) for n in range(8)]
SHIFTED = [Answer(0.9 + n / 1000, 0.2, 0.99) for n in range(8)]
_names = count(1)


class Killed(BaseException):
    """Nothing in the product catches this, as nothing catches SIGKILL."""


class Fate:
    """Kills the process at its n-th effect on the world; every process has its own n, the last has none."""

    def __init__(self, deaths: Sequence[int]) -> None:
        self._deaths = iter(deaths)
        self._left: int | None = None
        self.dead = False
        self.count = 0

    def new_process(self) -> None:
        self._left = next(self._deaths, None)
        self.dead = False

    def strike(self) -> None:
        if self.dead:  # what unwinds after a death is not there after SIGKILL
            return
        self.count += 1
        if self._left is None:
            return
        self._left -= 1
        if self._left < 0:
            self.dead = True
            raise Killed


class MortalModels(Models):
    """Dies before or after an effect on MLflow."""

    fate: Fate

    def _set_alias(self, use_case: str, alias: str, version: str | None) -> None:
        self.fate.strike()
        super()._set_alias(use_case, alias, version)
        self.fate.strike()

    def _mark(self, use_case: str, seq: int, digest: str) -> None:
        self.fate.strike()
        super()._mark(use_case, seq, digest)
        self.fate.strike()


class MortalTarget:
    """Dies before or after the target has followed."""

    def __init__(self, inner: Target, fate: Fate) -> None:
        self.inner, self.fate = inner, fate
        self.effects_before = 0

    def apply(self, policy: Policy) -> None:
        self.fate.strike()
        self.effects_before = self.fate.count
        self.inner.apply(policy)
        self.fate.strike()

    def served(self, use_case: str) -> Served:
        return self.inner.served(use_case)


@contextmanager
def _mortal(engine: Engine, fate: Fate) -> Iterator[None]:
    """Dies before a commit; dying after it is dying before the next effect."""

    def before_commit(_connection: Connection) -> None:
        fate.strike()

    event.listen(engine, "commit", before_commit)
    try:
        yield
    finally:
        event.remove(engine, "commit", before_commit)


class Scheduler:
    """Runs the release Dag's steps; a killed one is run again, in a new process."""

    def __init__(self, use_case: UseCase, models: MortalModels, warehouse: Engine, target: Target) -> None:
        self.use_case, self.models, self.warehouse = use_case, models, warehouse
        self.target = MortalTarget(target, models.fate)

    def until_done[T](self, step: Callable[[], T]) -> T:
        while True:
            self.models.fate.new_process()
            try:
                with _mortal(self.warehouse, self.models.fate):
                    return step()
            except Killed:
                # A killed process loses its connections, and with them its locks.
                self.warehouse.dispose()

    def request(self, version: str, day: int) -> deployments.Deployment:
        as_of = AS_OF.replace(day=day)
        return rollout.request(self.warehouse, self.use_case.name, version, as_of)

    def start(self, wanted: deployments.Deployment) -> rollout.Started:
        return rollout.start(self.use_case, wanted, self.models, self.warehouse, self.target)

    def conclude(self, started: rollout.Started) -> deployments.Deployment:
        seen = rollout.observe(self.use_case, started, self.warehouse)
        step = rollout.finish if seen.decision == "pass" else rollout.turn_back
        return step(self.use_case, started, seen, self.models, self.warehouse, self.target)

    def roll_back(self, key: str) -> None:
        name = self.use_case.name
        rollback(self.models, self.warehouse, self.target, name, "me", "worse", request_key=key)


def _assert_whole(life: Scheduler, recording: Target, lake: Lake, champion: str) -> None:
    name, warehouse = life.use_case.name, life.warehouse
    made = policy.current(warehouse, name)
    assert made is not None
    assert recording.served(name) == Served(made.id, made.versions, ready=True)
    assert made.versions["champion"] == champion
    assert life.models.held(name).aliases == aliases.ledger_state(warehouse, name)
    assert aliases.ledger_state(warehouse, name)["champion"] == champion
    assert aliases.reconcile(life.models, warehouse, [name], repair=False) == []
    keys = [
        each.entry["request_key"] for each in ledger.entries(warehouse, name) if each.entry["request_key"]
    ]
    assert len(keys) == len(set(keys)), "a request was made twice"
    assert ledger.verify(warehouse, heads.read(lake)) == []


@settings(
    max_examples=8,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    deaths=st.lists(st.integers(0, 30), max_size=6),
    challenger=st.sampled_from([SOUND, SHIFTED]),
    back=st.booleans(),
    again=st.lists(st.sampled_from(["start", "conclude"]), max_size=3),
)
def test_a_release_killed_anywhere_ends_served_and_told(  # noqa: PLR0917
    deaths: list[int],
    challenger: list[Answer],
    back: bool,
    again: list[str],
    use_case: UseCase,
    database: str,
    models: Models,
    recording: Target,
    lake: Lake,
    named_versions: Callable[[str, int], None],
    answered: Callable[[Policy, str, Sequence[Answer]], None],
) -> None:
    declared = use_case.model_copy(update={"name": f"mortal_{next(_names)}"})
    named_versions(declared.name, 2)
    mortal = MortalModels(models.settings)
    mortal.fate = Fate(deaths)
    engine = connect(database)
    life = Scheduler(declared, mortal, engine, recording)
    try:
        life.until_done(lambda: life.start(life.request("1", 1)))
        _assert_whole(life, recording, lake, "1")

        second = life.until_done(lambda: life.request("2", 2))
        started = life.until_done(lambda: life.start(second))
        out = policy.current(engine, declared.name)
        assert out is not None
        answered(out, "champion", SOUND)
        answered(out, "challenger", challenger)
        closed = life.until_done(lambda: life.conclude(started))
        for step in again:
            life.until_done(lambda: life.start(second)) if step == "start" else life.until_done(
                lambda: life.conclude(started)
            )
        won = challenger is SOUND
        assert closed.state == ("promoted" if won else "turned_back")
        _assert_whole(life, recording, lake, "2" if won else "1")

        if won and back:
            life.until_done(lambda: life.roll_back("once"))
            _assert_whole(life, recording, lake, "1")
    finally:
        engine.dispose()


def test_every_single_point_of_a_promotion_can_be_the_point_of_death(
    use_case: UseCase,
    database: str,
    models: Models,
    recording: Target,
    lake: Lake,
    named_versions: Callable[[str, int], None],
    answered: Callable[[Policy, str, Sequence[Answer]], None],
) -> None:
    """Not by chance: dies at the first effect, then at the second, and so on to the last."""
    engine = connect(database)
    point, effects = 0, 1
    while point < effects:
        declared = use_case.model_copy(update={"name": f"mortal_{next(_names)}"})
        named_versions(declared.name, 2)
        mortal = MortalModels(models.settings)
        mortal.fate = Fate([])
        life = Scheduler(declared, mortal, engine, recording)
        life.start(life.request("1", 1))
        started = life.start(life.request("2", 2))
        out = policy.current(engine, declared.name)
        assert out is not None
        answered(out, "champion", SOUND)
        answered(out, "challenger", SOUND)
        mortal.fate = life.target.fate = Fate([point])
        life.until_done(lambda life=life, started=started: life.conclude(started))  # type: ignore[misc]
        effects = max(effects, mortal.fate.count if point == 0 else effects)
        _assert_whole(life, recording, lake, "2")
        point += 1
    engine.dispose()
    assert effects > 10


def test_a_rollback_killed_before_it_serves_is_finished_by_the_next_not_reversed(
    use_case: UseCase,
    database: str,
    models: Models,
    recording: Target,
    lake: Lake,
    named_versions: Callable[[str, int], None],
) -> None:
    """A person's rollback has no key: what tells a second one from the rest of the first is what serves."""
    name = use_case.name
    named_versions(name, 2)
    mortal = MortalModels(models.settings)
    mortal.fate = Fate([])
    engine = connect(database)
    life = Scheduler(use_case, mortal, engine, recording)
    life.start(life.request("1", 1))
    aliases.challenge(mortal, engine, name, "2", "why", "gate")
    aliases.promote(mortal, engine, name, "2", "why", "gate", champion="1")
    life.roll_back("")
    point, effects, champions = 0, 1, ("1", "2")
    while point < effects:
        mortal.fate = life.target.fate = Fate([point])
        life.until_done(lambda: life.roll_back(""))
        champions = champions[::-1]
        _assert_whole(life, recording, lake, champions[0])
        if point == 0:  # one effect was the death, the rest are those of a whole rollback
            effects = life.target.effects_before - 1
        point += 1
    engine.dispose()
    assert effects > 8


def test_the_recording_of_deaths_works(models: Models) -> None:
    fate = Fate([1])
    fate.new_process()
    fate.strike()
    with pytest.raises(Killed):
        fate.strike()
    fate.new_process()
    for _ in range(5):
        fate.strike()
