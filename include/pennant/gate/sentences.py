"""The gate's findings as sentences, each with its numbers in it."""

from pennant.declaration.model import Gate
from pennant.gate.calibration import Calibration
from pennant.gate.outcome import Comparison, Number, Outcome, Reason, SliceResult

METRIC_NAMES = {
    "log_loss": "log loss",
    "brier": "Brier score",
    "rps": "ranked probability score",
    "crps": "CRPS",
    "squared_error": "squared error",
    "absolute_error": "absolute error",
    "ade": "ADE",
    "fde": "FDE",
}
METRIC_UNITS = {
    "log_loss": "nats per row",
    "brier": "squared error per row",
    "rps": "squared error per row and rank",
    "crps": "counts per row",
    "squared_error": "the label's unit squared, per row",
    "absolute_error": "the label's unit, per row",
    "ade": "metres per row, mean over the steps",
    "fde": "metres per row, at the last step",
}


UNSCORABLE_CHAMPION = "champion_unscorable"


def champion_reason(found: Comparison, policy: Gate) -> Reason:
    """What the comparison with the champion argues for, by the declared policy."""
    if not found.enough:
        return _compared("champion_not_comparable", "hold", found, "too few rows or days to decide")
    if found.passed:
        how = (
            "better"
            if policy.policy == "superiority"
            else f"not worse by {policy.margin:g} or more, and better on average"
        )
        code = "beats_champion" if policy.policy == "superiority" else "not_inferior_to_champion"
        return _compared(code, "promote", found, how)
    if found.high is not None and found.high < 0:
        return _compared("worse_than_champion", "hold", found, "the challenger is worse")
    return _compared("not_better_than_champion", "hold", found, "not proven; ties hold")


def baseline_reason(found: Comparison) -> Reason:
    """What the comparison with a baseline argues for; one that is not required only informs."""
    if not found.required:
        return _compared("baseline_shown", "promote", found, "shown, not required")
    if not found.enough:
        return _compared("baseline_not_comparable", "hold", found, "too few rows or days to decide")
    if found.passed:
        return _compared("beats_baseline", "promote", found, "better")
    missed = "not proven; ties hold" if found.rule == "lower_bound" else "not better"
    return _compared("baseline_not_beaten", "hold", found, missed)


def calibration_reason(found: Calibration | None, limit: float) -> Reason:
    """Hold when probabilities are further from shares than declared, or intervals from their promise."""
    if found is None:
        text = "The challenger gives no intervals: whether they hold what they promise cannot be said."
        return Reason("intervals_missing", "hold", text, {"limit": limit})
    passed = found.error <= limit
    numbers: dict[str, Number] = {"error": found.error, "limit": limit, "chance": found.chance}
    chance = f"(a perfectly calibrated model would show about {found.chance:.3f} on so few rows)."
    if found.promised is not None and found.inside is not None:
        numbers |= {"promised": found.promised, "inside": found.inside}
        text = (
            f"Intervals hold {found.inside:.1%} of the labels and promise {found.promised:.1%}, "
            f"off by {found.error:.3f}, limit {limit:g} {chance}"
        )
    else:
        numbers |= {"bins": len(found.bins)}
        text = f"Calibration error {found.error:.3f} in {len(found.bins)} bins, limit {limit:g} {chance}"
    code = "calibrated" if passed else "badly_calibrated"
    return Reason(code, "promote" if passed else "hold", text, numbers)


def slice_reasons(found: SliceResult, min_rows: int) -> list[Reason]:
    """Hold when a slice got worse by more than declared, or is worse than declared; small ones inform."""
    if not found.judged:
        numbers: dict[str, Number] = {"slice": found.name, "n": found.n, "rows": found.rows}
        text = f"Slice {found.name}: {found.n} comparable rows; fewer than {min_rows} are shown, not judged."
        return [Reason("slice_shown", "promote", text, numbers)]
    reasons = []
    if found.increase is not None and found.n >= min_rows:
        broken = found.increase > found.limit
        text = (
            f"Slice {found.name} ({found.n} rows): loss {found.increase:+.4f} against {found.reference}"
            f"{_span(found.low, found.high)}, limit +{found.limit:g}."
        )
        numbers = {"slice": found.name, "n": found.n, "increase": found.increase, "limit": found.limit}
        numbers |= {"low": found.low, "high": found.high}
        reasons.append(_of_slice("slice_worse" if broken else "slice_kept", broken, text, numbers))
    if found.max_loss is not None and found.loss is not None and found.rows >= min_rows:
        broken = found.loss > found.max_loss
        text = (
            f"Slice {found.name} ({found.rows} rows): loss {found.loss:.4f}"
            f"{_span(found.loss_low, found.loss_high, sign='')}, floor {found.max_loss:g}."
        )
        numbers = {"slice": found.name, "n": found.rows, "loss": found.loss, "limit": found.max_loss}
        numbers |= {"low": found.loss_low, "high": found.loss_high}
        reasons.append(_of_slice("slice_too_bad" if broken else "slice_floor_kept", broken, text, numbers))
    return reasons


def _of_slice(code: str, broken: bool, text: str, numbers: dict[str, Number]) -> Reason:
    return Reason(code, "hold" if broken else "promote", text, numbers)


def few_rows_reason(rows: int, days: int, min_rows: int, min_days: int, unit: str = "days") -> Reason:
    """Hold: the fresh rows cannot decide."""
    text = f"{rows} fresh rows on {days} {unit}; the gate needs {min_rows} rows on {min_days} {unit}."
    numbers = {"rows": rows, "min_rows": min_rows, "days": days, "min_days": min_days}
    return Reason("too_few_rows", "hold", text, numbers)


def one_outcome_reason(rows: int, label: float) -> Reason:
    """Hold: of rows that all end alike, whoever says so most loudly is the best."""
    text = f"All {rows} fresh rows have the label {label:g}: nothing shows who tells outcomes apart."
    return Reason("one_outcome", "hold", text, {"rows": rows, "label": label})


def ends_early(end: int, name: str, other_end: int, rows: int) -> Reason:
    """Hold: what lies beyond the challenger's last count cannot be compared, and such counts came."""
    text = (
        f"{rows} fresh rows have a count of {end} or more, where the challenger's distribution ends; "
        f"that of {name} goes on to {other_end}. The comparison says nothing about them."
    )
    return Reason("distribution_ends_early", "hold", text, {"rows": rows, "end": end, "other_end": other_end})


def unscorable_champion(name: str, why: str, cause: str) -> Reason:
    """Hold: nothing to compare with, and something is wrong with what is served."""
    text = f"{name} could not be scored: {why}. A person has to look at it."
    return Reason(UNSCORABLE_CHAMPION, "hold", text, {"cause": cause})


def same_bundle(sha256: str) -> Reason:
    """Hold: a model cannot beat itself."""
    text = f"The challenger is the champion: both are bundle {sha256[:12]}."
    return Reason("challenger_is_champion", "hold", text, {"bundle_sha256": sha256})


def nothing_to_beat() -> Reason:
    """Hold: without champion and required baseline no one could lose."""
    text = "There is no champion and no required baseline: nothing to beat, so nothing to promote."
    return Reason("nothing_to_beat", "hold", text, {})


def _compared(code: str, argues_for: Outcome, found: Comparison, verdict: str) -> Reason:
    figure = "lower bound" if found.rule == "lower_bound" else "mean"
    text = (
        f"Challenger {METRIC_NAMES[found.metric]} {found.challenger_loss:.4f} vs {found.name} "
        f"{found.other_loss:.4f}: gain {found.mean:+.4f}{_span(found.low, found.high)} on {found.n} rows, "
        f"{found.days} {found.unit}"
    )
    text += f" ({found.left_out} rows without it left out)" if found.left_out else ""
    text += (
        f"; {figure} must be above {found.needs_above:g}: {verdict}." if found.required else f": {verdict}."
    )
    numbers: dict[str, Number] = {
        "challenger_loss": found.challenger_loss,
        "other_loss": found.other_loss,
        "gain": found.mean,
        "low": found.low,
        "high": found.high,
        "needs_above": found.needs_above,
        "n": found.n,
        "days": found.days,
        "left_out": found.left_out,
    }
    return Reason(code, argues_for, text, {"other": found.name, **numbers})


def _span(low: float | None, high: float | None, sign: str = "+") -> str:
    return "" if low is None or high is None else f" [{low:{sign}.4f}, {high:{sign}.4f}]"
