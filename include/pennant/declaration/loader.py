"""From a folder to a frozen `UseCase`, or to an error that names every wrong field and its line."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from pydantic import ValidationError

from pennant.declaration import refusal
from pennant.declaration.checks import check
from pennant.declaration.document import Document, read
from pennant.declaration.model import DataUseCase, TrainedUseCase, UseCase
from pennant.declaration.problems import DeclarationError, Problem, nearest

FILE = "use_case.yaml"
CODE = "features.py"
MODEL_PARTS = tuple(name for name in UseCase.model_fields if name not in TrainedUseCase.model_fields)
"""What a use case whose model is served declares beyond data, features and training."""


def load(path: Path) -> DataUseCase:
    """Load one use case: a `UseCase`, or less of one where the file ends with its training or its features.

    Args:
        path: its folder, or the `use_case.yaml` in it.

    Raises:
        DeclarationError: anything is wrong; all problems of the file are in it.
    """
    file = path if path.suffix in {".yaml", ".yml"} else path / FILE
    if not file.parent.is_dir():
        raise _nobody(file.parent)
    document = read(file)
    use_case = validated(document)
    problems = [*_folder(document, file.parent, use_case), *check(use_case, document)]
    if problems:
        raise DeclarationError(problems)
    return use_case


def load_all(folder: Path) -> list[DataUseCase | DeclarationError]:
    """Load every use case below `folder`, by name; one that is broken hides no other.

    Returns:
        A use case, or the error of one that does not load, per sub-folder.

    Raises:
        DeclarationError: `folder` is no folder.
    """
    if not folder.is_dir():
        found = "a file" if folder.exists() else "nothing"
        message = "the folder of use cases is missing; set PENNANT_USE_CASES"
        raise DeclarationError([Problem(folder, 1, 1, "", found, "a folder", None, message)])
    loaded: list[DataUseCase | DeclarationError] = []
    for each in sorted(folders(folder)):
        try:
            loaded.append(load(each))
        except DeclarationError as error:
            loaded.append(error)
    return loaded


def folders(folder: Path) -> Iterator[Path]:
    """Sub-folders that stand for a use case: all but hidden ones and those that start with `_`."""
    return (each for each in folder.iterdir() if each.is_dir() and each.name[0] not in "._")


def load_modelled(path: Path) -> UseCase:
    """Load one use case whose model is served.

    Raises:
        DeclarationError: anything is wrong, or the file declares no such model.
    """
    use_case = load(path)
    if isinstance(use_case, UseCase):
        return use_case
    message = f"{use_case.name} has no model that is served; add the parts of one to its declaration"
    missing = [part for part in ("training", *MODEL_PARTS) if not hasattr(use_case, part)]
    raise _without(path, missing, message)


def load_trained(path: Path) -> TrainedUseCase:
    """Load one use case that trains a model, served or not.

    Raises:
        DeclarationError: anything is wrong, or the file declares no training.
    """
    use_case = load(path)
    if isinstance(use_case, TrainedUseCase):
        return use_case
    message = f"{use_case.name} has data and features and no model; add `training` to its declaration"
    raise _without(path, ["training"], message)


def _without(path: Path, missing: list[str], message: str) -> DeclarationError:
    file = path if path.suffix in {".yaml", ".yml"} else path / FILE
    return DeclarationError(
        [Problem(file, 1, 1, "", f"no `{missing[0]}`", ", ".join(missing), None, message)]
    )


def validated(document: Document) -> DataUseCase:
    """Check a document against the model, field by field; not what one field asks of another.

    A file with any part of a served model has to have all of them.

    Raises:
        DeclarationError: a field is missing, unknown, repeated, or of a wrong type or range.
    """
    try:
        use_case = _kind(document).model_validate(document.data)
    except ValidationError as error:
        problems = _once(refusal.explain(document, each) for each in error.errors(include_url=False))
        raise DeclarationError([*document.problems, *problems]) from None
    if document.problems:
        raise DeclarationError(document.problems)
    return use_case


def _once(problems: Iterable[Problem]) -> list[Problem]:
    """One problem per field: a field of two possible types is refused as each of them."""
    found: dict[str, Problem] = {}
    for each in problems:
        before = found.get(each.field)
        if before is None:
            found[each.field] = each
        elif each.allowed not in before.allowed:
            found[each.field] = replace(before, allowed=f"{before.allowed}, or {each.allowed}")
    return list(found.values())


def _kind(document: Document) -> type[DataUseCase]:
    if any(part in document.data for part in MODEL_PARTS):
        return UseCase
    return TrainedUseCase if "training" in document.data else DataUseCase


def _nobody(folder: Path) -> DeclarationError:
    names = sorted(each.name for each in folders(folder.parent)) if folder.parent.is_dir() else []
    found, near = repr(folder.name), nearest(folder.name, names)
    allowed = ", ".join(names) or "none is there"
    return DeclarationError([Problem(folder, 1, 1, "", found, allowed, near, "no such use case")])


def _folder(document: Document, folder: Path, use_case: DataUseCase) -> Iterator[Problem]:
    name = folder.resolve().name
    if name != use_case.name:
        yield document.problem(
            ("name",), "the name is that of its folder", allowed=name, near=nearest(use_case.name, [name])
        )
    if not (folder / CODE).is_file():
        yield Problem(
            folder / CODE,
            1,
            1,
            "",
            "no file",
            f"a file {CODE} with features() and baselines()",
            None,
            "the code of the features is missing",
        )
