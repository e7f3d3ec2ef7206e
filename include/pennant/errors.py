"""The base of every error that Pennant raises on purpose."""


class PennantError(Exception):
    """Says what is wrong, where, what was found, what is allowed and what to do next.

    Subclasses are built from data: their attributes hold it, their text is made from it.
    """
