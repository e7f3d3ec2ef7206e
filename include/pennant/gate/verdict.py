"""The judge: a pure function from score tables and a policy to promote, hold or refuse.

`superiority`: the lower one-sided 1 - alpha bound of (champion's loss - challenger's loss) must be
above the margin. `non_inferiority`: the upper one-sided 1 - alpha bound of (challenger's loss -
champion's loss) must be under the margin, and the point estimate must favour the challenger, since
ties hold. All conditions must hold at once, so no correction for several tests is due (Berger 1982,
"Multiparameter hypothesis testing and acceptance sampling", Technometrics 24).
"""

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pennant.declaration.model import Gate
from pennant.gate.calibration import calibration_of
from pennant.gate.interval import area_under_curve, base_rate_loss
from pennant.gate.outcome import Comparison, Reason, Rule, SliceResult, Verdict, strongest
from pennant.gate.possible import impossible_predictions, possible
from pennant.gate.refusals import (
    baseline_faults,
    challenger_faults,
    champion_faults,
    leak,
    seen_by_champion,
)
from pennant.gate.sentences import (
    baseline_reason,
    calibration_reason,
    champion_reason,
    ends_early,
    few_rows_reason,
    nothing_to_beat,
    one_outcome_reason,
    same_bundle,
    slice_reasons,
    unscorable_champion,
)
from pennant.gate.tables import Floats, ScoreTable, Unscorable, rows_of
from pennant.training.clustered import MeanInterval, clustered_mean

__all__ = ["Comparison", "Reason", "ScoreTable", "SliceResult", "Unscorable", "Verdict", "judge"]

MIN_DAYS = 5
"""An interval from fewer days than this is too wide to decide, and its assumptions too bold."""
MIN_SLICE_ROWS = 30
"""Slices with fewer rows are reported and not judged."""
TIE = 1e-9
"""Gains up to this are rounding, not skill."""

NOTHING = MeanInterval(0.0, None, None, 0, 0, 0.0)

Mask = NDArray[np.bool_]


def judge(
    challenger: ScoreTable | Unscorable,
    champion: ScoreTable | Unscorable | None,
    baselines: Mapping[str, ScoreTable],
    policy: Gate,
    required_baselines: Sequence[str],
    slices: Mapping[str, Mask],
) -> Verdict:
    """Decide on the challenger. Nothing has a default: no policy, no verdict.

    Args:
        challenger: its scores of the fresh rows, n rows.
        champion: the champion's scores of the same rows; None when there is no champion yet.
        baselines: forecasts that need no model, by name, each for all or some of those rows.
        policy: the declared gate.
        required_baselines: names in `baselines` that a first champion must beat by its interval,
            and a later challenger by its mean.
        slices: for each slice of the policy, an (n,) mask of the challenger's rows, in its order.

    Raises:
        TypeError: the policy is not a declared gate.
        ValueError: a mask is missing, unknown or has another length than the challenger.
    """
    if not isinstance(policy, Gate):
        raise TypeError(f"the gate has no default policy: found {policy!r}, allowed is a declared Gate")
    faults = challenger_faults(challenger)
    if isinstance(challenger, Unscorable) or faults:
        return Verdict("refuse", tuple(faults), policy.metric, policy.alpha)
    _check_masks(challenger, policy, slices)
    order = challenger.canonical_order()
    fresh, masks = challenger.take(order), {name: mask[order] for name, mask in slices.items()}
    others = {name: table.take(table.canonical_order()) for name, table in baselines.items()}
    faults = baseline_faults(others, required_baselines, fresh)
    if isinstance(champion, ScoreTable):
        faults += champion_faults(champion, fresh)
        champion = champion.take(champion.canonical_order())
    if faults:
        return Verdict("refuse", tuple(faults), policy.metric, policy.alpha, len(fresh))
    return _Case(fresh, champion, others, policy, tuple(required_baselines), masks).verdict()


def _check_masks(challenger: ScoreTable, policy: Gate, slices: Mapping[str, Mask]) -> None:
    if set(slices) != set(policy.slices):
        raise ValueError(f"masks for slices {sorted(slices)}; the policy declares {sorted(policy.slices)}")
    wrong = sorted(name for name, mask in slices.items() if mask.shape != (len(challenger),))
    if wrong:
        raise ValueError(f"masks of {wrong} do not have one value for each of {len(challenger)} rows")


class _Case:
    """One judgement over checked tables in canonical order."""

    def __init__(
        self,
        fresh: ScoreTable,
        champion: ScoreTable | Unscorable | None,
        baselines: Mapping[str, ScoreTable],
        policy: Gate,
        required: tuple[str, ...],
        masks: Mapping[str, Mask],
    ) -> None:
        self.fresh, self.champion, self.baselines = fresh, champion, baselines
        self.policy, self.required, self.masks = policy, required, masks
        self.loss = fresh.losses(policy.metric)

    def verdict(self) -> Verdict:
        if not len(self.fresh):
            reason = few_rows_reason(0, 0, self.policy.min_rows, MIN_DAYS, self.fresh.unit)
            return Verdict("hold", (reason,), self.policy.metric, self.policy.alpha)
        mean = clustered_mean(self.loss, self.fresh.clusters(), self.policy.alpha)
        reasons: list[Reason] = []
        unit = self.fresh.unit
        if mean.rows < self.policy.min_rows or mean.days < MIN_DAYS:
            reasons.append(few_rows_reason(mean.rows, mean.days, self.policy.min_rows, MIN_DAYS, unit))
        else:
            reasons += leak(self.policy.metric, self.fresh, self.baselines)
        reasons += self._one_outcome() + self._ends_early()
        comparisons = self._comparisons(reasons)
        measured = calibration_of(self.fresh)
        reasons.append(calibration_reason(measured, self.policy.max_calibration_error))
        results = [self._slice(name) for name in sorted(self.masks)]
        reasons += [reason for each in results for reason in slice_reasons(each, MIN_SLICE_ROWS)]
        return Verdict(
            outcome=strongest(reasons),
            reasons=tuple(reasons),
            metric=self.policy.metric,
            alpha=self.policy.alpha,
            n=mean.rows,
            days=mean.days,
            unit=unit,
            challenger_loss=mean.mean,
            challenger_low=mean.low,
            challenger_high=mean.high,
            base_rate_loss=base_rate_loss(self.policy.metric, self.fresh),
            auc=self._auc(),
            comparisons=tuple(comparisons),
            slices=tuple(results),
            calibration=measured,
        )

    def _auc(self) -> float | None:
        if self.fresh.problem.task != "binary":
            return None
        return area_under_curve(self.fresh.label, self.fresh.prediction)

    def _one_outcome(self) -> list[Reason]:
        label = self.fresh.label
        classes = self.fresh.problem.task in {"binary", "multiclass"}
        alike = classes and bool((label == label[0]).all())
        return [one_outcome_reason(len(label), float(label[0]))] if alike else []

    def _ends_early(self) -> list[Reason]:
        """Counts came beyond the end of the challenger's distribution, and not of one it is held against.

        Both are cut there before they are compared: what the other knows beyond would count for nothing.
        """
        if self.fresh.problem.task != "count":
            return []
        against = [self._usable_champion(), *(self.baselines[name] for name in self.required)]
        furthest = max((each for each in against if each is not None), key=_end, default=self.fresh)
        beyond = int(np.count_nonzero(self.fresh.label >= _end(self.fresh)))
        if _end(furthest) <= _end(self.fresh) or not beyond:
            return []
        return [ends_early(_end(self.fresh), furthest.name, _end(furthest), beyond)]

    def _comparisons(self, reasons: list[Reason]) -> list[Comparison]:
        """Compare with champion and baselines; appends what each comparison argues for."""
        found: list[Comparison] = []
        rival = self._rival(reasons)
        if rival is not None:
            found.append(self._against(rival, "champion", required=True))
            reasons.append(champion_reason(found[0], self.policy))
            reasons += seen_by_champion(rival)
        for name in sorted(self.baselines):
            each = self._against(self.baselines[name], "baseline", required=name in self.required)
            reasons.append(baseline_reason(each))
            found.append(each)
        if self.champion is None and not self.required:
            reasons.append(nothing_to_beat())
        return found

    def _rival(self, reasons: list[Reason]) -> ScoreTable | None:
        """The champion if it can be compared with; appends why it cannot, or that it is the same."""
        rival = self.champion
        if isinstance(rival, Unscorable):
            reasons.append(unscorable_champion(rival.name, rival.why, rival.code))
            return None
        if rival is None:
            return None
        bad = impossible_predictions(rival)
        if bad:
            allowed = possible(rival.problem).predictions
            why = f"{bad} of {len(rival)} predictions are impossible; allowed are {allowed}"
            reasons.append(unscorable_champion(rival.name, why, "impossible_predictions"))
            return None
        if rival.bundle_sha256 and rival.bundle_sha256 == self.fresh.bundle_sha256:
            reasons.append(same_bundle(rival.bundle_sha256))
        return rival

    def _against(
        self, other: ScoreTable, kind: Literal["champion", "baseline"], *, required: bool
    ) -> Comparison:
        rows = self._rows(other)
        ours, theirs = self._paired(rows, other)
        rule, needs = self._rule(kind)
        gain = NOTHING
        if len(rows):
            gain = clustered_mean(theirs - ours, self.fresh.clusters()[rows], self.policy.alpha)
        enough = gain.rows >= self.policy.min_rows and gain.days >= MIN_DAYS
        bound = gain.mean if rule == "mean" else gain.low
        passed = enough and bound is not None and bound > needs + TIE and gain.mean > TIE
        return Comparison(
            name=other.name,
            kind=kind,
            required=required,
            metric=self.policy.metric,
            n=gain.rows,
            days=gain.days,
            left_out=len(self.fresh) - gain.rows,
            challenger_loss=_mean(ours),
            other_loss=_mean(theirs),
            mean=gain.mean,
            low=gain.low,
            high=gain.high,
            rule=rule,
            needs_above=needs,
            enough=enough,
            passed=passed,
            unit=self.fresh.unit,
        )

    def _rows(self, other: ScoreTable) -> NDArray[np.intp]:
        rows = rows_of(other, self.fresh)
        if rows is None:
            raise ValueError(f"{other.name} has rows that {self.fresh.name} has not")
        return rows

    def _paired(self, rows: NDArray[np.intp], other: ScoreTable) -> tuple[Floats, Floats]:
        """Losses of the challenger and of another table on the other's rows."""
        most, metric = min(self.fresh.problem.most, other.problem.most), self.policy.metric
        if self.fresh.problem.most == other.problem.most:
            return self.loss[rows], other.losses(metric)
        return self.fresh.up_to(most).losses(metric)[rows], other.up_to(most).losses(metric)

    def _rule(self, kind: str) -> tuple[Rule, float]:
        """Which figure has to be above which number.

        Against the champion the declared policy; against a baseline the first champion, or one whose
        champion cannot be scored, needs the same proof of superiority, and a later one, whose champion
        had to bring it, only a better mean.
        """
        margin = self.policy.margin
        if kind == "champion" and self.policy.policy == "non_inferiority":
            return "lower_bound", -margin
        if kind == "champion":
            return "lower_bound", margin
        if self._usable_champion() is not None:
            return "mean", 0.0
        return "lower_bound", margin if self.policy.policy == "superiority" else 0.0

    def _slice(self, name: str) -> SliceResult:
        """The loss in one slice, and its mean increase over the champion or the best required baseline.

        A floor is broken when the mean is beyond it: a floor is a promise about this slice, not a claim that
        has to be proven, so chance counts against the challenger. The interval says how much of it may be.
        """
        declared, inside, reference = self.policy.slices[name], self.masks[name], self._slice_reference()
        own, found = self._within(inside), self._increase(inside, reference)
        compared = found.rows >= MIN_SLICE_ROWS
        floored = declared.max_loss is not None and own.rows >= MIN_SLICE_ROWS
        increased = compared and found.mean > declared.max_loss_increase
        return SliceResult(
            name=name,
            n=found.rows,
            reference="" if reference is None else reference.name,
            increase=found.mean if found.rows else None,
            low=found.low,
            high=found.high,
            limit=declared.max_loss_increase,
            judged=compared or floored,
            passed=not (increased or (floored and own.mean > (declared.max_loss or 0.0))),
            loss=own.mean if own.rows else None,
            loss_low=own.low,
            loss_high=own.high,
            max_loss=declared.max_loss,
            rows=own.rows,
        )

    def _within(self, inside: Mask) -> MeanInterval:
        """The challenger's mean loss over some rows."""
        if not inside.any():
            return NOTHING
        return clustered_mean(self.loss[inside], self.fresh.clusters()[inside], self.policy.alpha)

    def _increase(self, inside: Mask, reference: ScoreTable | None) -> MeanInterval:
        """Mean loss increase on the slice's rows that the reference scored, too."""
        if reference is None:
            return NOTHING
        rows = self._rows(reference)
        both = inside[rows]
        if not both.any():
            return NOTHING
        ours, theirs = self._paired(rows, reference)
        return clustered_mean((ours - theirs)[both], reference.clusters()[both], self.policy.alpha)

    def _usable_champion(self) -> ScoreTable | None:
        rival = self.champion
        return rival if isinstance(rival, ScoreTable) and not impossible_predictions(rival) else None

    def _slice_reference(self) -> ScoreTable | None:
        """The champion; where it cannot be scored, as where there is none, the best required baseline."""
        rival = self._usable_champion()
        if rival is not None:
            return rival
        tables = [self.baselines[name] for name in sorted(self.required) if len(self.baselines[name])]
        metric = self.policy.metric
        return min(tables, key=lambda each: _mean(each.losses(metric)), default=None)


def _end(table: ScoreTable) -> int:
    return table.problem.most


def _mean(values: Floats) -> float:
    return float(np.mean(values)) if len(values) else 0.0
