"""The base of every error that Pennant raises on purpose."""

from typing import Any


class PennantError(Exception):
    """Says what is wrong, where, what was found, what is allowed and what to do next.

    Subclasses are built from data: their attributes hold it, their text is made from it. They travel between
    processes: an error of a worker is raised where its result was awaited.
    """

    def __reduce__(self) -> tuple[Any, ...]:
        # Python would build the copy from the text alone, which is not what a subclass is built from.
        return _again, (type(self), self.args), self.__dict__


def _again(kind: type[PennantError], args: tuple[Any, ...]) -> PennantError:
    return kind.__new__(kind, *args)  # which keeps args; __init__ is not called
