"""Can the challenger take the champion's place for who calls: its inputs against declaration and champion.

Serving refuses a row with a value outside an input's range, or without a value that may not be missing. So an
input that takes less than before turns rows away that were answered yesterday.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from pennant.declaration.model import Feature, UseCase
from pennant.gate.outcome import Number, Reason
from pennant.gate.score import inputs_of
from pennant.reference import Reference
from pennant_serving.manifest import Input

NAMED_ROWS = 5
"""So many refused rows are named; the rest is counted."""

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Contract:
    """What came of the comparison.

    Attributes:
        reasons: findings for the verdict.
        answered: (n,) rows that at least one of the two would answer; the others are nobody's to judge.
        taken: (n,) rows that the challenger would answer.
    """

    reasons: tuple[Reason, ...]
    answered: Mask
    taken: Mask


@dataclass(frozen=True)
class LeakReport:
    """What the search for leaks found in the snapshot.

    Attributes:
        features: names of features that read what was not yet known; baselines as `baseline__<column>`.
        report: its page.
    """

    features: tuple[str, ...]
    report: Reference | None = None

    def to_json(self) -> dict[str, Any]:
        return {
            "features": list(self.features),
            "report": None if self.report is None else self.report.to_json(),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "LeakReport":
        """Read what `to_json` gave."""
        report = value["report"]
        return cls(tuple(value["features"]), None if report is None else Reference.from_json(report))


def examine(
    use_case: UseCase,
    challenger: Sequence[Input] | None,
    champion: Sequence[Input] | None,
    fresh: pl.DataFrame,
) -> Contract:
    """Hold the challenger's inputs against the declaration, and against what the champion takes.

    Without a champion it is held against the declaration alone.

    Args:
        use_case: the declaration.
        challenger: its inputs; None when it cannot be read: then there is nothing to hold.
        champion: the champion's inputs; None without one, or when it cannot be read.
        fresh: rows of the snapshot, n of them.
    """
    if challenger is None:
        everything = np.ones(fresh.height, dtype=np.bool_)
        return Contract((), everything, everything)
    declared = {name: _as_input(name, each) for name, each in use_case.features.items()}
    rival = list(declared.values()) if champion is None else list(champion)
    before = {each.name: each for each in rival}
    reasons = _foreign(challenger, declared) + _other_units(challenger, before)
    ours, theirs = _refused(challenger, fresh), _refused(rival, fresh)
    if champion is not None:
        added = [each.name for each in challenger if each.name not in before]
        reasons += [_added(added)] if added else []
    narrower = [each for each in challenger if each.name in before and _narrower(each, before[each.name])]
    reasons += _turned_away(narrower, fresh, ours & ~theirs)
    neither = ours & theirs
    reasons += [_unanswered(int(neither.sum()), len(neither))] if neither.any() else []
    return Contract(tuple(reasons), ~neither, ~ours)


def leak_reasons(
    leaks: LeakReport | None, challenger: Sequence[Input] | None, champion: Sequence[Input] | None
) -> list[Reason]:
    """A leaking input that is new refuses; one that the champion has, too, holds and asks a person."""
    if challenger is None:
        return []
    if leaks is None:
        text = "The snapshot was not searched for leaks; that no feature reads the future is not shown."
        return [Reason("leaks_not_searched", "promote", text, {})]
    taken, before = {each.name for each in challenger}, {each.name for each in champion or ()}
    leaking = [name for name in leaks.features if name in taken]
    new, old = ([n for n in leaking if (n in before) == known] for known in (False, True))
    page = "" if leaks.report is None else f" See {leaks.report.uri}."
    found = []
    if new:
        text = f"New inputs read what was not yet known: {', '.join(new)}. Their scores mean nothing.{page}"
        found.append(Reason("new_leak", "refuse", text, {"features": ", ".join(new), "count": len(new)}))
    if old:
        text = (
            f"Inputs that the champion has, too, read what was not yet known: {', '.join(old)}. Both are "
            f"flattered, and the champion is in service: a person has to look.{page}"
        )
        found.append(
            Reason("leak_in_champion", "hold", text, {"features": ", ".join(old), "count": len(old)})
        )
    return found


def _as_input(name: str, declared: Feature) -> Input:
    return Input(name=name, dtype="float64", **declared.model_dump())


def _foreign(challenger: Sequence[Input], declared: Mapping[str, Input]) -> list[Reason]:
    unknown = [each.name for each in challenger if each.name not in declared]
    found = []
    if unknown:
        text = f"Inputs that the declaration does not have: {', '.join(unknown)}. Nothing would send them."
        found.append(Reason("input_not_declared", "refuse", text, {"features": ", ".join(unknown)}))
    for each in challenger:
        unit = declared[each.name].unit if each.name in declared else each.unit
        if unit != each.unit:
            text = f"Input {each.name} is in {each.unit!r}; the declaration has it in {unit!r}."
            found.append(_of_unit("input_unit_not_declared", text, each.name, each.unit, unit))
    return found


def _other_units(challenger: Sequence[Input], before: Mapping[str, Input]) -> list[Reason]:
    found = []
    for each in challenger:
        was = before[each.name].unit if each.name in before else each.unit
        if was != each.unit:
            text = (
                f"Input {each.name} is in {each.unit!r}, and the champion takes it in {was!r}: callers "
                "would be misread. Give it a new name."
            )
            found.append(_of_unit("input_unit_changed", text, each.name, each.unit, was))
    return found


def _of_unit(code: str, text: str, name: str, unit: str, wanted: str) -> Reason:
    return Reason(code, "refuse", text, {"feature": name, "unit": unit, "wanted": wanted})


def _added(names: Sequence[str]) -> Reason:
    text = f"New inputs that callers have to send: {', '.join(names)}."
    return Reason("inputs_added", "promote", text, {"features": ", ".join(names)})


def _narrower(ours: Input, theirs: Input) -> bool:
    stricter = ours.missing == "refuse" and theirs.missing == "allow"
    return stricter or ours.low > theirs.low or ours.high < theirs.high


def _turned_away(narrower: Sequence[Input], fresh: pl.DataFrame, lost: Mask) -> list[Reason]:
    """Rows that were answered and would not be any more: that is for a person to want."""
    if not narrower and not lost.any():
        return []
    inputs = ", ".join(_contract(each) for each in narrower) or "new inputs"
    named = fresh.filter(pl.Series(lost, dtype=pl.Boolean))["entity"].cast(pl.String).head(NAMED_ROWS)
    rows = ", ".join(named.to_list())
    numbers: dict[str, Number] = {"rows": int(lost.sum()), "of": len(lost), "first": rows}
    if not lost.any():
        text = f"Takes less than before ({inputs}); no fresh row would be turned away by it."
        return [Reason("takes_less_unfelt", "promote", text, numbers)]
    more = " and more" if lost.sum() > NAMED_ROWS else ""
    text = (
        f"{int(lost.sum())} of {len(lost)} fresh rows that are answered today would be refused ({inputs}): "
        f"{rows}{more}. A person has to want that."
    )
    return [Reason("turns_rows_away", "hold", text, numbers)]


def _unanswered(rows: int, of: int) -> Reason:
    text = f"{rows} of {of} fresh rows break the contract: no model answers them, and none is judged on them."
    return Reason("rows_unanswered", "promote", text, {"rows": rows, "of": of})


def _contract(each: Input) -> str:
    missing = "may be missing" if each.missing == "allow" else "may not be missing"
    return f"{each.name} from {each.low:g} to {each.high:g}, {missing}"


def _refused(inputs: Sequence[Input], fresh: pl.DataFrame) -> Mask:
    """(n,) rows that serving would refuse; an input without a column refuses none here."""
    columns = set(fresh.columns)
    there = [each for each in inputs if each.name in columns]
    if not there or not fresh.height:
        return np.zeros(fresh.height, dtype=np.bool_)
    values = inputs_of(fresh, [each.name for each in there])
    absent = np.isnan(values)
    allowed = np.array([each.missing == "allow" for each in there])
    with np.errstate(invalid="ignore"):
        low, high = np.array([each.low for each in there]), np.array([each.high for each in there])
        outside = ~absent & ((values < low) | (values > high))
    return np.asarray((outside | (absent & ~allowed)).any(axis=1))
