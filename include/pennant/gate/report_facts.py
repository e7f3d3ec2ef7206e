"""What report and card say of model, data, limits and rebuilding: plain text by name, from the evidence."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from pennant.declaration.model import UseCase
from pennant.gate.explain import Explained, Stability
from pennant.gate.outcome import Verdict
from pennant.gate.report_shown import Shown
from pennant.gate.sentences import METRIC_NAMES

Facts = list[tuple[str, str]]
NO_PAIRS = (
    "No interactions: they are reckoned for boosted trees on the features themselves, and there are none "
    "or they do not interact."
)

_COMBINED = {
    "weighted": "a weighted mean, the weights fitted on held-out folds",
    "stacking": "stacking: a regression on the members' forecasts, fitted on held-out folds",
    "selection": "a weighted mean whose weights depend on the slice that a row lies in",
}
_INTERVALS = {
    "member_and_fold_spread": "how far members and folds differ",
    "split_conformal": "split conformal, from errors on held-out folds",
    "conformalised_quantiles": "quantiles, conformalised on held-out folds",
}
PREDICTED = {
    "binary": "the probability that {0}",
    "multiclass": "the probabilities of {1}",
    "count": "the distribution of {0}, a count",
    "regression": "{0}, a number",
    "trajectory": "where somebody walks: x and y in metres, {2} steps of {3:g} s ahead",
}


def model(use_case: UseCase, manifest: Mapping[str, Any]) -> Facts:
    """What the model is made of."""
    if not manifest:
        return [("Bundle", "it was rejected; nothing in it was read")]
    method = manifest.get("ensemble", {}).get("method", "weighted")
    intervals = manifest["intervals"]
    how = _INTERVALS.get(intervals.get("method"), intervals.get("method", ""))
    one = "one member alone" if len(manifest["members"]) == 1 else _COMBINED.get(method, method)
    calibration = manifest["calibration"]["method"]
    return [
        ("Predicts", predicted(use_case)),
        ("Members", one),
        ("Calibration", "none" if calibration == "none" else f"{calibration}, fitted on held-out folds"),
        ("Intervals", f"meant to hold {intervals['coverage']:.0%} of what comes; {how}"),
        ("Search", search(use_case, manifest)),
        ("Inputs", f"{len(manifest['inputs'])} features"),
        ("Owner", f"{use_case.owner.team}, {use_case.owner.email}"),
        ("Author of this version", str(manifest["author"])),
    ]


def predicted(use_case: UseCase) -> str:
    """What the model says, in words."""
    label, path = use_case.label, use_case.label.path
    steps, seconds = (path.steps, path.step_seconds) if path else (0, 0.0)
    return PREDICTED[use_case.task].format(
        label.expression or "the label", ", ".join(label.classes), steps, seconds
    )


def search(use_case: UseCase, manifest: Mapping[str, Any]) -> str:
    """How the hyper-parameters were found."""
    found, budget = manifest.get("search", {}), use_case.training.search
    parts = [f"{found['trials']} trials"] if "trials" in found else []
    parts += [f"{found['pruned']} of them ended early"] if found.get("pruned") else []
    parts += [f"best loss {found['best_loss']:.5g} out of fold"] if "best_loss" in found else []
    parts += [f"budget {budget.trials} trials or {budget.minutes:g} minutes, seed {budget.seed}"]
    if manifest.get("parameters", {}).get("overrides"):
        parts.append(f"set by hand: {_plain(manifest['parameters']['overrides'])}")
    return "; ".join(parts)


def members(manifest: Mapping[str, Any]) -> list[list[str]]:
    """Name, kind, weight, loss out of fold and hyper-parameters of each member."""
    measured = manifest.get("metrics", {}).get("members", {})
    rows = []
    for each in manifest.get("members", []):
        own = measured.get(each["name"], {})
        loss = ", ".join(f"{value:.4f} ({METRIC_NAMES.get(name, name)})" for name, value in own.items())
        chosen = manifest.get("parameters", {}).get(each["name"], {})
        rows.append([each["name"], each["kind"], f"{each['weight']:.3f}", loss, _plain(chosen)])
    return rows


def data(use_case: UseCase, evidence: Mapping[str, Any], manifest: Mapping[str, Any]) -> Facts:
    """What it was trained and judged on, and how that was split."""
    metrics, verdict, split = manifest.get("metrics", {}), evidence["verdict"], use_case.split
    trained = f"{metrics['rows']:,} rows, " if isinstance(metrics.get("rows"), int | float) else ""
    since = f"events from {day(metrics['trained_from'])}, " if metrics.get("trained_from") else ""
    folds = f"by {split.groups}" if split.groups else "each later in time than what it is trained on"
    fresh = (
        f"{verdict['n']:,} fresh rows of {verdict['days']} {counted(use_case)}; labels known after "
        f"{day(evidence['fresh_from'])} and until {day(evidence['as_of'])}; training did not see them"
    )
    if split.fresh_share is not None:
        fresh = f"{verdict['n']:,} rows of {split.fresh_share:.0%} of the entities; training never sees these"
    return [
        ("Trained on", f"{trained}{since}labels known until {day(manifest.get('trained_until', ''))}"),
        ("Folds", f"{split.folds}, {folds}; embargo {split.embargo_hours:g} h"),
        ("Judged on", fresh),
        ("Label", f"known {use_case.label.delay_hours:g} h after the event"),
        ("Intervals count together", f"rows of one {unit(use_case)}"),
        ("Snapshot", str(evidence["snapshot"])),
        ("Sources", ", ".join(use_case.sources)),
    ]


def unit(use_case: UseCase) -> str:
    """What counts as one in intervals."""
    return use_case.split.clusters or "day (UTC)"


def counted(use_case: UseCase) -> str:
    """The same, of many."""
    return f"clusters ({use_case.split.clusters})" if use_case.split.clusters else "days"


def beside(use_case: UseCase, evidence: Mapping[str, Any], verdict: Verdict) -> list[tuple[str, str, str]]:
    """What was looked at beside the scores: what, what was found, and `good`, `bad` or nothing."""
    policy, found = use_case.gate, evidence.get("measured")
    rows: list[tuple[str, str, str]] = []
    slow = policy.max_latency_ms
    if found is None or slow is None:
        rows.append(("Latency", "no ceiling is declared, so nothing was measured", ""))
    elif found["latency_ms"] is None:
        rows.append(("Latency", f"could not be measured: {found['why_not']}", "bad"))
    else:
        spread = ", ".join(f"{each:.1f}" for each in found["rounds_ms"])
        text = (
            f"{found['latency_ms']:.1f} ms, limit {slow:g} ms: 99th percentile of single rows in the serving "
            f"app, median of rounds of {found['rows']} rows ({spread})"
        )
        rows.append(("Latency", text, "good" if found["latency_ms"] <= slow else "bad"))
    large = policy.max_bundle_megabytes
    if found is None or large is None:
        rows.append(("Size of the bundle", "no ceiling is declared", ""))
    else:
        text = f"{found['megabytes']:.2f} MB, limit {large:g} MB"
        rows.append(("Size of the bundle", text, "good" if found["megabytes"] <= large else "bad"))
    return [*rows, _contract(verdict), _leaks(evidence, verdict)]


CONTRACT = {
    "inputs_added", "takes_less_unfelt", "turns_rows_away", "rows_unanswered", "input_undeclared",
    "input_unit_changed", "contract_mismatch",
}  # fmt: skip


def _contract(verdict: Verdict) -> tuple[str, str, str]:
    told = [each for each in verdict.reasons if each.code in CONTRACT or each.code.startswith("input_")]
    if not told:
        return "Feature contract", "the same as what is served, or as declared", "good"
    worst = any(each.argues_for != "promote" for each in told)
    return "Feature contract", " ".join(each.text for each in told), "bad" if worst else ""


def _leaks(evidence: Mapping[str, Any], verdict: Verdict) -> tuple[str, str, str]:
    leaks = evidence.get("leaks")
    told = " ".join(each.text for each in verdict.reasons if "leak" in each.code)
    if leaks is None:
        return "Leaks", told or "nobody searched the snapshot for them", ""
    if not leaks["features"]:
        return "Leaks", "none found: no feature reads what was not yet known", "good"
    return "Leaks", told or f"found in {', '.join(leaks['features'])}", "bad"


def explanation(shown: Shown) -> list[str]:
    """What explains the model, in sentences."""
    if not isinstance(shown.explained, Explained):
        return [f"No explanation: {shown.explained.why}."]
    found = shown.explained
    leading = [(name, mean) for name, mean in found.ranking() if mean > 0.0][:3]
    top = ", ".join(f"{name} ({mean:.3g})" for name, mean in leading) or "no feature at all"
    said = [
        f"Terms add up to the {found.unit}, row by row, together with a baseline: {found.what}. "
        f"Means over {len(found.rows)} fresh rows.",
        f"What moves it most: {top}.",
    ]
    pairs = found.interactions.pairs() if found.interactions else []
    if found.interactions and pairs:
        a, b, size = pairs[0]
        said.append(
            f"The strongest interaction, of member {found.interactions.member} "
            f"({found.interactions.share:.0%} of the weight) on {found.interactions.rows} rows: {a} with {b} "
            f"({size:.3g})."
        )
    else:
        said.append(NO_PAIRS)
    return [*said, stillness(shown)]


def stillness(shown: Shown) -> str:
    """How much importances differ between folds."""
    if not isinstance(shown.stability, Stability):
        return f"Whether importances stand still across folds is not known: {shown.stability.why}."
    found = shown.stability.rank_correlation
    if found is None:
        return "Importances have no order that folds could share."
    word = "alike" if found >= 0.8 else "in part alike" if found >= 0.5 else "not alike"
    return (
        f"Ranks of importances in {len(shown.stability.folds)} folds are {word}: mean Spearman correlation "
        f"{found:.2f} (1 is the same order in every fold)."
    )


def identity(evidence: Mapping[str, Any], sha256: str, manifest: Mapping[str, Any]) -> Facts:
    """What was judged, by its hashes."""
    challenger = evidence["challenger"]
    return [
        ("Evidence", sha256),
        ("Bundle", str(challenger["bundle_sha256"])),
        ("Snapshot", str(evidence["snapshot"])),
        ("Scores", str(evidence["scores"]["sha256"])),
        ("Code", str(manifest.get("code_commit", "unknown"))),
        ("Packages", ", ".join(f"{name} {number}" for name, number in manifest.get("packages", {}).items())),
        ("Seeds", _plain(manifest.get("seeds", {}))),
        ("Train it again", f"pennant rebuild {evidence['use_case']} {challenger['version']}"),
    ]


def limits(use_case: UseCase, manifest: Mapping[str, Any]) -> list[str]:
    """What the figures do not say."""
    split = use_case.split
    span = (
        f"The fresh rows are {split.fresh_share:.0%} of the entities of one time."
        if split.fresh_share is not None
        else f"The fresh rows cover {split.fresh_days} days."
    )
    found = [
        f"{span} What changes more slowly than that is not tested here; the watch looks for it in service.",
        "Terms say what the model uses, not what causes the outcome.",
        f"Intervals take {counted(use_case)} to be independent of each other.",
        "Slices that are not declared were not looked at.",
        "Inputs outside the declared ranges get no answer; see the inputs.",
    ]
    return found + [str(each["text"]) for each in manifest.get("warnings", []) if "text" in each]


def approval(use_case: UseCase) -> str:
    """Who has to agree."""
    gate = use_case.gate
    if gate.approval == "none":
        return "A promotion needs no person."
    who = ", ".join(gate.approvers) or "any approver"
    return (
        f"A person has to approve exactly this evidence within {gate.approval_timeout_hours:g} h: {who}; not "
        "the author. Silence means hold."
    )


def day(moment: str) -> str:
    """A moment for people."""
    return f"{datetime.fromisoformat(moment):%Y-%m-%d %H:%M} UTC" if moment else "unknown"


def _plain(value: Mapping[str, Any]) -> str:
    """Parameters in one line."""
    return ", ".join(f"{name} {_short(each)}" for name, each in value.items())


def _short(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return f"({_plain(value)})" if isinstance(value, Mapping) else str(value)
