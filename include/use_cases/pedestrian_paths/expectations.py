"""Rules of the recordings that look at several rows."""

import polars as pl

from pennant.data.quality.suites import rule

FASTEST_METRES = 4.0
"""In 0.4 s: ten metres per second, a sprinter. The recording at ETH has steps of 0.67 s."""

before = [pl.col(name).shift(1).over("walker") for name in ("x", "y")]
moved = ((pl.col("x") - before[0]) ** 2 + (pl.col("y") - before[1]) ** 2).sqrt()

RULES = [
    rule(
        "positions",
        "position",
        expect="ExpectColumnValuesToBeBetween",
        with_={"column": "metres_of_a_step", "max_value": FASTEST_METRES},
        on_failure="quarantine",
        words="a step longer than anybody runs",
        derived={
            "metres_of_a_step": pl.when(pl.col("observed") > 1).then(
                moved.over("walker", order_by="event_time")
            )
        },
    )
]
