"""`<name>__score`: predict the coming events through the serving API, before they happen."""

from typing import Any

from airflow.sdk import DAG, CronDataIntervalTimetable
from airflow.sdk.exceptions import AirflowSkipException

from pennant.declaration.model import UseCase
from pennant.orchestration import clock, scoring_steps
from pennant.orchestration.shape import use_case_dag
from pennant.orchestration.steps import step
from pennant.settings import Settings

_DOC = """
Builds the features of every event of the window as they were known at the declared lead before it,
publishes them to the online store, and asks the serving app for a prediction of each.

A prediction's id is made of the event and the moment: a second run asks the same and changes nothing.
Where the declaration names prices, the answers are held against them: what is worth a bet is written
down with its stake. No bet is placed with anyone.
"""


def build(use_case: UseCase, settings: Settings) -> DAG:
    """Build the Dag. Its steps: resolve the window, build the feature rows, predict, bet if it has prices."""
    name = use_case.name
    schedule = CronDataIntervalTimetable(use_case.schedules.score, timezone="UTC")
    with use_case_dag(use_case, settings, "score", schedule=schedule, doc=_DOC) as dag:

        @step()
        def resolve(**context: Any) -> dict[str, str]:
            return clock.to_xcom(clock.window(context, use_case.schedules.score))

        @step()
        def features(window: dict[str, str]) -> dict[str, Any]:
            built = scoring_steps.features(name, clock.from_xcom(window))
            if not built["rows"]:
                raise AirflowSkipException("No event falls into this window.")
            return built

        @step()
        def predict(built: dict[str, Any]) -> dict[str, Any]:
            return scoring_steps.predict(name, built)

        @step()
        def bet(answered: dict[str, Any]) -> dict[str, Any]:
            return scoring_steps.bet(name, answered)

        answered = predict(features(resolve()))
        if use_case.market is not None and use_case.market.price_columns:
            bet(answered)
    return dag
