"""The model card of a judged bundle, in Markdown.

Its sections are those of Mitchell et al. 2019, "Model cards for model reporting".
"""

from collections.abc import Mapping, Sequence
from typing import Any

from pennant.declaration.model import UseCase
from pennant.gate import report_facts
from pennant.gate.explain import Explained
from pennant.gate.explain_rows import Told
from pennant.gate.outcome import SliceResult, Verdict
from pennant.gate.report_html import number
from pennant.gate.report_measures import WORDS, Measures
from pennant.gate.report_shown import Shown
from pennant.gate.score import describe_slice
from pennant.gate.sentences import METRIC_NAMES, METRIC_UNITS


def render(
    use_case: UseCase, data: Mapping[str, Any], verdict: Verdict, evidence_sha256: str, shown: Shown
) -> str:
    """Write the card. What comes from data cannot become markup.

    Args:
        use_case: the declaration.
        data: the evidence.
        verdict: what the gate said.
        evidence_sha256: the evidence's hash.
        shown: what was measured and explained beside it.
    """
    why = verdict.deciding()[0].text if verdict.deciding() else ""
    parts = [
        f"# Model card: {_safe(use_case.title)}, version {_safe(data['challenger']['version'])}",
        _safe(" ".join(use_case.description.split())),
        f"**Verdict of the gate: {verdict.outcome}.** {_safe(why)} {_safe(report_facts.approval(use_case))}",
        _details(use_case, shown.manifest),
        _use(use_case),
        _factors(use_case),
        _metrics(use_case, verdict),
        _data(use_case, data, shown.manifest),
        _analyses(use_case, verdict, shown),
        _beside(use_case, data, verdict),
        _explanation(shown),
        _cautions(use_case, shown.manifest),
        _reproduce(data, evidence_sha256, shown.manifest),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _details(use_case: UseCase, manifest: Mapping[str, Any]) -> str:
    members = report_facts.members(manifest)
    head = ["member", "kind", "weight", "loss out of fold", "hyper-parameters"]
    parts = ["## Model details", _bullets(report_facts.model(use_case, manifest))]
    return "\n\n".join([*parts, _table(head, members)] if members else parts)


def _use(use_case: UseCase) -> str:
    spine = use_case.spine
    return (
        f"## Intended use\n\nTells {_safe(report_facts.predicted(use_case))}, for one "
        f"`{_safe(spine.entity)}` of `{_safe(spine.source)}`, from what is known "
        f"{spine.lead_hours:g} h before the event. Not for other entities, other moments, or inputs "
        "outside the ranges below; serving refuses those."
    )


def _factors(use_case: UseCase) -> str:
    """What the model may do differently for: the declared slices."""
    slices = {**use_case.training.slices, **use_case.gate.slices}
    if not slices:
        return "## Factors\n\nNo slice is declared: groups of rows were not looked at on their own."
    names = [f"- {_safe(name)}" for name in slices]
    return "## Factors\n\nLooked at on their own are these slices of the rows:\n\n" + "\n".join(names)


def _metrics(use_case: UseCase, verdict: Verdict) -> str:
    gate = use_case.gate
    name, unit = METRIC_NAMES[verdict.metric], METRIC_UNITS[verdict.metric]
    return (
        f"## Metrics\n\nDecided by the {name} ({unit}; less is better), under the policy `{gate.policy}` "
        f"with margin {gate.margin:g}. Intervals are two-sided at {1 - 2 * verdict.alpha:.0%}; rows of one "
        f"{_safe(report_facts.unit(use_case))} count together. The calibration error may be "
        f"{gate.max_calibration_error:g} at most."
    )


def _data(use_case: UseCase, data: Mapping[str, Any], manifest: Mapping[str, Any]) -> str:
    facts = report_facts.data(use_case, data, manifest)
    judged = [each for each in facts if each[0] in {"Judged on", "Label", "Intervals count together"}]
    trained = [each for each in facts if each not in judged]
    return (
        f"## Evaluation data\n\n{_bullets(judged)}\n\n## Training data\n\n{_bullets(trained)}\n\n"
        f"{_inputs(use_case)}"
    )


def _inputs(use_case: UseCase) -> str:
    rows = [
        [f"`{name}`", each.unit, f"{each.low:g} to {each.high:g}", each.missing]
        for name, each in use_case.features.items()
    ]
    return "### Inputs\n\n" + _table(["feature", "unit", "range", "missing"], rows)


def _analyses(use_case: UseCase, verdict: Verdict, shown: Shown) -> str:
    parts = ["## Quantitative analyses", _comparisons(verdict)]
    if shown.measures is not None:
        parts.append(_measures(shown.measures))
    parts += [
        _calibration(verdict, use_case),
        _slices(use_case, verdict),
        _coverage(use_case, shown.manifest),
    ]
    return "\n\n".join(part for part in parts if part)


def _comparisons(verdict: Verdict) -> str:
    if verdict.challenger_loss is None:
        return "The challenger has no usable scores: nothing could be measured."
    name = METRIC_NAMES[verdict.metric]
    ends = _span(verdict.challenger_low, verdict.challenger_high, "")
    rows = [["this model", f"{verdict.challenger_loss:.4f}", ends, "", "", str(verdict.n)]]
    rows += [
        [
            f"{each.name}{'' if each.required or each.kind == 'champion' else ' (shown only)'}",
            f"{each.other_loss:.4f}",
            "",
            f"{each.mean:+.4f}",
            _span(each.low, each.high),
            str(each.n),
        ]
        for each in verdict.comparisons
    ]
    head = ["forecaster", name, "interval", "gain of this model", "interval of the gain", "rows"]
    return "### Against champion and baselines\n\nA gain above 0: this model is better.\n\n" + _table(
        head, rows
    )


def _measures(found: Measures) -> str:
    names = list(found.of)
    rows = []
    for metric in found.metrics:
        title, unit, better = WORDS[metric]
        row = [f"{title} ({unit}; {better})"]
        for name in names:
            each = found.of[name].get(metric)
            if each is None:
                row.append("")
            else:
                ends = (
                    ""
                    if each.low is None or each.high is None
                    else f" [{number(each.low)}, {number(each.high)}]"
                )
                row.append(f"{number(each.value)}{ends}")
        rows.append(row)
    return "### Every metric\n\n" + _table(["metric", *names], rows)


def _calibration(verdict: Verdict, use_case: UseCase) -> str:
    found = verdict.calibration
    if found is None:
        return ""
    limit = use_case.gate.max_calibration_error
    chance = f"a perfectly calibrated model would show about {found.chance:.3f} on so many rows"
    if found.promised is not None and found.inside is not None:
        told = (
            f"Intervals promise to hold {found.promised:.1%} of what comes and held {found.inside:.1%}: off "
            f"by {found.error:.3f}, limit {limit:g}; {chance}."
        )
        return f"### Calibration\n\n{told}"
    told = f"Expected calibration error {found.error:.3f}, limit {limit:g}; {chance}."
    rows = [[str(each.rows), f"{each.predicted:.3f}", f"{each.observed:.3f}"] for each in found.bins]
    listed = "\n\n" + _table(["rows", "mean prediction", "share true"], rows)
    return f"### Calibration\n\n{told}{listed if use_case.task == 'binary' else ''}"


def _slices(use_case: UseCase, verdict: Verdict) -> str:
    if not verdict.slices:
        return ""
    head = ["slice", "rows where", "rows", "loss", "floor", "increase", "limit", "against", "result"]
    return "### Slices\n\n" + _table(head, [_slice(use_case, each) for each in verdict.slices])


def _slice(use_case: UseCase, each: SliceResult) -> list[str]:
    loss = "" if each.loss is None else f"{each.loss:.4f} {_span(each.loss_low, each.loss_high, '')}"
    increase = "" if each.increase is None else f"{each.increase:+.4f} {_span(each.low, each.high)}"
    result = ("kept" if each.passed else "broken") if each.judged else "too few rows to judge"
    floor = "" if each.max_loss is None else f"{each.max_loss:g}"
    condition = f"`{describe_slice(use_case.gate.slices[each.name])}`"
    limits = [floor, increase, f"{each.limit:+g}", each.reference, result]
    return [each.name, condition, str(each.rows), loss, *limits]


def _coverage(use_case: UseCase, manifest: Mapping[str, Any]) -> str:
    metrics = manifest.get("metrics", {})
    covered, said = metrics.get("coverage", {}), metrics.get("calibration", {})
    if covered:
        rows = [
            [
                _all(name),
                str(int(each["rows"])),
                f"{each['share']:.1%} [{each['low']:.1%}, {each['high']:.1%}]",
            ]
            for name, each in covered.items()
        ]
        promised = f"Promised: {use_case.training.interval_coverage:.0%}. Measured out of fold."
        return f"### Coverage of intervals\n\n{promised}\n\n" + _table(["slice", "rows", "inside"], rows)
    rows = [
        [
            _all(name),
            "it comes true" if of == "1" and len(classes) == 1 else of,
            str(int(each["rows"])),
            f"{each['said']:.1%}",
            f"{each['share']:.1%} [{each['low']:.1%}, {each['high']:.1%}]",
        ]
        for name, classes in said.items()
        for of, each in classes.items()
    ]
    head = ["slice", "outcome", "rows", "said, on average", "came"]
    return "### Said and seen by slice, out of fold\n\n" + _table(head, rows) if rows else ""


def _beside(use_case: UseCase, data: Mapping[str, Any], verdict: Verdict) -> str:
    rows = [(name, text) for name, text, _ in report_facts.beside(use_case, data, verdict)]
    return "## Ceilings, contract and leaks\n\n" + _bullets(rows)


def _explanation(shown: Shown) -> str:
    parts = ["## Explanation", "\n".join(f"- {_safe(each)}" for each in report_facts.explanation(shown))]
    if isinstance(shown.explained, Explained):
        rows = [[f"`{name}`", f"{mean:.4g}"] for name, mean in shown.explained.ranking() if mean > 0.0]
        parts.append(_table(["feature", f"mean size of its term ({shown.explained.unit})"], rows))
    if shown.told:
        parts += ["### Single rows", "\n".join(_told(each) for each in shown.told)]
    return "\n\n".join(parts)


def _told(each: Told) -> str:
    gain = (
        ""
        if each.gain is None
        else f" Gain {each.gain:+.4f} against {each.against}, which said {each.other}."
    )
    why = f" Reasons: {'; '.join(each.reasons)}." if each.reasons else ""
    return _safe(
        f"- {each.title}, {each.entity} ({each.moment} UTC): the model said {each.said}; what came: "
        f"{each.outcome}.{gain}{why}"
    )


def _cautions(use_case: UseCase, manifest: Mapping[str, Any]) -> str:
    listed = "\n".join(f"- {_safe(each)}" for each in report_facts.limits(use_case, manifest))
    who = f"{_safe(use_case.owner.team)}, {_safe(use_case.owner.email)}"
    return (
        "## Ethical considerations\n\nWhat a forecast is used for is decided by people, not here. Slices "
        f"that matter to somebody have to be declared to be looked at. Answerable: {who}.\n\n"
        f"## Limits and recommendations\n\n{listed}"
    )


def _reproduce(data: Mapping[str, Any], sha256: str, manifest: Mapping[str, Any]) -> str:
    rows = [[name, f"`{text}`"] for name, text in report_facts.identity(data, sha256, manifest)]
    return "## Reproduce\n\n" + _table(["what", "identity"], rows)


def _all(name: str) -> str:
    return "all rows" if name == "all" else name


def _span(low: float | None, high: float | None, sign: str = "+") -> str:
    return "no interval" if low is None or high is None else f"[{low:{sign}.4f}, {high:{sign}.4f}]"


def _bullets(facts: Sequence[tuple[str, str]]) -> str:
    return "\n".join(f"- {_safe(name)}: {_safe(text)}" for name, text in facts)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [_line(head), _line(["---"] * len(head)), *(_line(row) for row in rows)]
    return "\n".join(lines)


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(_cell(each).replace('|', chr(92) + '|') for each in cells)} |"


def _cell(text: str) -> str:
    """Code stays as it is: nothing in it is markup, and a backtick that would end it becomes a quote."""
    if len(text) > 1 and text[0] == text[-1] == "`":
        inner = " ".join(text[1:-1].split())
        return "`" + inner.replace("`", "'") + "`"
    return _safe(text)


def _safe(text: str) -> str:
    """On one line, and without the start of a tag."""
    return " ".join(str(text).split()).replace("&", "&amp;").replace("<", "&lt;")
