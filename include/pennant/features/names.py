"""Names of people as two sources can agree on them."""

import polars as pl


def spelt(name: pl.Expr) -> pl.Expr:
    """A name without accents, dots and capitals."""
    return name.str.normalize("NFD").str.to_lowercase().str.replace_all(r"[^a-z ]", "")


def letters(name: pl.Expr) -> pl.Expr:
    """The first nine letters, in capitals and without accents, as the archive of baseball odds cuts them."""
    return name.str.normalize("NFD").str.to_uppercase().str.replace_all(r"[^A-Z]", "").str.slice(0, 9)


def mark(name: pl.Expr) -> pl.Expr:
    """`Clayton Kershaw` as that archive writes it: the initial and the surname."""
    return letters(name.str.slice(0, 1) + name.str.replace(r"^\S+\s+", ""))
