"""Cross-field checks of task, training and gate."""

from collections.abc import Iterator

from pennant.declaration.checks_data import unknown
from pennant.declaration.document import Document
from pennant.declaration.model import Condition, Member, Range, TrainedUseCase, UseCase
from pennant.declaration.parameters import (
    CALIBRATIONS,
    COLUMNS,
    INTERVALS,
    METRICS,
    PARAMETERS,
    SEQUENCES,
    TASKS,
    Allowed,
)
from pennant.declaration.problems import Field, Problem

Problems = Iterator[Problem]


def check_training(use_case: TrainedUseCase, document: Document) -> Problems:
    search, path = use_case.training.search, ("training", "search", "workers")
    if search.workers > search.trials:
        message = "more workers than trials to share"
        yield document.problem(path, message, allowed=f"at most trials ({search.trials})")
    for name, member in use_case.training.members.items():
        here = ("training", "members", name)
        if name == "overrides":  # stands beside the members' hyper-parameters in bundle.json
            yield document.problem(here, "the name stands for something else", found=name, allowed="another")
        yield from _member(member, here, document)
        yield from _fitting(use_case, member, here, document)
        yield from _sequence(use_case, member, here, document)


def check_calibration(use_case: TrainedUseCase, document: Document) -> Problems:
    method, known = use_case.training.calibration, CALIBRATIONS[use_case.task]
    if method not in {"none", *known} and not (method == "best" and known):
        allowed = ", ".join(["none", *(["best"] if known else []), *known])
        message = f"no calibration of a task of kind {use_case.task}"
        yield document.problem(("training", "calibration"), message, allowed=allowed)


def check_interval(use_case: TrainedUseCase, document: Document) -> Problems:
    found, known = use_case.training.interval, INTERVALS[use_case.task]
    if found is not None and found not in known:
        message = f"no interval of a task of kind {use_case.task}"
        yield document.problem(("training", "interval"), message, allowed=", ".join(known))
    for name, part in use_case.training.slices.items():
        yield from _condition(part, ("training", "slices", name), use_case, document)
    if use_case.training.ensemble == "selection" and not use_case.training.slices:
        message = "selection gives the rows of each slice weights of their own, and no slice is declared"
        yield document.problem(("training", "ensemble"), message, allowed="slices, or another ensemble")


def _fitting(use_case: TrainedUseCase, member: Member, path: Field, document: Document) -> Problems:
    """A kind that predicts this task, and the columns that it takes."""
    if use_case.task not in TASKS[member.kind]:
        kinds = ", ".join(kind for kind, tasks in TASKS.items() if use_case.task in tasks)
        message = f"{member.kind} cannot predict a task of kind {use_case.task}"
        yield document.problem((*path, "kind"), message, allowed=kinds)
    if member.kind not in COLUMNS:
        if member.columns:
            message = f"{member.kind} takes all features"
            yield document.problem((*path, "columns"), message, allowed="no columns, or kind: column")
        return
    for number, name in enumerate(member.columns):
        if name not in use_case.features:
            yield unknown(document, (*path, "columns", number), "feature", name, list(use_case.features))
    wanted = len(use_case.label.classes) if use_case.task == "multiclass" else 1
    if use_case.label.path is not None:
        wanted = 2 * use_case.label.path.steps
    if len(member.columns) != wanted:
        message = "the columns are the forecast"
        found, allowed = f"{len(member.columns)} columns", f"{wanted}, in order"
        yield document.problem((*path, "columns"), message, found=found, allowed=allowed)


def _sequence(use_case: TrainedUseCase, member: Member, path: Field, document: Document) -> Problems:
    """Events of features that exist, alike in all events, each in one place."""
    events, path = member.sequence, (*path, "sequence")
    if member.kind not in SEQUENCES:
        if events:
            message, allowed = f"{member.kind} reads no sequence", f"none, or kind: {SEQUENCES[0]}"
            yield document.problem(path, message, found=f"{len(events)} events", allowed=allowed)
        return
    if not events:
        message = f"{member.kind} reads events in their order, and none is named"
        allowed = "a list of features for each earlier event, oldest first"
        yield document.problem(path, message, found="no events", allowed=allowed)
    places: dict[str, int] = {}
    for number, names in enumerate(events):
        here = (*path, number)
        if not names or len(names) != len(events[0]):
            message, allowed = "all events are alike", f"{len(events[0]) or 'some'}, as the first has"
            found = f"{len(names)} features"
            yield document.problem(here, message, found=found, allowed=allowed)
        for place, name in enumerate(names):
            if name not in use_case.features:
                yield unknown(document, (*here, place), "feature", name, list(use_case.features))
            elif name in places:
                message = f"the feature belongs to event {places[name]} already"
                allowed = "a feature in one place"
                yield document.problem((*here, place), message, found=repr(name), allowed=allowed)
            places.setdefault(name, number)


def _member(member: Member, path: Field, document: Document) -> Problems:
    known = PARAMETERS[member.kind]
    for part, names in (("search", list(member.search)), ("fixed", list(member.fixed))):
        for name in names:
            if name not in known:
                yield unknown(
                    document, (*path, part, name), f"parameter of {member.kind}", name, sorted(known)
                )
    for name, value in member.fixed.items():
        here = (*path, "fixed", name)
        if name in member.search:
            message = "the parameter is searched and fixed at once"
            yield document.problem(here, message, allowed="search or fixed, not both")
        if name in known and not known[name].accepts(value):
            yield document.problem(here, "not a value of this parameter", allowed=known[name].describe())
    for name, span in member.search.items():
        if name in known:
            yield from _span(span, known[name], (*path, "search", name), document)


def _span(span: Range, bounds: Allowed, path: Field, document: Document) -> Problems:
    if span.low >= span.high:
        allowed = f"more than low ({span.low:g})"
        yield document.problem((*path, "high"), "the range is empty", allowed=allowed)
    if span.log and span.low <= 0:
        yield document.problem((*path, "low"), "a logarithmic range starts above zero", allowed="more than 0")
    if bounds.whole and span.kind != "int":
        yield document.problem(
            (*path, "kind"), "the parameter counts", found=repr(span.kind), allowed="'int'"
        )
    for end in ("low", "high"):
        value = getattr(span, end)
        if span.kind == "int" and not float(value).is_integer():
            yield document.problem((*path, end), "a range of whole numbers", allowed="a whole number")
        elif not bounds.low <= value <= bounds.high:
            allowed = bounds.describe()
            yield document.problem((*path, end), "outside what the parameter takes", allowed=allowed)


def check_gate(use_case: UseCase, document: Document) -> Problems:
    gate = use_case.gate
    if gate.alpha >= 0.5:
        message = "an interval this narrow would promote on a coin toss"
        yield document.problem(("gate", "alpha"), message, allowed="less than 0.5")
    if gate.policy == "non_inferiority" and gate.margin == 0:
        message = "non-inferiority needs to say how much worse still counts as equal"
        yield document.problem(("gate", "margin"), message, allowed="more than 0")
    if gate.metric not in METRICS[use_case.task]:
        message = f"no metric of a task of kind {use_case.task}"
        yield document.problem(("gate", "metric"), message, allowed=", ".join(METRICS[use_case.task]))
    for name, part in gate.slices.items():
        yield from _condition(part, ("gate", "slices", name), use_case, document)


def _condition(part: Condition, path: Field, use_case: TrainedUseCase, document: Document) -> Problems:
    if part.column not in use_case.features:
        yield unknown(document, (*path, "column"), "feature", part.column, list(use_case.features))
    band = part.below is not None or part.at_least is not None
    if band == (part.equals is not None):
        found = "equals and a band" if band else "no condition"
        message = "a slice is one value or one band"
        yield document.problem(path, message, found=found, allowed="equals; or at_least, below, or both")
    if isinstance(part.equals, str):
        yield document.problem((*path, "equals"), "features are numbers", allowed="a number, without quotes")
    if part.below is not None and part.at_least is not None and part.at_least >= part.below:
        yield document.problem(
            (*path, "below"), "the band is empty", allowed=f"more than at_least ({part.at_least:g})"
        )


def check_approval(use_case: UseCase, document: Document) -> Problems:
    gate, path = use_case.gate, ("gate", "approvers")
    if gate.approval == "none":
        if gate.approvers:
            message = "nobody is asked when approval is none"
            yield document.problem(path, message, allowed="no approvers, or approval: person")
        return
    if not gate.approvers:
        message = "a person has to be asked and none is named"
        yield document.problem(path, message, found="none", allowed="user names that may approve")
    for number, name in enumerate(gate.approvers):
        if not name.strip() or name in gate.approvers[:number]:
            yield document.problem(
                (*path, number), "each approver is named once", allowed="another user name"
            )
    if gate.approvers and set(gate.approvers) == {use_case.owner.email}:
        message = "the owner alone could never approve a model of their own"
        yield document.problem(path, message, found=use_case.owner.email, allowed="at least one other person")


TRAINING_CHECKS = (check_training, check_calibration, check_interval)
CHECKS = (check_gate, check_approval)
