"""What Pennant adds to Airflow itself: the timetable of its ingest Dags."""

from airflow.plugins_manager import AirflowPlugin

from pennant.orchestration.timetable import HistoryThenPresent


class PennantPlugin(AirflowPlugin):
    """Loaded by every Airflow component, so its imports stay light."""

    name = "pennant"
    timetables = [HistoryThenPresent]  # noqa: RUF012  # the shape that Airflow asks for
