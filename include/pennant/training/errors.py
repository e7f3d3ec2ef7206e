"""What training refuses, and why."""

from collections.abc import Iterable
from difflib import get_close_matches

from pennant.errors import PennantError


class TrainingRefused(PennantError):
    """These inputs cannot be trained on; the same inputs will be refused again."""


class TooFewRows(TrainingRefused):
    """There are fewer rows than the declaration asks for, or than the folds need.

    Attributes:
        where: `training rows`, or the fold.
        found: rows found.
        min_rows: rows needed.
    """

    def __init__(self, where: str, found: int, min_rows: int) -> None:
        self.where, self.found, self.min_rows = where, found, min_rows
        super().__init__(
            f"{where}: found {found} rows; at least {min_rows} are needed. Ingest more history, "
            "lengthen split.history_days, shorten split.fresh_days, or lower training.min_rows."
        )


class TooLittleWeight(TrainingRefused):
    """Nearly all weight lies on a few rows: the half-life is too short for the data.

    Attributes:
        where: `training rows`, or the fold.
        worth: how many rows of equal weight the weights are worth (Kish's effective size).
        rows: how many there are.
        min_rows: needed.
        half_life_days: as declared.
    """

    def __init__(self, where: str, worth: float, rows: int, min_rows: int, half_life_days: float) -> None:
        self.where, self.worth, self.rows, self.min_rows = where, worth, rows, min_rows
        self.half_life_days = half_life_days
        super().__init__(
            f"{where}: with training.recency_half_life_days = {half_life_days:g}, {rows} rows weigh as much "
            f"as {worth:.1f}; at least {min_rows} are needed. Lengthen the half-life."
        )


class DuplicateRows(TrainingRefused):
    """An entity has more than one row for one event.

    Attributes:
        rows: how many rows are too many.
        examples: the first few, as entity and event time.
    """

    def __init__(self, rows: int, examples: list[tuple[str, str]]) -> None:
        self.rows, self.examples = rows, examples
        named = ", ".join(f"{entity} at {moment}" for entity, moment in examples)
        super().__init__(
            f"training rows: {rows} repeat an entity and event time ({named}); one row each is allowed. "
            "Look at spine.entity and at joins in features.py that multiply rows."
        )


class LabelBeforeEvent(TrainingRefused):
    """A label is said to be known before its event: one of the two clocks is wrong.

    Attributes:
        rows: how many.
        entity: the first of them.
        event_time: when its event happens.
        label_known_at: when its label is said to be known.
    """

    def __init__(self, rows: int, entity: str, event_time: str, label_known_at: str) -> None:
        self.rows, self.entity = rows, entity
        self.event_time, self.label_known_at = event_time, label_known_at
        super().__init__(
            f"label of {entity}: known from {label_known_at}, its event is only at {event_time} ({rows} such "
            "rows). An outcome is known after its event at the earliest: correct event_time or known_at of "
            "the label's group."
        )


class OneClass(TrainingRefused):
    """All labels are the same, or a class has no row, so there is nothing to tell apart.

    Attributes:
        where: `training rows`, or the fold.
        label: the only label found, or one of those that are there.
        rows: how many labels there are.
        absent: classes without a row.
    """

    def __init__(self, where: str, label: float, rows: int, absent: list[int] | None = None) -> None:
        self.where, self.label, self.rows, self.absent = where, label, rows, absent or []
        found = (
            f"none of {rows} labels is of class {self.absent}"
            if absent
            else f"all {rows} labels are {label:g}"
        )
        needed = (
            "one of each class at least is" if absent else "labels that differ (of a binary task 0 and 1) are"
        )
        super().__init__(
            f"{where}: {found}; {needed} needed. Check the label, or use fewer folds so that each holds all."
        )


class LabelNotBinary(TrainingRefused):
    """A label is neither 0 nor 1.

    Attributes:
        found: the first few other values.
    """

    def __init__(self, found: list[float]) -> None:
        self.found = found
        super().__init__(f"label: found {found}; a binary task allows 0 and 1. Check label.expression.")


class LabelNotAllowed(TrainingRefused):
    """A label is none that the task knows.

    Attributes:
        task: its kind.
        found: the first few wrong labels.
        allowed: what is.
    """

    def __init__(self, task: str, found: list[float], allowed: str) -> None:
        self.task, self.found, self.allowed = task, found, allowed
        super().__init__(f"label: found {found}; a {task} task allows {allowed}. Check label.expression.")


class InfiniteValues(TrainingRefused):
    """A feature is infinite somewhere.

    Attributes:
        feature: its name.
        rows: in how many training rows.
    """

    def __init__(self, feature: str, rows: int) -> None:
        self.feature, self.rows = feature, rows
        super().__init__(
            f"feature {feature}: infinite in {rows} training rows; finite or missing is allowed. "
            "Look for a division by zero in features.py."
        )


class PlaceUnknown(TrainingRefused):
    """A walker's path is to be foretold, and where it stands is not known.

    Attributes:
        feature: the coordinate that is missing.
        rows: in how many training rows.
    """

    def __init__(self, feature: str, rows: int) -> None:
        self.feature, self.rows = feature, rows
        super().__init__(
            f"feature {feature}: missing in {rows} training rows; a path begins where the walker is, and no "
            "member of a path but kind `column` can do without it. Leave such rows out of the spine."
        )


class GroupUnknown(TrainingRefused):
    """Folds are made of groups, and rows belong to none.

    Attributes:
        column: `split.groups`.
        rows: how many training rows have no value there.
    """

    def __init__(self, column: str, rows: int) -> None:
        self.column, self.rows = column, rows
        super().__init__(
            f"split.groups: {column} is missing in {rows} training rows; each row belongs to one. Leave them "
            "out of the spine, or give the column a value of its own for them."
        )


class ColumnsMissing(TrainingRefused):
    """The snapshot lacks columns that the declaration names.

    Attributes:
        missing: their names.
        found: the columns there are.
    """

    def __init__(self, missing: list[str], found: list[str]) -> None:
        self.missing, self.found = missing, found
        super().__init__(
            f"snapshot: no column {missing}; found {found}. Declaration and features.py disagree: "
            "build a new snapshot after making them agree."
        )


class UnknownName(TrainingRefused):
    """A member or hyper-parameter that does not exist.

    Attributes:
        where: the setting that names it, e.g. `overrides.trees`.
        found: the name.
        allowed: all names there are.
        nearest: the most similar one, or None.
    """

    def __init__(self, where: str, found: str, allowed: Iterable[str]) -> None:
        self.where, self.found, self.allowed = where, found, sorted(allowed)
        close = get_close_matches(found, self.allowed, n=1, cutoff=0.4)
        self.nearest = close[0] if close else None
        hint = f" Did you mean {self.nearest!r}?" if self.nearest else ""
        super().__init__(f"{where}: found {found!r}; allowed are {self.allowed}.{hint}")


class BadParameter(TrainingRefused):
    """A hyper-parameter outside what its model takes.

    Attributes:
        where: the setting, e.g. `overrides.trees.max_depth`.
        found: the value.
        allowed: what is allowed, in words.
    """

    def __init__(self, where: str, found: object, allowed: str) -> None:
        self.where, self.found, self.allowed = where, found, allowed
        super().__init__(f"{where}: found {found!r}; allowed is {allowed}.")


class StudyUnusable(TrainingRefused):
    """The study does not exist, has no finished trial, or belongs to other settings.

    Attributes:
        study: its name.
        found: what is the matter.
    """

    def __init__(self, study: str, found: str) -> None:
        self.study, self.found = study, found
        super().__init__(f"study {study}: {found}. Run prepare and its shards with the same settings first.")


class NeuralExtraMissing(TrainingRefused):
    """A member that PyTorch fits is declared, and its packages are not installed.

    Attributes:
        where: what asks for them, e.g. `training.members.network`.
        missing: packages that are not there.
    """

    def __init__(self, where: str, missing: list[str]) -> None:
        self.where, self.missing = where, missing
        super().__init__(
            f"{where}: found no package {', '.join(missing)}; a transformer needs them. "
            "Install the extra on every machine that trains: pip install 'pennant[neural]'; "
            "or take the member out of the declaration."
        )
