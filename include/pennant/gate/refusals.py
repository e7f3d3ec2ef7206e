"""When a comparison means nothing because something is wrong: the findings that refuse."""

from collections.abc import Mapping, Sequence

import numpy as np

from pennant.gate.interval import Metric, area_under_curve, base_rate_loss
from pennant.gate.outcome import Reason
from pennant.gate.tables import Floats, ScoreTable, Unscorable, rows_of, same_rows

LEAK_AUC = 0.995
LEAK_LOSS_SHARE = 0.2
"""Better than either of these on fresh rows is a leak until proven otherwise."""


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


def leak(metric: Metric, table: ScoreTable, loss: float) -> list[Reason]:
    """Too good to be true: AUC over 0.995, or under 20 % of the best constant forecast's loss."""
    constant = base_rate_loss(metric, table.label)
    auc = area_under_curve(table.label, table.prediction)
    if auc is None or (auc <= LEAK_AUC and loss >= LEAK_LOSS_SHARE * constant):
        return []
    text = (
        f"{table.name} is too good to be true: AUC {auc:.4f} (limit {LEAK_AUC}), loss {loss:.4f} where the "
        f"best constant has {constant:.4f} (limit {LEAK_LOSS_SHARE:.0%} of that). A leak until disproved."
    )
    return [_refuse("too_good_to_be_true", text, auc=auc, loss=loss, constant_loss=constant)]


def seen_by_champion(champion: ScoreTable) -> list[Reason]:
    """A note, not an obstacle: a champion that trained on these rows is only harder to beat."""
    if not champion.rows_trained_on:
        return []
    text = f"{champion.name} was trained on {champion.rows_trained_on} of these rows, which flatters it."
    return [Reason("champion_saw_rows", "promote", text, {"rows": champion.rows_trained_on})]


def impossible_predictions(table: ScoreTable) -> int:
    """Number of predictions that are NaN, infinite or outside [0, 1]."""
    p = table.prediction
    return int(np.count_nonzero(~(np.isfinite(p) & (p >= 0) & (p <= 1))))


def _table_faults(table: ScoreTable) -> list[Reason]:
    bad = int(np.count_nonzero(~np.isin(table.label, (0.0, 1.0))))
    found = []
    if bad:
        text = f"{table.name}: {bad} of {len(table)} labels are neither 0 nor 1."
        found.append(_refuse("impossible_labels", text, rows=bad, of=len(table)))
    ordered = table.take(table.canonical_order())
    same = (ordered.entity[1:] == ordered.entity[:-1]) & (ordered.event_time[1:] == ordered.event_time[:-1])
    if same.any():
        text = f"{table.name}: {int(same.sum())} rows repeat an entity and event time."
        found.append(_refuse("duplicate_rows", text, rows=int(same.sum())))
    return found


def _value_faults(table: ScoreTable) -> list[Reason]:
    bad = impossible_predictions(table)
    if not bad:
        return []
    text = f"{table.name}: {bad} of {len(table)} predictions are NaN, infinite or outside [0, 1]."
    return [_refuse("impossible_predictions", text, rows=bad, of=len(table))]


def _training_faults(table: ScoreTable) -> list[Reason]:
    if not table.rows_trained_on:
        return []
    text = (
        f"{table.name} was trained on {table.rows_trained_on} of the {len(table)} rows that should judge it."
    )
    return [_refuse("trained_on_fresh_rows", text, rows=table.rows_trained_on, of=len(table))]


def _row_faults(other: ScoreTable, challenger: ScoreTable) -> list[Reason]:
    left, right = (table.take(table.canonical_order()) for table in (other, challenger))
    if not same_rows(left, right):
        text = f"{other.name} scored {len(left)} rows and {challenger.name} {len(right)}: not the same rows."
        return [_refuse("different_rows", text, other=len(left), challenger=len(right))]
    return _label_faults(left, right, left.label, right.label)


def _subset_faults(part: ScoreTable, challenger: ScoreTable) -> list[Reason]:
    rows = rows_of(part, challenger)
    if rows is None:
        text = f"Baseline {part.name} has rows that {challenger.name} was not scored on."
        return [_refuse("different_rows", text, other=len(part), challenger=len(challenger))]
    return _label_faults(part, challenger, part.label, challenger.label[rows])


def _label_faults(other: ScoreTable, challenger: ScoreTable, theirs: Floats, ours: Floats) -> list[Reason]:
    count = int(np.count_nonzero(theirs != ours))
    if not count:
        return []
    text = f"{other.name} and {challenger.name} disagree on the label of {count} rows."
    return [_refuse("different_labels", text, rows=count)]


def _refuse(code: str, text: str, **numbers: float | int | str) -> Reason:
    return Reason(code, "refuse", text, numbers)
