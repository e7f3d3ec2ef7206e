"""What can be wrong with prices, forecasts, limits and bets: errors built from data."""

from collections.abc import Sequence

from pennant.errors import PennantError


class PriceError(PennantError):
    """A price that no bookmaker can quote.

    Attributes:
        kind: `decimal` or `american`.
        place: index of the first such price.
        found: the price.
        count: how many there are.
    """

    def __init__(self, kind: str, place: tuple[int, ...], found: float, count: int) -> None:
        self.kind, self.place, self.found, self.count = kind, place, found, count
        allowed = "more than 1 and finite" if kind == "decimal" else "at most -100, or at least 100"
        super().__init__(
            f"{count} {kind} price(s) cannot be: found {found:g} at {place}; allowed is {allowed}, "
            "or NaN where there is no price; look at the source's units"
        )


class ProbabilityError(PennantError):
    """Probabilities that cannot be.

    Attributes:
        what: which ones.
        place: index of the first row.
        found: the probability, or the sum of a row's.
        allowed: in words.
    """

    def __init__(self, what: str, place: int, found: float, allowed: str) -> None:
        self.what, self.place, self.found, self.allowed = what, place, found, allowed
        super().__init__(f"{what} cannot be: found {found:g} in row {place}; allowed is {allowed}")


class ShapeError(PennantError):
    """Arrays of shapes that do not fit.

    Attributes:
        what: which array.
        found: its shape.
        allowed: in words.
    """

    def __init__(self, what: str, found: tuple[int, ...], allowed: str) -> None:
        self.what, self.found, self.allowed = what, found, allowed
        super().__init__(f"{what} has the shape {found}; allowed is {allowed}")


class RuleError(PennantError):
    """A declared rule that means nothing.

    Attributes:
        field: name of the rule.
        found: its value.
        allowed: in words.
    """

    def __init__(self, field: str, found: object, allowed: str) -> None:
        self.field, self.found, self.allowed = field, found, allowed
        super().__init__(f"{field} is {found!r}; allowed is {allowed}")


class ColumnsError(PennantError):
    """A table without columns that are needed, or with nulls in them.

    Attributes:
        table: which one.
        columns: the columns.
        problem: `missing`, `null` or `not UTC`.
        found: the columns there are, or how many nulls.
    """

    def __init__(self, table: str, columns: Sequence[str], problem: str, found: object) -> None:
        self.table, self.columns, self.problem, self.found = table, tuple(columns), problem, found
        super().__init__(f"{table}: {problem} in {', '.join(columns)}; found {found}")


class DuplicateError(PennantError):
    """Rows that say the same thing twice, so that it is not clear which holds.

    Attributes:
        table: which one.
        key: the columns that have to differ.
        found: the first doubled values.
        count: how many keys are doubled.
    """

    def __init__(self, table: str, key: Sequence[str], found: Sequence[object], count: int) -> None:
        self.table, self.key, self.found, self.count = table, tuple(key), tuple(found), count
        super().__init__(
            f"{table}: {count} key(s) of {', '.join(key)} occur more than once; the first is {self.found}; "
            "keep one row of each"
        )


class GradeError(PennantError):
    """A bet that cannot be held against its result.

    Attributes:
        entity: whose bet.
        field: what does not fit: `outcome`, `line` or `value`.
        found: what it is.
        allowed: in words.
    """

    def __init__(self, entity: str, field: str, found: object, allowed: str) -> None:
        self.entity, self.field, self.found, self.allowed = entity, field, found, allowed
        super().__init__(f"the bet on {entity} cannot be graded: {field} is {found!r}; allowed is {allowed}")
