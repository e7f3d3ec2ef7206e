"""Any line of a count is priced from its whole distribution; a whole line can be hit, and is void then."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.stats import poisson as law

from pennant.decisions.errors import RuleError
from pennant.decisions.lines import over
from pennant.decisions.prices import Floats

distributions = hnp.arrays(
    np.float64, st.tuples(st.integers(1, 4), st.just(12)), elements=st.floats(0.01, 1.0)
).map(lambda each: each / each.sum(axis=1, keepdims=True))


@given(distributions, st.integers(0, 21))
def test_over_push_and_under_are_everything(p: Floats, halves: int) -> None:
    chance, decided = over(p, np.full(len(p), halves / 2))
    push = np.zeros(len(p)) if halves % 2 else p[:, halves // 2]
    assert decided == pytest.approx(1.0 - push)
    assert chance * decided == pytest.approx(p[:, halves // 2 + 1 :].sum(axis=1))


def test_only_a_whole_line_is_pushed_and_the_stakes_come_back() -> None:
    p = law.pmf(np.arange(41), 5.2)[None, :]
    (half, all_), (whole, part) = over(p, np.array([5.5])), over(p, np.array([5.0]))
    assert half == pytest.approx(law.sf(5, 5.2))
    assert (all_, part) == (pytest.approx(1.0), pytest.approx(1.0 - law.pmf(5, 5.2)))
    assert whole == pytest.approx(half / part)


@given(distributions, st.integers(0, 9))
def test_a_higher_line_is_never_likelier_to_be_passed(p: Floats, line: int) -> None:
    lower, higher = (over(p, np.full(len(p), line + half))[0] for half in (0.5, 1.5))
    assert (higher <= lower + 1e-12).all()


def test_a_line_where_the_counts_end_is_refused() -> None:
    p = law.pmf(np.arange(10), 4.0)
    with pytest.raises(RuleError) as told:
        over(np.append(p, 1.0 - p.sum())[None, :], np.array([10.0]))
    assert told.value.found == 10.0
