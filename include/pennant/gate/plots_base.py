"""What all plots of a report share: colours, type sizes, and bytes that are the same for the same data."""

import io
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

INK, GREY, GRID = "#1f2937", "#6b7280", "#e5e7eb"
CHALLENGER, PALE, OTHER = "#2563eb", "#93c5fd", "#9ca3af"
GOOD, BAD = "#15803d", "#b91c1c"
UP, DOWN = "#b91c1c", "#1d4ed8"
"""Terms that raise and that lower, as the colours of high and low values are red and blue."""
CAME, NOT = "#2563eb", "#d97706"
HALF, WHOLE = 6.2, 12.8
"""Inches wide, for half of the page and the whole of it: 10 points come out as 13 pixels."""
_NAMED = re.compile(rb"(?<=[\"#])[a-zA-Z][0-9a-f]{10}(?=[\")_])")
"""What Matplotlib calls a clip path, a marker or a collection: where it is named, and where it is used."""
_STYLE = {
    "svg.hashsalt": "pennant",
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "axes.edgecolor": GREY,
    "axes.labelcolor": INK,
    "xtick.color": GREY,
    "xtick.labelcolor": INK,
    "ytick.color": GREY,
    "ytick.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.titlesize": 10.5,
    "axes.titlecolor": INK,
    "axes.titlelocation": "left",
    "grid.color": GRID,
    "axes.axisbelow": True,
    "legend.frameon": False,
    "legend.fontsize": 9.5,
}


@contextmanager
def canvas(width: float, height: float) -> Iterator[Figure]:
    """A figure in the common style, in inches."""
    with mpl.rc_context(_STYLE):
        yield Figure(figsize=(width, height), layout="constrained")


def svg(figure: Figure) -> bytes:
    """The figure as SVG, without a date, its parts named in their order.

    Matplotlib names a part by its place, and the layout's solver gives places that differ in their last bit.
    """
    sink = io.BytesIO()
    nothing: Mapping[str, None] = {"Date": None, "Creator": None}
    figure.savefig(sink, format="svg", metadata=nothing)
    names: dict[bytes, bytes] = {}
    return _NAMED.sub(
        lambda found: names.setdefault(found[0], b"%c%d" % (found[0][:1], len(names))), sink.getvalue()
    )


def panels(figure: Figure, count: int, most: int = 3, **more: Any) -> list[Axes]:
    """`count` axes in lines of up to `most`; what is left over in the last line stays empty."""
    columns = min(count, most)
    lines = -(-count // columns)
    found: list[Axes] = list(figure.subplots(lines, columns, squeeze=False, **more).flat)
    for each in found[count:]:
        each.set_visible(False)
    return found[:count]


def short(text: str, most: int = 30) -> str:
    """A name that fits beside an axis."""
    return text if len(text) <= most else f"{text[: most - 1]}…"
