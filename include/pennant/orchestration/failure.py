"""A task that has failed for good tells its owner, by the same path as every other alert."""

from datetime import UTC, datetime
from typing import Any

from pennant.orchestration.channels import open_channels
from pennant.orchestration.workplace import workplace

_TEXT_LIMIT = 600


def tell(context: dict[str, Any]) -> None:
    """Raise a critical alert for the failed task of `context`; runs in the task's own process.

    What goes wrong in here ends in the task's log and hides nothing: Airflow has the failure already.
    """
    from pennant.watch.alerts import AlertEvent, raise_alert

    task, run = context["ti"], context["dag_run"]
    name = task.dag_id.rpartition("__")[0]
    place = workplace(name)
    error = context.get("exception")
    evidence = {"error": f"{type(error).__name__}: {error}"[:_TEXT_LIMIT]}
    links = {"Run": f"{place.settings.airflow}/dags/{task.dag_id}/runs/{run.run_id}"}
    # An error about data says which lines are worst and where the page is; see data.errors.BatchStopped.
    evidence |= {f"line {n}": line for n, line in enumerate(getattr(error, "worst", ()), 1)}
    report = getattr(error, "report", None)
    if report is not None:
        links["Page"] = report.uri
    event = AlertEvent(
        use_case=name,
        class_=f"{task.dag_id.rpartition('__')[2]}_{task.task_id}_failed",
        severity="critical",
        what=f"Task {task.task_id} of {task.dag_id} has failed after {task.try_number} tries.",
        action="The run has stopped; nothing later was changed. Mend the cause and clear the task.",
        as_of=datetime.fromtimestamp(int(run.run_after.timestamp()), tz=UTC),
        evidence=evidence,
        links=links,
    )
    raise_alert(event, place.declared, place.warehouse, open_channels(place.declared))
