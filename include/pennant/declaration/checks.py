"""What one field of a declaration asks of another, each as a function that finds its problems.

Names that lead nowhere, moments in the wrong order, a policy nobody can fulfil: these would show only
when a task fails at night. They say nothing about the data itself, which `data/` validates.
"""

from collections.abc import Callable, Iterator

from pennant.declaration import checks_data, checks_model, checks_operation
from pennant.declaration.document import Document
from pennant.declaration.model import UseCase
from pennant.declaration.problems import Problem

Check = Callable[[UseCase, Document], Iterator[Problem]]

CHECKS: tuple[Check, ...] = (*checks_data.CHECKS, *checks_model.CHECKS, *checks_operation.CHECKS)


def check(use_case: UseCase, document: Document) -> list[Problem]:
    """Every cross-field problem of a declaration whose single fields are right."""
    return [problem for each in CHECKS for problem in each(use_case, document)]
