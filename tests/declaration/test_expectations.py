"""The table of expectations tells what Great Expectations tells."""

import pytest

from pennant.declaration.expectations import EXPECTATIONS


@pytest.fixture(scope="module")
def library() -> object:
    from great_expectations import expectations

    return expectations


def test_each_listed_expectation_is_one_of_the_library_with_these_arguments(library: object) -> None:
    from great_expectations.expectations.expectation import (
        ColumnMapExpectation,
        ColumnPairMapExpectation,
        MulticolumnMapExpectation,
    )

    by_row = (ColumnMapExpectation, ColumnPairMapExpectation, MulticolumnMapExpectation)
    for name, rule in EXPECTATIONS.items():
        kind = getattr(library, name)
        fields = kind.__fields__
        assert rule.arguments <= set(fields), name
        assert {each for each, field in fields.items() if field.required} <= rule.required, name
        assert issubclass(kind, by_row) == rule.rows, name
