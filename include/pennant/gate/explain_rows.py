"""A few rows told one by one: where the model gained and lost most, and a usual one, with the reasons."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pennant.gate.explain import Explained
from pennant.gate.outcome import Verdict
from pennant.gate.tables import Floats, ScoreTable, rows_of

REASONS = 4
"""So many features are named; the others are summed up."""


@dataclass(frozen=True)
class Told:
    """One fresh row.

    Attributes:
        title: why it is shown.
        row: its position among the fresh rows.
        entity: whose it is.
        moment: of the event, UTC.
        outcome: what came, in words.
        said: what the model said, in words.
        other: what it is compared with said, in words; empty without one.
        against: name of that; empty without one.
        loss: of the model.
        gain: the other's loss less the model's; None without another.
        reasons: the features that moved the prediction most, in words; empty without an explanation.
    """

    title: str
    row: int
    entity: str
    moment: str
    outcome: str
    said: str
    other: str
    against: str
    loss: float
    gain: float | None
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True)
class Against:
    """What rows are compared with: its scores on the fresh rows `rows`, and what it is called."""

    name: str
    table: ScoreTable
    rows: "np.ndarray[tuple[int], np.dtype[np.intp]]"


def opponent(verdict: Verdict, ours: ScoreTable, tables: Mapping[str, ScoreTable]) -> Against | None:
    """The champion, else the best required baseline; None without either on these rows."""
    named = [each for each in verdict.comparisons if each.n and each.name in tables]
    champion = [each for each in named if each.kind == "champion"]
    required = sorted((each for each in named if each.required), key=lambda each: each.other_loss)
    for each in (*champion, *required):
        table = tables[each.name]
        rows = rows_of(table, ours)
        if len(table) and rows is not None:
            return Against(each.name, table, rows)
    return None


def choose(metric: str, ours: ScoreTable, against: Against | None) -> dict[str, int]:
    """Positions of the rows to tell, by why: no row twice.

    Without an opponent: the largest and the smallest loss, and the one nearest to the median.
    """
    values, rows = _gains(metric, ours, against)
    names = ("Best forecast", "Worst forecast")
    if against is not None:
        names = (
            "Largest gain" if values.max() > 0 else "Smallest loss",
            "Largest loss" if values.min() < 0 else "Smallest gain",
        )
    found: dict[str, int] = {}
    losses = ours.losses(metric)[rows]
    usual = np.argsort(np.abs(losses - np.median(losses)), kind="stable")
    for title, order in (
        (names[0], np.argsort(-values, kind="stable")),
        (names[1], np.argsort(values, kind="stable")),
        ("A typical row", usual),
    ):
        left = [int(rows[at]) for at in order[:3] if int(rows[at]) not in found.values()]
        if left:
            found[title] = left[0]
    return found


def tell(
    chosen: Mapping[str, int],
    metric: str,
    ours: ScoreTable,
    against: Against | None,
    classes: Sequence[str],
    explained: Explained | None,
) -> list[Told]:
    """The chosen rows in words."""
    values, rows = _gains(metric, ours, against)
    losses, place = ours.losses(metric), {int(row): at for at, row in enumerate(rows)}
    found = []
    for title, row in chosen.items():
        at = place[row]
        found.append(
            Told(
                title=title,
                row=row,
                entity=str(ours.entity[row]),
                moment=str(np.datetime_as_string(ours.event_time[row], unit="m")).replace("T", " "),
                outcome=outcome_words(ours, row, classes),
                said=forecast_words(ours, row, classes),
                other="" if against is None else forecast_words(against.table, at, classes),
                against="" if against is None else against.name,
                loss=float(losses[row]),
                gain=None if against is None else float(values[at]),
                reasons=() if explained is None else reasons(explained, row, shown(explained, ours, row)),
            )
        )
    return found


def shown(explained: Explained, ours: ScoreTable, row: int) -> tuple[int, ...]:
    """The outputs that say most about a row: of classes the one that came, of a path both directions."""
    if ours.problem.task == "multiclass":
        return (int(ours.label[row]),)
    return tuple(range(len(explained.outputs)))


def reasons(explained: Explained, row: int, outputs: Sequence[int]) -> tuple[str, ...]:
    """The strongest features of a row, each with its value and what it adds."""
    at = explained.at(row)
    terms = explained.values[at][list(outputs)]
    order = np.argsort(-np.abs(terms).sum(axis=0), kind="stable")[:REASONS]
    return tuple(
        f"{explained.names[each]} {value_words(float(explained.inputs[at, each]))} "
        f"{_moves(explained, outputs, terms[:, each])}"
        for each in order
        if np.abs(terms[:, each]).sum() > 0.0
    )


def _moves(explained: Explained, outputs: Sequence[int], terms: Floats) -> str:
    """What a feature does to a prediction."""
    if len(outputs) == 1:
        return f"{'raises' if terms[0] > 0 else 'lowers'} it by {abs(terms[0]):.3g}"
    moved = (f"{explained.outputs[each]} by {term:+.3g}" for each, term in zip(outputs, terms, strict=True))
    return f"moves {' and '.join(moved)}"


def value_words(value: float) -> str:
    """A feature's value."""
    return "(missing)" if np.isnan(value) else f"= {value:.4g}"


def outcome_words(table: ScoreTable, row: int, classes: Sequence[str]) -> str:
    """What came."""
    label, task = table.label[row], table.problem.task
    if task == "binary":
        return "it came true" if label == 1.0 else "it did not come true"
    if task == "multiclass":
        return classes[int(label)]
    if task == "trajectory":
        return f"at ({label[-2]:.2f}, {label[-1]:.2f}) m after {table.problem.steps} steps"
    return f"{label:.4g}"


def forecast_words(table: ScoreTable, row: int, classes: Sequence[str]) -> str:
    """What was forecast."""
    p, task = table.prediction[row], table.problem.task
    if task == "binary":
        return f"{p:.1%}{_ends(table, row, percent=True)}"
    if task == "multiclass":
        return ", ".join(f"{name} {share:.1%}" for name, share in zip(classes, p, strict=True))
    if task == "count":
        mean = float(p @ np.arange(len(p), dtype=np.float64))
        return f"{mean:.2f} expected{_ends(table, row)}"
    if task == "trajectory":
        apart = np.hypot(*(p[-2:] - table.label[row][-2:]))
        return f"at ({p[-2]:.2f}, {p[-1]:.2f}) m, {apart:.2f} m off"
    return f"{p:.4g}{_ends(table, row)}"


def _ends(table: ScoreTable, row: int, *, percent: bool = False) -> str:
    if table.low is None or table.high is None:
        return ""
    form = ".1%" if percent else ".4g"
    return f" [{table.low[row]:{form}} to {table.high[row]:{form}}]"


def _gains(
    metric: str, ours: ScoreTable, against: Against | None
) -> tuple[Floats, "np.ndarray[tuple[int], np.dtype[np.intp]]"]:
    """What rows were gained, and their positions; without an opponent the loss, turned round."""
    if against is None:
        return -ours.losses(metric), np.arange(len(ours))
    ends = [table.problem.most for table in (ours, against.table)]
    mine, theirs = (table.up_to(min(ends)) for table in (ours.take(against.rows), against.table))
    return theirs.losses(metric) - mine.losses(metric), against.rows
