"""What counts together is declared: rows of one table at one moment are not one observation."""

import numpy as np
import pytest

from pennant.declaration.model import Gate
from pennant.gate.tables import ScoreTable
from pennant.gate.verdict import judge

ROWS = 1_200
POLICY = Gate.model_validate(
    {
        "metric": "log_loss",
        "policy": "superiority",
        "margin": 0.0,
        "alpha": 0.05,
        "min_rows": 200,
        "max_calibration_error": 0.5,
        "approval": "none",
    }
)


def tables(cluster: np.ndarray | None) -> tuple[ScoreTable, ScoreTable]:
    """A challenger that knows the truth and a champion that guesses, all at one moment."""
    stream = np.random.default_rng(3)
    truth = stream.uniform(0.1, 0.9, ROWS)
    label = (stream.random(ROWS) < truth).astype(np.float64)
    entity = np.array([f"customer {row}" for row in range(ROWS)])
    moment = np.full(ROWS, np.datetime64("2018-01-01", "us"))
    ours, theirs = (
        ScoreTable(name, entity, moment, label, p, bundle_sha256=name, cluster=cluster)
        for name, p in (("challenger", truth), ("champion", np.full(ROWS, label.mean())))
    )
    return ours, theirs


def test_a_table_of_one_day_shows_nothing_by_days_and_everything_by_customers() -> None:
    for cluster, outcome in ((None, "hold"), (np.array([str(row) for row in range(ROWS)]), "promote")):
        ours, theirs = tables(cluster)
        assert judge(ours, theirs, {}, POLICY, [], {}).outcome == outcome


def test_rows_that_come_out_alike_count_once() -> None:
    """Of 1,200 rows in 12 households that say the same, twelve observations are left."""
    ours, theirs = tables(np.repeat([f"h{number}" for number in range(12)], ROWS // 12))
    alone, _ = tables(np.array([str(row) for row in range(ROWS)]))
    together = judge(ours, theirs, {}, POLICY, [], {}).comparisons[0]
    apart = judge(alone, theirs, {}, POLICY, [], {}).comparisons[0]
    assert together.days == 12
    assert apart.days == ROWS
    assert together.mean == pytest.approx(apart.mean)
    assert "12 clusters" in judge(ours, theirs, {}, POLICY, [], {}).reasons[0].text


def test_clusters_go_with_their_rows() -> None:
    ours, _ = tables(np.array([str(row % 7) for row in range(ROWS)]))
    taken = ours.take(np.arange(ROWS)[::-3])
    assert list(taken.clusters()) == [str(row % 7) for row in range(ROWS)][::-3]
