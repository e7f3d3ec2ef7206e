"""The gate's rows are never trained on: by time, or by entity where time says nothing."""

from datetime import UTC, datetime, timedelta

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from pennant.declaration.model import Split
from pennant.training.fresh import drawn, fresh, trainable, trained_on

AS_OF = datetime(2020, 2, 1, tzinfo=UTC)


def frame(names: list[str], days_ago: list[int]) -> pl.DataFrame:
    known = [AS_OF - timedelta(days=each) for each in days_ago]
    return pl.DataFrame({"entity": names, "label_known_at": known})


def split(**given: object) -> Split:
    return Split.model_validate(
        {"history_days": 900, "fresh_days": 31, "folds": 5, "embargo_hours": 0, **given}
    )


@given(st.lists(st.integers(0, 400), min_size=1, max_size=60), st.sampled_from([None, 0.2, 0.7]))
def test_no_row_is_both_trained_on_and_judged(ages: list[int], share: float | None) -> None:
    rows = frame([f"e{at}" for at in range(len(ages))], ages)
    declared = split(fresh_share=share, groups=None if share is None else "entity")
    seen, judged = trainable(rows, declared, AS_OF), fresh(rows, declared, AS_OF)
    assert not set(seen["entity"]) & set(judged["entity"])
    assert seen.height + judged.height == rows.height or share is None
    manifest = {"declared": {"split": declared.model_dump(mode="json")}}
    assert trained_on(judged, manifest, AS_OF - timedelta(days=31) if share is None else AS_OF) == 0
    assert trained_on(seen, manifest, AS_OF) == seen.height


def test_an_entity_that_is_the_gates_stays_the_gates() -> None:
    names = [f"customer {number}" for number in range(5_000)]
    rows = frame(names, [40] * len(names))
    once = set(rows.filter(drawn(rows, 0.2))["entity"])
    later = frame([*names[::-1], "new"], [3] * (len(names) + 1))
    assert set(later.filter(drawn(later, 0.2))["entity"]) - {"new"} == once
    assert 0.18 < len(once) / len(names) < 0.22
    assert once < set(rows.filter(drawn(rows, 0.3))["entity"])  # a larger share takes more, never others
