"""A variant of a use case as a use case of its own: other moments, more features, other members."""

from pennant.declaration.model import TrainedUseCase
from pennant.errors import PennantError

PARTS = ("members", "ensemble", "calibration")
"""Parts of `training` that a variant has of its own."""


class UnknownVariant(PennantError):
    """A variant that the declaration does not have."""

    def __init__(self, use_case: str, found: str, allowed: list[str]) -> None:
        self.use_case, self.found, self.allowed = use_case, found, allowed
        known = f"allowed are {', '.join(allowed)}" if allowed else "it declares none in training.variants"
        super().__init__(f"{use_case}: no variant {found}; {known}")


def as_variant(use_case: TrainedUseCase, name: str) -> TrainedUseCase:
    """The use case as one of its `training.variants` has it; sources and label stay.

    Raises:
        UnknownVariant: it declares no such variant.
    """
    declared = use_case.training.variants
    if name not in declared:
        raise UnknownVariant(use_case.name, name, list(declared))
    variant = declared[name]
    own = {part: getattr(variant, part) for part in PARTS}
    kept = {each: told for each, told in use_case.features.items() if each not in variant.without}
    changes = {
        "spine": use_case.spine.model_copy(update={"lead_hours": variant.lead_hours}),
        "features": {**kept, **variant.features},
        "training": use_case.training.model_copy(update={**own, "variants": {}}),
    }
    return use_case.model_copy(update=changes)
