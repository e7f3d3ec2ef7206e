"""When a comparison means nothing because something is wrong: the findings that refuse."""

from collections.abc import Mapping, Sequence

import numpy as np

from pennant.gate.interval import Metric, area_under_curve, base_rate_loss
from pennant.gate.outcome import Reason
from pennant.gate.possible import impossible_intervals, impossible_labels, impossible_predictions, possible
from pennant.gate.tables import Floats, ScoreTable, Unscorable, rows_of, same_problem, same_rows

LEAK_AUC = 0.995
"""A ranking without a fault is a leak until disproved: honest ones of games reach 0.75, of churn 0.85."""
LEAK_LOSS_SHARE = {
    "log_loss": 0.2,
    "brier": 0.2,
    "rps": 0.2,
    "crps": 0.2,
    "squared_error": 0.01,
    "absolute_error": 0.1,
    "ade": 0.2,
    "fde": 0.2,
}
"""By metric: a loss under this share of the reference's is a leak until proven otherwise.

Probabilities and distributions: a fifth of the best constant's loss leaves less doubt than chance does; the
outcome was all but known. Numbers: 99 % of the variance explained, or a tenth of the median's error, which is
the same for one spread; physics reaches it, what people and markets do does not. Paths: a fifth of the best
declared baseline's error; the best published models keep three fifths of constant velocity's.
"""


def challenger_faults(challenger: ScoreTable | Unscorable) -> list[Reason]:
    """What is wrong with the challenger's own table."""
    if isinstance(challenger, Unscorable):
        return [_refuse(challenger.code, f"{challenger.name} could not be scored: {challenger.why}.")]
    return _table_faults(challenger) + _value_faults(challenger) + _training_faults(challenger)


def champion_faults(champion: ScoreTable, challenger: ScoreTable) -> list[Reason]:
    """What makes the champion's rows another set than the challenger's, or other labels."""
    return _table_faults(champion) or _row_faults(champion, challenger)


def baseline_faults(
    baselines: Mapping[str, ScoreTable], required: Sequence[str], challenger: ScoreTable
) -> list[Reason]:
    """Missing required baselines, impossible forecasts, and rows the challenger was not asked."""
    found = [
        _refuse("baseline_missing", f"Required baseline {name} was not computed.", baseline=name)
        for name in sorted(set(required) - set(baselines))
    ]
    for _, table in sorted(baselines.items()):
        found += _table_faults(table) or (_value_faults(table) + _subset_faults(table, challenger))
    return found


def leak(metric: Metric, table: ScoreTable, baselines: Mapping[str, ScoreTable]) -> list[Reason]:
    """Too good to be true: under a share of the best constant forecast's loss, or an AUC over 0.995.

    Paths have no constant: there it is the best of the baselines, on the rows that it forecasts.
    """
    references = _references(metric, table, baselines)
    if not references:
        return []
    name, loss, reference = min(references, key=lambda each: each[1] / each[2])
    share = LEAK_LOSS_SHARE[metric]
    binary = table.problem.task == "binary"
    auc = area_under_curve(table.label, table.prediction) if binary else None
    if loss >= share * reference and (auc is None or auc <= LEAK_AUC):
        return []
    ranking = "" if auc is None else f"AUC {auc:.4f} (limit {LEAK_AUC}), "
    text = (
        f"{table.name} is too good to be true: {ranking}loss {loss:.4f} where {name} has {reference:.4f} "
        f"(limit {share:.0%} of that). A leak until disproved."
    )
    return [_refuse("too_good_to_be_true", text, auc=auc, loss=loss, constant_loss=reference)]


def _references(
    metric: Metric, table: ScoreTable, baselines: Mapping[str, ScoreTable]
) -> list[tuple[str, float, float]]:
    """What it is held against: name, the table's loss and the reference's on the same rows, above 0."""
    constant, ours = base_rate_loss(metric, table), table.losses(metric)
    if constant is not None:
        return [("the best constant", float(ours.mean()), constant)] if constant > 0 else []
    found = []
    for name, other in sorted(baselines.items()):
        rows = rows_of(other, table)
        if rows is not None and len(rows) and (theirs := float(other.losses(metric).mean())) > 0:
            found.append((name, float(ours[rows].mean()), theirs))
    return found


def seen_by_champion(champion: ScoreTable) -> list[Reason]:
    """A note, not an obstacle: a champion that trained on these rows is only harder to beat."""
    if not champion.rows_trained_on:
        return []
    text = f"{champion.name} was trained on {champion.rows_trained_on} of these rows, which flatters it."
    return [Reason("champion_saw_rows", "promote", text, {"rows": champion.rows_trained_on})]


def _table_faults(table: ScoreTable) -> list[Reason]:
    bad = int(np.count_nonzero(impossible_labels(table)))
    found = []
    if bad:
        allowed = possible(table.problem).labels
        text = f"{table.name}: {bad} of {len(table)} labels are impossible; allowed are {allowed}."
        found.append(_refuse("impossible_labels", text, rows=bad, of=len(table)))
    ordered = table.take(table.canonical_order())
    same = (ordered.entity[1:] == ordered.entity[:-1]) & (ordered.event_time[1:] == ordered.event_time[:-1])
    if same.any():
        text = f"{table.name}: {int(same.sum())} rows repeat an entity and event time."
        found.append(_refuse("duplicate_rows", text, rows=int(same.sum())))
    return found


def _value_faults(table: ScoreTable) -> list[Reason]:
    found, allowed = [], possible(table.problem)
    bad = impossible_predictions(table)
    if bad:
        text = f"{table.name}: {bad} of {len(table)} predictions are impossible; allowed are "
        found.append(
            _refuse("impossible_predictions", f"{text}{allowed.predictions}.", rows=bad, of=len(table))
        )
    bad = impossible_intervals(table)
    if bad:
        text = f"{table.name}: {bad} of {len(table)} intervals are impossible; allowed are "
        found.append(_refuse("impossible_intervals", f"{text}{allowed.intervals}.", rows=bad, of=len(table)))
    return found


def _training_faults(table: ScoreTable) -> list[Reason]:
    if not table.rows_trained_on:
        return []
    text = (
        f"{table.name} was trained on {table.rows_trained_on} of the {len(table)} rows that should judge it."
    )
    return [_refuse("trained_on_fresh_rows", text, rows=table.rows_trained_on, of=len(table))]


def _row_faults(other: ScoreTable, challenger: ScoreTable) -> list[Reason]:
    if not same_problem(other, challenger):
        return [_other_problem(other, challenger)]
    left, right = (table.take(table.canonical_order()) for table in (other, challenger))
    if not same_rows(left, right):
        text = f"{other.name} scored {len(left)} rows and {challenger.name} {len(right)}: not the same rows."
        return [_refuse("different_rows", text, other=len(left), challenger=len(right))]
    return _label_faults(left, right, left.label, right.label)


def _subset_faults(part: ScoreTable, challenger: ScoreTable) -> list[Reason]:
    if not same_problem(part, challenger):
        return [_other_problem(part, challenger)]
    rows = rows_of(part, challenger)
    if rows is None:
        text = f"Baseline {part.name} has rows that {challenger.name} was not scored on."
        return [_refuse("different_rows", text, other=len(part), challenger=len(challenger))]
    return _label_faults(part, challenger, part.label, challenger.label[rows])


def _label_faults(other: ScoreTable, challenger: ScoreTable, theirs: Floats, ours: Floats) -> list[Reason]:
    differs = theirs != ours
    count = int(np.count_nonzero(differs if differs.ndim == 1 else differs.any(axis=1)))
    if not count:
        return []
    text = f"{other.name} and {challenger.name} disagree on the label of {count} rows."
    return [_refuse("different_labels", text, rows=count)]


def _other_problem(other: ScoreTable, challenger: ScoreTable) -> Reason:
    theirs, ours = other.problem.task, challenger.problem.task
    text = f"{other.name} predicts another thing ({theirs}) than {challenger.name} ({ours}): no comparison."
    return _refuse("different_problem", text, other=theirs, challenger=ours)


def _refuse(code: str, text: str, **numbers: float | int | str | None) -> Reason:
    return Reason(code, "refuse", text, numbers)
