"""What a changed declaration would change, told before anything runs with it.

"Applied" is the copy that `mark_applied` keeps under `home/applied`; `against` compares with a file or a
git revision instead. A plan reads two texts; it asks neither Airflow nor the registry what is there.
"""

import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from pennant.declaration.document import Document, parse, read
from pennant.declaration.effects import ALL, DATA, SEVERITIES, TRAINED, Effect, Severity, effect_of
from pennant.declaration.loader import FILE, load, validated
from pennant.declaration.model import DataUseCase
from pennant.declaration.problems import DeclarationError
from pennant.errors import PennantError
from pennant.settings import Settings


class NothingToCompare(PennantError):
    """`--against` names neither a file nor a git revision that has this declaration.

    Attributes:
        found: what was given.
        reason: why it leads nowhere.
    """

    def __init__(self, found: str, reason: str) -> None:
        self.found = found
        self.reason = reason
        super().__init__(
            f"nothing to compare with: {found!r} is no file, and as a git revision: {reason}; "
            "allowed is the path of a use_case.yaml, or a revision such as HEAD~1"
        )


@dataclass(frozen=True)
class Change:
    """One field that differs; None stands for a field that is not there."""

    field: str
    before: Any
    after: Any


@dataclass(frozen=True)
class Group:
    """The changes that have one effect."""

    room: str
    dags: list[str]
    severity: Severity
    effect: str
    changes: list[Change]


@dataclass(frozen=True)
class Plan:
    """What applying the working file would change."""

    use_case: str
    against: str
    """`applied`, the revision or the file it is compared with, or `nothing` for a new use case."""
    new_dags: list[str]
    removed_dags: list[str]
    groups: list[Group]

    @property
    def empty(self) -> bool:
        return not self.groups and not self.new_dags and not self.removed_dags


def plan(folder: Path, settings: Settings, against: str | None = None) -> Plan:
    """Compare a use case's working file with the applied one, or with `against`.

    Raises:
        DeclarationError: the working file does not load.
        NothingToCompare: `against` leads nowhere.
    """
    use_case = load(folder)
    before, name = _before(folder, settings, against)
    new = _plain(use_case)
    if before is None:
        return Plan(use_case.name, name, _dags(use_case.name, new), [], [])
    try:
        old = _plain(validated(before))
    except DeclarationError:
        # An older file that no longer fits the model is compared as written, without defaults.
        old = before.data
        new = use_case.model_dump(mode="json", by_alias=True, exclude_unset=True)
    dags, former = _dags(use_case.name, new), _dags(str(old.get("name")), old)
    return Plan(
        use_case.name,
        name,
        [each for each in dags if each not in former],
        [each for each in former if each not in dags],
        list(_groups(use_case.name, list(_changes(old, new)))),
    )


def mark_applied(folder: Path, settings: Settings) -> Path:
    """Keep the declaration as the applied one: the next plan compares with it.

    Returns:
        The copy.

    Raises:
        DeclarationError: the working file does not load.
    """
    use_case = load(folder)
    target = settings.home / "applied" / f"{use_case.name}.yaml"
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name}.{os.getpid()}")
    partial.write_bytes((folder / FILE).read_bytes())
    partial.replace(target)
    return target


def _before(folder: Path, settings: Settings, against: str | None) -> tuple[Document | None, str]:
    if against is None:
        applied = settings.home / "applied" / f"{folder.resolve().name}.yaml"
        return (read(applied), "applied") if applied.is_file() else (None, "nothing")
    if Path(against).is_file():
        return read(Path(against)), against
    return parse(_from_git(folder, against), Path(f"{against}:{FILE}")), against


def _from_git(folder: Path, revision: str) -> str:
    # A revision that starts with a dash would be read as an option.
    command = ["git", "show", "--end-of-options", f"{revision}:./{FILE}"]
    try:
        found = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise NothingToCompare(revision, "git is not installed") from None
    if found.returncode:
        raise NothingToCompare(revision, " ".join(found.stderr.split()) or "git failed")
    return found.stdout


def _plain(use_case: DataUseCase) -> dict[str, Any]:
    return use_case.model_dump(mode="json", by_alias=True)


def _changes(before: Any, after: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Change]]:
    """Every difference; an entry that only one side has is one difference, and so is a list."""
    before, after = _named(before, path), _named(after, path)
    if isinstance(before, dict) and isinstance(after, dict):
        for key in [*before, *(key for key in after if key not in before)]:
            yield from _changes(before.get(key), after.get(key), (*path, str(key)))
    elif before != after:
        yield path, Change(".".join(path), before, after)


def _named(value: Any, path: tuple[str, ...]) -> Any:
    """The list of expectations by name: a rule in another place of the list is the same rule."""
    if path != ("validation", "expectations") or not isinstance(value, list):
        return value
    return {_expectation(each): each for each in value}


def _expectation(rule: Any) -> str:
    if not isinstance(rule, dict):
        return str(rule)
    arguments = json.dumps(rule.get("with"), sort_keys=True, default=str)
    return f"{rule.get('source')}.{rule.get('group')} {rule.get('expect')} {arguments}"


def _groups(name: str, changes: list[tuple[tuple[str, ...], Change]]) -> Iterator[Group]:
    """By effect, the most serious first."""
    found = [(_effect(path), change) for path, change in changes]
    found.sort(key=lambda pair: (-SEVERITIES.index(pair[0].severity), pair[0].room, pair[0].words))
    for effect, members in groupby(found, key=lambda pair: pair[0]):
        dags = [f"{name}__{part}" for part in effect.dags]
        yield Group(effect.room, dags, effect.severity, effect.words, [change for _, change in members])


def _effect(path: tuple[str, ...]) -> Effect:
    try:
        return effect_of(path)
    except LookupError:
        # A field that an older version of Pennant had and this one has not.
        return Effect(path[0], "declaration", (), "note", "this version of Pennant does not read the field")


def _dags(name: str, declared: dict[str, Any]) -> list[str]:
    parts = ALL if "gate" in declared else TRAINED if "training" in declared else DATA
    return [f"{name}__{part}" for part in parts]
