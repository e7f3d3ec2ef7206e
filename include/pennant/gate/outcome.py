"""What the gate answers: a verdict with its reasons, each carrying its numbers."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal

from pennant.gate.calibration import Calibration, CalibrationBin

Outcome = Literal["promote", "hold", "refuse"]
Rule = Literal["lower_bound", "mean"]
Number = float | int | str | bool | None


@dataclass(frozen=True)
class Reason:
    """One finding.

    Attributes:
        code: what a program branches on, for example `not_better_than_champion`.
        argues_for: the outcome this finding asks for; `refuse` beats `hold` beats `promote`.
        text: one sentence for a person, with the numbers in it.
        numbers: the same numbers, by name.
    """

    code: str
    argues_for: Outcome
    text: str
    numbers: Mapping[str, Number]


@dataclass(frozen=True)
class Comparison:
    """Paired difference of the challenger and one other forecaster, on the rows both scored.

    `mean`, `low` and `high` are of (other's loss - challenger's loss): above 0 the challenger is
    better. `low` and `high` are one-sided bounds at level 1 - alpha each; None without an interval.
    `rule` says which of them has to be above `needs_above`; `enough`, whether rows and days suffice.
    """

    name: str
    kind: Literal["champion", "baseline"]
    required: bool
    metric: str
    n: int
    days: int
    left_out: int
    challenger_loss: float
    other_loss: float
    mean: float
    low: float | None
    high: float | None
    rule: Rule
    needs_above: float
    enough: bool
    passed: bool
    unit: str = "days"
    """What `days` counts: rows of one of them count together."""


@dataclass(frozen=True)
class SliceResult:
    """Loss of the challenger in one slice, and its mean increase over `reference`; above 0 is worse.

    Attributes:
        name: as declared.
        n: rows that both scored; without a reference all rows of the slice.
        reference: the champion, or the best required baseline; empty without one.
        increase: mean increase of the loss, `low` and `high` its bounds.
        limit: of the increase.
        judged: whether there are rows enough to say anything.
        passed: neither limit is exceeded.
        loss: the challenger's mean loss over all rows of the slice, `loss_low` and `loss_high` its bounds.
        max_loss: limit of the loss; None without one.
        rows: all rows of the slice.
    """

    name: str
    n: int
    reference: str
    increase: float | None
    low: float | None
    high: float | None
    limit: float
    judged: bool
    passed: bool
    loss: float | None = None
    loss_low: float | None = None
    loss_high: float | None = None
    max_loss: float | None = None
    rows: int = 0


@dataclass(frozen=True)
class Verdict:
    """The gate's answer. Nothing in it depends on a clock, a random number or the order of rows."""

    outcome: Outcome
    reasons: tuple[Reason, ...]
    metric: str
    alpha: float
    n: int = 0
    days: int = 0
    challenger_loss: float | None = None
    challenger_low: float | None = None
    challenger_high: float | None = None
    base_rate_loss: float | None = None
    auc: float | None = None
    comparisons: tuple[Comparison, ...] = ()
    slices: tuple[SliceResult, ...] = ()
    calibration: Calibration | None = None
    unit: str = "days"
    """What `days` counts."""

    @property
    def codes(self) -> tuple[str, ...]:
        """The codes of all reasons, in order."""
        return tuple(reason.code for reason in self.reasons)

    def deciding(self) -> tuple[Reason, ...]:
        """The reasons that argue for the outcome that was reached."""
        return tuple(reason for reason in self.reasons if reason.argues_for == self.outcome)

    def with_reasons(self, more: Sequence[Reason]) -> "Verdict":
        """The same judgement with what was found beside the scores; the strongest of all reasons decides."""
        reasons = (*self.reasons, *more)
        return replace(self, reasons=reasons, outcome=strongest(reasons))

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values; `from_json` gives back an equal verdict."""
        return {key: _plain(each) for key, each in asdict(self).items()}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Verdict":
        """Read what `to_json` gave.

        Raises:
            KeyError: a field is missing.
            TypeError: a field that a verdict does not have.
        """
        missing = sorted({each.name for each in fields(cls)} - set(value))
        if missing:
            raise KeyError(f"verdict lacks {', '.join(missing)}")
        given = dict(value)
        given["reasons"] = tuple(Reason(**each) for each in value["reasons"])
        given["comparisons"] = tuple(Comparison(**each) for each in value["comparisons"])
        given["slices"] = tuple(SliceResult(**each) for each in value["slices"])
        if value["calibration"] is not None:
            bins = tuple(CalibrationBin(**each) for each in value["calibration"]["bins"])
            given["calibration"] = Calibration(**{**value["calibration"], "bins": bins})
        return cls(**given)


def strongest(reasons: Sequence[Reason]) -> Outcome:
    """The outcome that reasons amount to: `refuse` beats `hold` beats `promote`."""
    asked = {reason.argues_for for reason in reasons}
    return "refuse" if "refuse" in asked else "hold" if "hold" in asked else "promote"


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    return value
