"""What one field of a declaration asks of another, each as a function that finds its problems.

Names that lead nowhere, moments in the wrong order, a policy nobody can fulfil: these would show only
when a task fails at night. They say nothing about the data itself, which `data/` validates.
"""

from collections.abc import Callable, Iterator

from pennant.declaration import checks_data, checks_features, checks_model, checks_operation, checks_variants
from pennant.declaration.document import Document
from pennant.declaration.model import DataUseCase, TrainedUseCase, UseCase
from pennant.declaration.problems import Problem

DATA_CHECKS: tuple[Callable[[DataUseCase, Document], Iterator[Problem]], ...] = (
    *checks_data.CHECKS,
    *checks_features.CHECKS,
    *checks_operation.DATA_CHECKS,
)
MODEL_CHECKS: tuple[Callable[[UseCase, Document], Iterator[Problem]], ...] = (
    *checks_model.CHECKS,
    *checks_operation.MODEL_CHECKS,
)


def check(use_case: DataUseCase, document: Document) -> list[Problem]:
    """Every cross-field problem of a declaration whose single fields are right."""
    found = [problem for each in DATA_CHECKS for problem in each(use_case, document)]
    if isinstance(use_case, TrainedUseCase):
        found += [problem for each in checks_model.TRAINING_CHECKS for problem in each(use_case, document)]
        found += checks_variants.check_variants(use_case, document)
    if isinstance(use_case, UseCase):
        found += [problem for each in MODEL_CHECKS for problem in each(use_case, document)]
    return found
