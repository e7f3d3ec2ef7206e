"""The canary's verdict: a pure function of what both arms answered, and how long it has been out.

It looks for a release that is broken: it does not answer, answers nonsense, or answers elsewhere
than the champion. It does not look for the better model: that was the gate's question.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite, sqrt
from statistics import fmean, variance
from typing import Literal, cast

from pennant.declaration.model import Release

CONFIDENCE = 0.95
"""Of the Welch interval around the gap between the arms' mean predictions."""

Decision = Literal["wait", "pass", "turn_back"]


@dataclass(frozen=True)
class Answer:
    """One logged prediction of an arm, with its interval where it is one of numbers (a path has discs)."""

    prediction: float | None
    low: float | None
    high: float | None

    @property
    def sound(self) -> bool:
        """It is finite, and so is its interval, in which it lies."""
        if self.prediction is None or not isfinite(self.prediction):
            return False
        if self.low is None or self.high is None:
            return self.low is self.high
        return isfinite(self.low) and isfinite(self.high) and self.low <= self.prediction <= self.high


@dataclass(frozen=True)
class Observation:
    """What was decided about a canary, the reason as one word, and the numbers it rests on.

    `reason`: `sound`, `too_few_predictions`, `errors`, `mean_shift`, `undecided_shift`, or what
    ended the release without a canary.
    """

    decision: Decision
    reason: str
    numbers: dict[str, float | int | None]

    def to_json(self) -> dict[str, object]:
        return {"decision": self.decision, "reason": self.reason, "numbers": self.numbers}

    @classmethod
    def from_json(cls, value: Mapping[str, object]) -> "Observation":
        """Read what `to_json` gave.

        Raises:
            ValueError: the decision is none of wait, pass, turn_back.
        """
        decision = value["decision"]
        if decision not in ("wait", "pass", "turn_back"):
            raise ValueError(f"decision: found {decision!r}; allowed are wait, pass, turn_back")
        numbers = cast("Mapping[str, float | int | None]", value["numbers"])
        return cls(decision, str(value["reason"]), dict(numbers))


def judge(
    challenger: Sequence[Answer], champion: Sequence[Answer], plan: Release, hours_out: float
) -> Observation:
    """Decide about a canary.

    Args:
        challenger: what the challenger's arm answered since the policy was published.
        champion: the same of the champion's arm.
        plan: the release plan of the declaration.
        hours_out: wall hours since the policy was published.

    Returns:
        `pass` only with enough answers, few enough errors, and an interval of the mean shift that lies
        inside the allowed one. `turn_back` when that cannot come true any more, or the deadline is
        over. `wait` otherwise.
    """
    bad = sum(not each.sound for each in challenger)
    seen = len(challenger)
    ours = [cast("float", each.prediction) for each in challenger if each.sound]
    theirs = [cast("float", each.prediction) for each in champion if each.sound]
    numbers: dict[str, float | int | None] = {
        "challenger_predictions": seen,
        "champion_predictions": len(champion),
        "errors": bad,
        "error_share": bad / seen if seen else None,
        "hours_out": round(hours_out, 4),
        "deadline_hours": plan.canary_deadline_hours,
        "max_mean_shift": plan.max_mean_shift,
        "max_error_share": plan.max_error_share,
        "min_predictions": plan.min_canary_predictions,
    }
    late: Decision = "turn_back" if hours_out >= plan.canary_deadline_hours else "wait"
    # Errors that already exceed what the smallest sufficient sample may hold cannot be made good.
    if bad > plan.max_error_share * max(seen, plan.min_canary_predictions):
        return Observation("turn_back", "errors", numbers)
    if seen < plan.min_canary_predictions or min(len(ours), len(theirs)) < 2:
        return Observation(late, "too_few_predictions", numbers)
    shift, low, high = welch(ours, theirs)
    numbers |= {"mean_shift": shift, "mean_shift_low": low, "mean_shift_high": high}
    if -plan.max_mean_shift <= low and high <= plan.max_mean_shift:
        return Observation("pass", "sound", numbers)
    if low > plan.max_mean_shift or high < -plan.max_mean_shift:
        return Observation("turn_back", "mean_shift", numbers)
    return Observation(late, "undecided_shift", numbers)


def welch(ours: Sequence[float], theirs: Sequence[float]) -> tuple[float, float, float]:
    """Difference of means with its Welch-Satterthwaite interval at `CONFIDENCE`.

    Welch, B. L. (1947), "The generalization of Student's problem when several different population
    variances are involved", Biometrika 34.

    Args:
        ours: at least two finite numbers.
        theirs: at least two finite numbers.

    Returns:
        mean(ours) - mean(theirs), and both ends of its interval.
    """
    from scipy.special import stdtrit

    difference = fmean(ours) - fmean(theirs)
    a, b = variance(ours) / len(ours), variance(theirs) / len(theirs)
    if a + b == 0:
        return difference, difference, difference
    freedom = (a + b) ** 2 / (a**2 / (len(ours) - 1) + b**2 / (len(theirs) - 1))
    half = float(stdtrit(freedom, 0.5 + CONFIDENCE / 2)) * sqrt(a + b)
    return difference, difference - half, difference + half
