"""The schema contract: the provider's columns against the declared ones and those of the batch before."""

import difflib
from collections.abc import Sequence

from pennant.data.reading import declared_columns
from pennant.declaration.model import Source


def changes(source: Source, now: Sequence[str], before: Sequence[str] | None) -> list[str]:
    """What is different, in words, each with the nearest name.

    A declared column that is missing stops the fetch before a batch lands (`SourceMalformed`); this is
    about columns that came, went or were renamed among those that nobody reads yet, and about optional ones.

    Args:
        source: the declaration.
        now: the provider's columns.
        before: those of the last landed batch; None for the first one.
    """
    if before is None:
        return []
    added = [name for name in now if name not in before]
    removed = [name for name in before if name not in now]
    found = []
    for name in removed:
        near = difflib.get_close_matches(name, added, n=1, cutoff=0.5)
        read = " (read as missing)" if name in declared_columns(source) else ""
        if near:
            added.remove(near[0])
            found.append(f"column {name!r} was renamed to {near[0]!r}{read}")
        else:
            found.append(f"column {name!r} was removed{read}")
    return found + [f"column {name!r} was added{_like(name, source)}" for name in added]


def _like(name: str, source: Source) -> str:
    near = difflib.get_close_matches(name, declared_columns(source), n=1, cutoff=0.5)
    return f"; the nearest declared one is {near[0]!r}" if near else ""
