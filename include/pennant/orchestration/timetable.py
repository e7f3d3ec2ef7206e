"""A schedule that is coarse in the past and fine in the present.

Twenty seasons of history are ingested as twenty runs, this season month by month or day by day:
one Dag, one backfill, no run twice.
"""

from typing import Any

from airflow.timetables.base import DagRunInfo, DataInterval, TimeRestriction, Timetable
from airflow.timetables.interval import CronDataIntervalTimetable
from pendulum import DateTime, parse


class HistoryThenPresent(Timetable):
    """Data intervals by one cron expression until a moment, by another from then on (both UTC).

    The moment has to be a tick of both expressions, so that no interval spans it.
    """

    def __init__(self, history: str, until: str, present: str) -> None:
        self.history = history
        self.until = until
        self.present = present
        switch = parse(until)
        if not isinstance(switch, DateTime):
            raise TypeError(f"until: found {until!r}; allowed is an ISO date and time")
        self._switch = switch.in_timezone("UTC")
        self._coarse = CronDataIntervalTimetable(history, "UTC")
        self._fine = CronDataIntervalTimetable(present, "UTC")

    @classmethod
    def deserialize(cls, data: dict[str, Any]) -> "HistoryThenPresent":
        return cls(data["history"], data["until"], data["present"])

    def serialize(self) -> dict[str, Any]:
        return {"history": self.history, "until": self.until, "present": self.present}

    @property
    def summary(self) -> str:
        return f"{self.history} until {self._switch:YYYY-MM-DD}, then {self.present}"

    def infer_manual_data_interval(self, *, run_after: DateTime) -> DataInterval:
        chosen = self._coarse if run_after <= self._switch else self._fine
        return chosen.infer_manual_data_interval(run_after=run_after)

    def next_dagrun_info(
        self,
        *,
        last_automated_data_interval: DataInterval | None,
        restriction: TimeRestriction,
    ) -> DagRunInfo | None:
        last = last_automated_data_interval
        if restriction.catchup and (last is None or last.end < self._switch):
            coarse = self._coarse.next_dagrun_info(last_automated_data_interval=last, restriction=restriction)
            if coarse is None or coarse.data_interval.end <= self._switch:
                return coarse
        earliest = restriction.earliest
        if earliest is None or earliest < self._switch:
            earliest = self._switch
        if last is not None and last.end < self._switch:
            last = None
        return self._fine.next_dagrun_info(
            last_automated_data_interval=last,
            restriction=TimeRestriction(earliest, restriction.latest, restriction.catchup),
        )
