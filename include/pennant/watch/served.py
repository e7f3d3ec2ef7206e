"""What was served and how it came out: predictions joined with the outcome known at a moment."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Engine, text

_SETTLED = text("""
    WITH asked AS (
        SELECT DISTINCT ON (entity) entity, event_time, prediction, features, extra -> 'answer' AS answer
        FROM predictions
        WHERE use_case = :use_case AND version = :version
          AND event_time >= :start AND event_time < :until AND as_of <= event_time
        ORDER BY entity, as_of DESC, prediction_id
    ), settled AS (
        SELECT DISTINCT ON (entity) entity, label, path, void
        FROM outcomes
        WHERE use_case = :use_case AND known_at <= :as_of
        ORDER BY entity, known_at DESC
    )
    SELECT asked.entity, asked.event_time, asked.prediction, asked.features, asked.answer,
        settled.label, settled.path
    FROM asked LEFT JOIN settled USING (entity)
    WHERE settled.void IS NOT TRUE
    ORDER BY asked.event_time, asked.entity
""")

_FIRST = text("""
    SELECT min(event_time) FROM predictions
    WHERE use_case = :use_case AND version = :version
""")


@dataclass(frozen=True)
class ServedRow:
    """One prediction made before its event.

    Attributes:
        prediction: the answer as one number.
        answer: the whole of it, where one number does not tell it; see the README of `pennant_serving`.
        label: what came; None while it is unknown, and for a path.
        path: of a trajectory, what came: x and y of each step.
    """

    entity: str
    event_time: datetime
    prediction: float
    features: dict[str, Any]
    answer: dict[str, Any] | None
    label: float | None
    path: list[float] | None

    @property
    def settled(self) -> bool:
        """Whether it is known what came."""
        return self.label is not None or self.path is not None


def first_event(warehouse: Engine, use_case: str, version: str) -> datetime | None:
    """The earliest event that this version predicted, or None if it predicted nothing."""
    with warehouse.connect() as connection:
        found: datetime | None = connection.execute(
            _FIRST, {"use_case": use_case, "version": version}
        ).scalar()
    return found


def served(
    warehouse: Engine, use_case: str, version: str, start: datetime, until: datetime, as_of: datetime
) -> list[ServedRow]:
    """Predictions of one version for events in `[start, until)`, with outcomes known by `as_of`.

    Void events are left out. Of several predictions for one event the last one before it counts.
    """
    with warehouse.connect() as connection:
        rows = connection.execute(
            _SETTLED,
            {"use_case": use_case, "version": version, "start": start, "until": until, "as_of": as_of},
        ).all()
    return [ServedRow(*row) for row in rows]
