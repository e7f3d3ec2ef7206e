"""`<name>__release`: from a judged challenger to served traffic, canary first."""

from datetime import timedelta
from typing import Any

from airflow.sdk import DAG, PokeReturnValue, task
from airflow.sdk.exceptions import AirflowSkipException

from pennant.declaration.model import UseCase
from pennant.orchestration.names import release_requested
from pennant.orchestration.shape import time_or_asset, use_case_dag
from pennant.orchestration.steps import step
from pennant.orchestration.workplace import Workplace, workplace
from pennant.settings import Settings

_DOC = """
Releases the version the gate let through: the first one at once, later ones as a canary beside the
champion.

The canary is judged by the predictions it answered. Too few of them means waiting; the deadline turns
the canary back. Then the aliases move, all traffic goes to the new champion, and the old one stays
loaded for an instant return.
"""


def build(use_case: UseCase, settings: Settings) -> DAG:
    """Build the Dag. It drains what is pending in `deployments`; a doubled event finds nothing to do."""
    name = use_case.name
    # The event wakes it at once; the hour finds a request whose event was lost.
    schedule = time_or_asset("7 * * * *", release_requested(name), settings)
    with use_case_dag(use_case, settings, "release", schedule=schedule, doc=_DOC) as dag:

        @step()
        def start() -> dict[str, Any]:
            return _start(workplace(name))

        @task.sensor(
            poke_interval=4,
            timeout=timedelta(hours=use_case.release.canary_deadline_hours).total_seconds() + 3600,
            mode="reschedule",
            retries=3,
            retry_delay=timedelta(seconds=5),
        )
        def observe(started: dict[str, Any]) -> PokeReturnValue:
            seen = _observe(workplace(name), started)
            return PokeReturnValue(is_done=seen["decision"] != "wait", xcom_value=seen)

        @step()
        def conclude(started: dict[str, Any], seen: dict[str, Any]) -> dict[str, Any]:
            return _conclude(workplace(name), started, seen)

        started = start()
        conclude(started, observe(started))
    return dag


def _target(place: Workplace) -> Any:
    from pennant.release.target import target_for

    return target_for(place.use_case, place.settings, place.warehouse)


def _start(place: Workplace) -> dict[str, Any]:
    from pennant.release.rollout import pending, start

    waiting = pending(place.warehouse, place.name)
    if waiting is None:
        raise AirflowSkipException("No release is pending.")
    return start(place.use_case, waiting, place.models, place.warehouse, _target(place)).to_json()


def _observe(place: Workplace, started: dict[str, Any]) -> dict[str, Any]:
    from pennant.release.rollout import Started, observe

    return observe(place.use_case, Started.from_json(started), place.warehouse).to_json()


def _conclude(place: Workplace, started: dict[str, Any], seen: dict[str, Any]) -> dict[str, Any]:
    from pennant.release.rollout import Observation, Started, finish, turn_back

    end = finish if seen["decision"] == "pass" else turn_back
    closed = end(
        place.use_case,
        Started.from_json(started),
        Observation.from_json(seen),
        place.models,
        place.warehouse,
        _target(place),
    )
    return {"version": closed.version, "state": closed.state, "reason": seen.get("reason", "")}
