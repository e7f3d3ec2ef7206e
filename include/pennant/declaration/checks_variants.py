"""What a variant asks of the use case that it is a variant of."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, cast

from pennant.declaration.checks_data import unknown
from pennant.declaration.checks_model import check_calibration, check_interval, check_training
from pennant.declaration.document import Document
from pennant.declaration.model import TrainedUseCase, Variant
from pennant.declaration.problems import Field, Problem
from pennant.declaration.variants import PARTS, as_variant

RESERVED = ("features", "baselines")
"""Functions of `features.py` that are no variant's."""


def check_variants(use_case: TrainedUseCase, document: Document) -> Iterator[Problem]:
    """Names of their own, moments before the label is known, and members that fit the task."""
    for name, variant in use_case.training.variants.items():
        path = ("training", "variants", name)
        delay = use_case.label.delay_hours
        if name in RESERVED:
            message = "features.py has a function of this name for another end"
            yield document.problem(path, message, found=name, allowed="another name")
        if variant.lead_hours <= -delay:
            message = "the label is known by then"
            yield document.problem((*path, "lead_hours"), message, allowed=f"more than {-delay:g}")
        yield from _features(use_case, variant, path, document)
        made, written = as_variant(use_case, name), _as_declared(document, name)
        for check in (check_training, check_calibration, check_interval):
            for problem in check(made, written):
                inside = problem.field.removeprefix("training.")
                if inside.startswith(PARTS):
                    yield replace(problem, field=f"training.variants.{name}.{inside}")


def _features(
    use_case: TrainedUseCase, variant: Variant, path: Field, document: Document
) -> Iterator[Problem]:
    for name in variant.features:
        if name in use_case.features:
            message = "the use case has a feature of this name"
            yield document.problem((*path, "features", name), message, found=name, allowed="another name")
    for number, name in enumerate(variant.without):
        if name not in use_case.features:
            yield unknown(document, (*path, "without", number), "feature", name, list(use_case.features))


def _as_declared(document: Document, name: str) -> Document:
    """The document as if what the variant has were the use case's: problems are found where they stand."""
    training = cast("dict[str, Any]", document.data["training"])
    variant = training["variants"][name]
    written = {**training, **{part: variant[part] for part in PARTS if part in variant}}
    inside = ("training", "variants", name)
    places = {
        ("training", *path[3:]): place
        for path, place in document.places.items()
        if path[:3] == inside and path[3:]
    }
    return Document(document.file, {**document.data, "training": written}, places)
