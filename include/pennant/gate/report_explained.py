"""The part of the report that says why the model says what it says: plots, sentences, single rows."""

from html import escape

from pennant.declaration.model import UseCase
from pennant.gate import report_facts
from pennant.gate.explain import Explained, Stability
from pennant.gate.explain_rows import Told
from pennant.gate.report_html import figure, section
from pennant.gate.report_shown import Shown


def explanation(shown: Shown) -> str:
    """What the model uses; or that it cannot be said, and why."""
    said = "".join(f"<p>{escape(each)}</p>" for each in report_facts.explanation(shown))
    pictures = "".join(
        figure(name, title, caption, shown.pictures[name])
        for name, (title, caption) in _captions(shown).items()
        if name in shown.pictures
    )
    return section("What the model uses", said, f'<div class="plots">{pictures}</div>' if pictures else "")


def rows(shown: Shown, use_case: UseCase) -> str:
    """A few rows, one by one."""
    if not shown.told:
        return ""
    unit = shown.explained.unit if isinstance(shown.explained, Explained) else ""
    lead = (
        f"Bars start at the baseline (dashed) and end at what was said (the line), in the {unit}; "
        "red raises, blue lowers."
        if unit
        else ""
    )
    items = [_row(each, shown.pictures.get(f"row_{at}")) for at, each in enumerate(shown.told)]
    return section(f"Single {_plural(use_case)}", *items, lead=lead)


def _plural(use_case: UseCase) -> str:
    return {"trajectory": "paths"}.get(use_case.task, "rows")


def _row(each: Told, picture: bytes | None) -> str:
    gain = "" if each.gain is None else f"{each.gain:+.4f} against {each.against}"
    facts = [
        ("Event", each.moment + " UTC"),
        ("Came", each.outcome),
        ("Model said", each.said),
        (f"{each.against} said", each.other),
        ("Loss", f"{each.loss:.4f}"),
        ("Gain", gain),
    ]
    listed = "".join(
        f"<dt>{escape(name)}</dt><dd>{escape(text)}</dd>" for name, text in facts if text and name.strip()
    )
    drawn = "" if picture is None else figure("row", f"{each.title}: terms", "", picture)
    return (
        f'<div class="one"><div><h3>{escape(each.title)}: {escape(each.entity)}</h3><dl>{listed}</dl>'
        f"</div>{drawn}</div>"
    )


def _captions(shown: Shown) -> dict[str, tuple[str, str]]:
    if not isinstance(shown.explained, Explained):
        return {"stability": ("Do importances stand still", report_facts.stillness(shown))}
    found, pairs = shown.explained, shown.explained.interactions
    several = f" Panels: {', '.join(found.outputs[:3])}." if len(found.outputs) > 1 else ""
    path = " Where the walker stands is left out: it is added as it is." if "x" in found.outputs else ""
    colour = (
        f" The colour is the value of the feature that it does most with in member {pairs.member}."
        if pairs
        else " There are no interactions to colour by."
    )
    of = (
        f"Of member {pairs.member}, in its own link, on {pairs.rows} rows: mean size of TreeSHAP interaction "
        "values, both halves of a pair together. A feature's interactions sum to its SHAP value."
        if pairs
        else ""
    )
    steady = (
        "Each dot is one fold's own model. Where dots of a feature lie far apart, what it is worth is chance."
        if isinstance(shown.stability, Stability)
        else ""
    )
    return {
        "importances": (
            "Importances",
            f"Terms in the {found.unit}. Left: mean size over rows"
            f"{' and panels' if several else ''}; right: each dot is a row, red where the feature is high, "
            f"blue where it is low, grey where it is missing.{several}{path}",
        ),
        "dependence": (
            "How terms depend on values",
            f"Each dot is a row; terms in the {found.unit}.{colour} Marks at the left edge: the value is "
            "missing.",
        ),
        "interactions": ("Interactions", of),
        "stability": ("Do importances stand still", f"{report_facts.stillness(shown)} {steady}"),
    }
