"""An error that Pennant raises on purpose arrives whole where another process waits for the result."""

import pickle
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest

from pennant.training.errors import NeuralExtraMissing, TooFewRows, UnknownName


@pytest.mark.parametrize(
    "error",
    [
        TooFewRows("fold 2", 12, 30),
        UnknownName("overrides.trees", "max_dept", ["max_depth", "gamma"]),
        NeuralExtraMissing("training.members.network", ["torch"]),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_copy_has_the_text_and_the_data(error: Exception) -> None:
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is type(error)
    assert str(copy) == str(error)
    assert vars(copy) == vars(error)


def test_a_workers_error_is_raised_where_its_result_is_awaited() -> None:
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        waiting = pool.submit(_refuse, 12)
        with pytest.raises(TooFewRows) as refused:
            waiting.result(timeout=120)
    assert (refused.value.where, refused.value.found) == ("here", 12)


def _refuse(found: int) -> None:
    raise TooFewRows("here", found, 30)
