"""The canary's verdict: nothing passes by default."""

import math
import random
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pennant.declaration.model import Release
from pennant.release.canary import Answer, Observation, judge, welch

PLAN = Release(
    target="local",
    canary_share=0.3,
    min_canary_predictions=30,
    max_error_share=0.1,
    max_mean_shift=0.1,
    canary_deadline_hours=2,
)


def _answers(mean: float, count: int, spread: float = 0.05) -> list[Answer]:
    draw = random.Random(count)
    values = [mean + draw.gauss(0, spread) for _ in range(count)]
    return [Answer(each, each - 0.1, each + 0.1) for each in values]


CHAMPION = _answers(0.5, 70)


def _decided(
    challenger: Sequence[Answer], hours: float = 0.1, champion: Sequence[Answer] = CHAMPION
) -> tuple[str, str]:
    seen = judge(challenger, champion, PLAN, hours)
    return seen.decision, seen.reason


def test_a_canary_that_answers_like_the_champion_passes() -> None:
    assert _decided(_answers(0.5, 30)) == ("pass", "sound")


def test_a_path_has_no_interval_of_numbers_and_is_sound() -> None:
    assert Answer(4.2, None, None).sound
    assert not Answer(float("nan"), None, None).sound
    walks = [Answer(each.prediction, None, None) for each in _answers(0.5, 30)]
    assert judge(walks, walks, PLAN, 0.0).decision == "pass"


def test_silence_waits_until_the_deadline_and_is_then_turned_back() -> None:
    assert _decided([]) == ("wait", "too_few_predictions")
    assert _decided([], hours=1.999) == ("wait", "too_few_predictions")
    assert _decided([], hours=2.0) == ("turn_back", "too_few_predictions")


def test_one_prediction_too_few_is_too_few() -> None:
    assert _decided(_answers(0.5, 29)) == ("wait", "too_few_predictions")


def test_a_champion_that_says_nothing_passes_nobody() -> None:
    assert _decided(_answers(0.5, 40), champion=[]) == ("wait", "too_few_predictions")
    assert _decided(_answers(0.5, 40), champion=[], hours=3) == ("turn_back", "too_few_predictions")


@pytest.mark.parametrize("mean", [0.2, 0.8])
def test_a_shifted_canary_is_turned_back_in_either_direction(mean: float) -> None:
    assert _decided(_answers(mean, 40)) == ("turn_back", "mean_shift")


def test_a_shift_that_the_data_cannot_tell_from_a_forbidden_one_waits_for_more() -> None:
    unclear = _answers(0.59, 40, spread=0.1)
    assert _decided(unclear) == ("wait", "undecided_shift")
    assert _decided(unclear, hours=2) == ("turn_back", "undecided_shift")


@pytest.mark.parametrize(
    "bad",
    [
        Answer(math.nan, 0.1, 0.9),
        Answer(math.inf, 0.1, 0.9),
        Answer(0.5, None, 0.9),
        Answer(None, 0.1, 0.9),
        Answer(0.95, 0.1, 0.9),
        Answer(0.5, 0.1, math.inf),
    ],
)
def test_unsound_answers_beyond_their_share_turn_it_back(bad: Answer) -> None:
    assert _decided([*_answers(0.5, 36), *[bad] * 4]) == ("pass", "sound")
    assert _decided([*_answers(0.5, 35), *[bad] * 5]) == ("turn_back", "errors")


def test_errors_that_cannot_be_made_good_any_more_do_not_wait() -> None:
    bad = Answer(math.nan, 0, 1)
    assert _decided([bad] * 3) == ("wait", "too_few_predictions")
    assert _decided([bad] * 4) == ("turn_back", "errors")


def test_the_numbers_of_a_decision_are_told() -> None:
    numbers = judge(_answers(0.8, 40), CHAMPION, PLAN, 0.5).numbers
    assert numbers["challenger_predictions"] == 40
    assert numbers["champion_predictions"] == 70
    assert numbers["mean_shift"] == pytest.approx(0.3, abs=0.03)
    assert numbers["max_mean_shift"] == 0.1
    assert numbers["hours_out"] == 0.5


_VALUES = st.floats(0.01, 0.99)
_ARM = st.lists(
    st.builds(Answer, st.one_of(_VALUES, st.just(math.nan)), st.just(0.0), st.just(1.0)), max_size=60
)


@settings(deadline=None)  # scipy is imported inside
@given(challenger=_ARM, champion=_ARM, hours=st.floats(0, 5))
def test_nothing_passes_without_enough_sound_answers_and_nothing_waits_after_the_deadline(
    challenger: list[Answer], champion: list[Answer], hours: float
) -> None:
    seen = judge(challenger, champion, PLAN, hours)
    if seen.decision == "pass":
        assert len(challenger) >= PLAN.min_canary_predictions
        assert sum(not each.sound for each in challenger) <= PLAN.max_error_share * len(challenger)
        low, high = seen.numbers["mean_shift_low"], seen.numbers["mean_shift_high"]
        assert low is not None
        assert high is not None
        assert -PLAN.max_mean_shift <= low <= high <= PLAN.max_mean_shift
    if hours >= PLAN.canary_deadline_hours:
        assert seen.decision != "wait"
    assert Observation.from_json(seen.to_json()) == seen


@settings(deadline=None)
@given(
    ours=st.lists(_VALUES, min_size=2, max_size=30),
    theirs=st.lists(_VALUES, min_size=2, max_size=30),
)
def test_the_interval_is_scipys_welch_interval(ours: list[float], theirs: list[float]) -> None:
    from scipy.stats import ttest_ind

    difference, low, high = welch(ours, theirs)
    assert low <= difference <= high
    if len(set(ours)) > 1 or len(set(theirs)) > 1:
        expected = ttest_ind(ours, theirs, equal_var=False).confidence_interval(0.95)
        assert (low, high) == pytest.approx((expected.low, expected.high), rel=1e-6, abs=1e-9)


def test_an_unreadable_decision_is_refused() -> None:
    with pytest.raises(ValueError, match="maybe"):
        Observation.from_json({"decision": "maybe", "reason": "", "numbers": {}})
