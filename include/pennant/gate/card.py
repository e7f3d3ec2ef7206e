"""The model card of a judged bundle, in Markdown.

Its parts follow Mitchell et al. 2019, "Model cards for model reporting".
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from pennant.declaration.model import UseCase
from pennant.gate.outcome import Verdict
from pennant.gate.score import describe_slice
from pennant.gate.sentences import METRIC_NAMES, METRIC_UNITS


def render(
    use_case: UseCase,
    data: Mapping[str, Any],
    verdict: Verdict,
    evidence_sha256: str,
    manifest: Mapping[str, Any],
    ranking: Sequence[tuple[str, float]],
) -> str:
    """Write the card.

    Args:
        use_case: the declaration.
        data: the evidence.
        verdict: what the gate said.
        evidence_sha256: the evidence's hash.
        manifest: the bundle's `bundle.json`; empty for a bundle that was rejected.
        ranking: features with their mean |SHAP value|, largest first.
    """
    challenger = data["challenger"]
    why = verdict.deciding()[0].text if verdict.deciding() else ""
    parts = [
        f"# Model card: {use_case.title}, version {challenger['version']}",
        _one_line(use_case.description),
        f"**Verdict of the gate: {verdict.outcome}.** {why}",
        _model(use_case, challenger, manifest),
        _use(use_case),
        _data(use_case, data, manifest),
        _performance(verdict),
        _calibration(verdict, use_case),
        _slices(use_case, verdict),
        _features(use_case, ranking),
        _limits(use_case),
        _reproduce(data, manifest, evidence_sha256),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _model(use_case: UseCase, challenger: Mapping[str, Any], manifest: Mapping[str, Any]) -> str:
    if not manifest:
        return f"## Model\n\nBundle `{challenger['bundle_sha256']}` was rejected; nothing in it was read."
    members = [[each["name"], each["kind"], f"{each['weight']:.3f}"] for each in manifest["members"]]
    interval, calibration = manifest["intervals"], manifest["calibration"]["method"]
    return "\n\n".join(
        [
            "## Model",
            f"{'One member' if len(members) == 1 else f'A weighted mean of {len(members)} members'}, "
            f"then calibration by `{calibration}`. "
            f"Each prediction comes with an interval meant to cover {interval['coverage']:.0%}.",
            _table(["member", "kind", "weight"], members),
            f"Owner: {use_case.owner.team} ({use_case.owner.email}). "
            f"Author of this version: {manifest['author']}.",
        ]
    )


def _use(use_case: UseCase) -> str:
    hours = use_case.spine.lead_hours
    return (
        "## Intended use\n\n"
        f"The probability that `{use_case.label.expression}`, for one `{use_case.spine.entity}` of "
        f"`{use_case.spine.source}`, from what is known {hours:g} h before the event. "
        "Not for other entities, other moments, or inputs outside the ranges below."
    )


def _data(use_case: UseCase, data: Mapping[str, Any], manifest: Mapping[str, Any]) -> str:
    metrics = manifest.get("metrics", {})
    rows = metrics.get("rows")
    trained = f"{rows:,} rows, " if isinstance(rows, int | float) else ""
    since = metrics.get("trained_from")
    span = f"events from {_day(since)}, " if since else ""
    until = manifest.get("trained_until", "")
    verdict = data["verdict"]
    return (
        "## Data\n\n"
        f"- Trained on {trained}{span}labels known until {_day(until)}.\n"
        f"- Judged on {verdict['n']:,} fresh rows of {verdict['days']} days, whose labels became known after "
        f"{_day(data['fresh_from'])} and until {_day(data['as_of'])}. Training did not see them.\n"
        f"- Both from snapshot `{data['snapshot']}`; "
        f"the label is known {use_case.label.delay_hours:g} h after the event."
    )


def _performance(verdict: Verdict) -> str:
    if verdict.challenger_loss is None:
        return ""
    name = METRIC_NAMES[verdict.metric]
    rows = [["this model", f"{verdict.challenger_loss:.4f}", "", "", str(verdict.n)]]
    rows += [
        [
            f"{each.name}{'' if each.required else ' (shown only)'}",
            f"{each.other_loss:.4f}",
            f"{each.mean:+.4f}",
            "" if each.low is None or each.high is None else f"{each.low:+.4f} to {each.high:+.4f}",
            str(each.n),
        ]
        for each in verdict.comparisons
    ]
    auc = "" if verdict.auc is None else f" Area under the ROC curve: {verdict.auc:.3f}."
    return (
        f"## Performance on the fresh rows\n\n{name} in {METRIC_UNITS[verdict.metric]}; a gain above 0 means "
        f"that this model is better. Intervals: {1 - 2 * verdict.alpha:.0%}, paired, by day.{auc}\n\n"
        + _table(["forecaster", name, "gain of this model", "interval", "rows"], rows)
    )


def _calibration(verdict: Verdict, use_case: UseCase) -> str:
    found = verdict.calibration
    if found is None or not found.bins:
        return ""
    rows = [[str(each.rows), f"{each.predicted:.3f}", f"{each.observed:.3f}"] for each in found.bins]
    return (
        f"## Calibration\n\nExpected calibration error {found.error:.3f}, limit "
        f"{use_case.gate.max_calibration_error:g}; a perfectly calibrated model would show about "
        f"{found.chance:.3f} on so many rows.\n\n" + _table(["rows", "mean prediction", "share true"], rows)
    )


def _slices(use_case: UseCase, verdict: Verdict) -> str:
    if not verdict.slices:
        return ""
    rows = [
        [
            each.name,
            f"`{describe_slice(use_case.gate.slices[each.name])}`",
            str(each.n),
            "" if each.increase is None else f"{each.increase:+.4f}",
            f"{each.limit:+g}",
            ("kept" if each.passed else "too much worse") if each.judged else "too few rows to judge",
        ]
        for each in verdict.slices
    ]
    return "## Slices\n\n" + _table(["slice", "rows where", "rows", "loss increase", "limit", "result"], rows)


def _features(use_case: UseCase, ranking: Sequence[tuple[str, float]]) -> str:
    weight = dict(ranking)
    order = [name for name, _ in ranking] or list(use_case.features)
    rows = [
        [
            f"`{name}`",
            use_case.features[name].unit,
            f"{use_case.features[name].low:g} to {use_case.features[name].high:g}",
            use_case.features[name].missing,
            f"{weight[name]:.4f}" if name in weight else "",
        ]
        for name in order
        if name in use_case.features
    ]
    return "## Inputs\n\n" + _table(["feature", "unit", "range", "missing", "mean abs. SHAP (logit)"], rows)


def _limits(use_case: UseCase) -> str:
    return (
        "## Limits\n\n"
        f"- The fresh rows cover {use_case.split.fresh_days} days. What changes more slowly than that is not "
        "tested here; the watch looks for it in service.\n"
        "- SHAP values say what the model uses, not what causes the outcome.\n"
        "- Intervals treat days as independent.\n"
        "- Slices that are not declared were not looked at."
    )


def _reproduce(data: Mapping[str, Any], manifest: Mapping[str, Any], evidence_sha256: str) -> str:
    rows = [
        ["evidence", f"`{evidence_sha256}`"],
        ["bundle", f"`{data['challenger']['bundle_sha256']}`"],
        ["snapshot", f"`{data['snapshot']}`"],
        ["scores", f"`{data['scores']['sha256']}`"],
        ["code", f"`{manifest.get('code_commit', 'unknown')}`"],
    ]
    return "## Reproduce\n\n" + _table(["what", "identity"], rows)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [" | ".join(head), " | ".join("---" for _ in head), *(" | ".join(row) for row in rows)]
    return "\n".join(f"| {line} |" for line in lines)


def _day(moment: str) -> str:
    return f"{datetime.fromisoformat(moment):%Y-%m-%d %H:%M} UTC" if moment else "unknown"


def _one_line(text: str) -> str:
    return " ".join(text.split())
