"""The Great Expectations rules that a declaration may use, with the arguments each takes.

A table, because importing Great Expectations takes seven seconds and Dags are parsed every thirty.
Names and arguments are those of Great Expectations 1.24; a test holds the table against the library.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Rule:
    """One expectation."""

    required: frozenset[str]
    optional: frozenset[str] = frozenset()
    rows: bool = True
    """True: it can say which rows fail, so that they can be set aside; False: it judges the batch."""
    bounds: bool = False
    """True: at least one of `min_value` and `max_value` has to be given."""

    @property
    def arguments(self) -> frozenset[str]:
        return self.required | self.optional


COLUMN_ARGUMENTS = ("column", "column_A", "column_B")
COLUMN_LIST_ARGUMENT = "column_list"

_BOUNDS = frozenset({"min_value", "max_value", "strict_min", "strict_max"})
_COLUMN = frozenset({"column"})
_MOSTLY = frozenset({"mostly"})


def _rows(*required: str, optional: frozenset[str] = frozenset(), bounds: bool = False) -> Rule:
    return Rule(frozenset(required), optional | _MOSTLY, rows=True, bounds=bounds)


def _between() -> Rule:
    return Rule(_COLUMN, _BOUNDS, rows=False, bounds=True)


EXPECTATIONS: dict[str, Rule] = {
    "ExpectColumnValuesToNotBeNull": _rows("column"),
    "ExpectColumnValuesToBeNull": _rows("column"),
    "ExpectColumnValuesToBeBetween": _rows("column", optional=_BOUNDS, bounds=True),
    "ExpectColumnValuesToBeInSet": _rows("column", "value_set"),
    "ExpectColumnValuesToNotBeInSet": _rows("column", "value_set"),
    "ExpectColumnValuesToMatchRegex": _rows("column", "regex"),
    "ExpectColumnValuesToNotMatchRegex": _rows("column", "regex"),
    "ExpectColumnValueLengthsToBeBetween": _rows("column", optional=_BOUNDS, bounds=True),
    "ExpectColumnValueLengthsToEqual": _rows("column", "value"),
    "ExpectColumnValuesToBeUnique": _rows("column"),
    "ExpectCompoundColumnsToBeUnique": _rows("column_list"),
    "ExpectColumnPairValuesAToBeGreaterThanB": _rows(
        "column_A", "column_B", optional=frozenset({"or_equal"})
    ),
    "ExpectColumnPairValuesToBeEqual": _rows("column_A", "column_B"),
    "ExpectColumnDistinctValuesToBeInSet": Rule(_COLUMN | {"value_set"}, rows=False),
    "ExpectColumnMeanToBeBetween": _between(),
    "ExpectColumnMedianToBeBetween": _between(),
    "ExpectColumnMinToBeBetween": _between(),
    "ExpectColumnMaxToBeBetween": _between(),
    "ExpectColumnSumToBeBetween": _between(),
    "ExpectColumnStdevToBeBetween": _between(),
    "ExpectColumnUniqueValueCountToBeBetween": _between(),
    "ExpectColumnProportionOfUniqueValuesToBeBetween": _between(),
    "ExpectTableRowCountToBeBetween": Rule(frozenset(), _BOUNDS, rows=False, bounds=True),
}
