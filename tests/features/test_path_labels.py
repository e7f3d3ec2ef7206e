"""A path is known when its last step is, and a corrected step makes no old path fresh again."""

from datetime import UTC, datetime, timedelta

import polars as pl

from pennant.declaration.loader import load
from pennant.features.labels import labels_of
from pennant.features.tables import Tables
from pennant.settings import REPOSITORY

START = datetime(2009, 6, 1, tzinfo=UTC)
STEP = timedelta(seconds=0.4)
LATE = START + timedelta(days=40)
MOMENT = pl.Datetime("us", "UTC")


def test_a_corrected_step_changes_a_path_and_not_when_it_was_first_known() -> None:
    use_case = load(REPOSITORY / "include" / "use_cases" / "pedestrian_paths")
    at = [START + step * STEP for step in range(21)]
    rows = pl.DataFrame(
        {
            "sample": [f"s{step:02}" for step in range(21)],
            "event_time": pl.Series(at, dtype=MOMENT),
            "known_at": pl.Series(at, dtype=MOMENT),
            "batch_as_of": pl.Series([START + timedelta(days=1)] * 21, dtype=MOMENT),
            "x": [0.5 * step for step in range(21)],
            "y": [0.0] * 21,
        }
    )
    seen = rows.drop("x", "y").with_columns(
        walker=pl.lit("w"), observed=pl.int_range(1, 22), step=pl.int_range(21), frame=pl.int_range(21)
    )
    moved = rows[15].with_columns(
        pl.lit(LATE).cast(MOMENT).alias("known_at"),
        pl.lit(LATE).cast(MOMENT).alias("batch_as_of"),
        y=pl.lit(3.0),
    )
    plain = rows.with_columns(walker=pl.lit("w"), observed=pl.int_range(1, 22))
    corrected = pl.concat([plain, moved.with_columns(walker=pl.lit("w"), observed=pl.lit(16, pl.Int64))])
    keys = {"positions": use_case.sources["positions"].key}
    frames = {("positions", "seen"): seen}
    before, after = (
        labels_of(use_case, Tables({**frames, ("positions", "position"): each}, keys)).filter(~pl.col("void"))
        for each in (plain, corrected.sort("known_at", "event_time"))
    )
    assert before.select("entity", "first_known_at").equals(after.select("entity", "first_known_at"))
    touched = after.filter(entity="s08")
    assert touched["known_at"].item() == LATE
    assert touched["label"].to_list()[0][13] == 3.0
    assert before.filter(entity="s08")["label"].to_list()[0][13] == 0.0
