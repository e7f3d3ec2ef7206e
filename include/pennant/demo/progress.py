"""The live list of steps: what is done, what runs now, how long each took."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text


@dataclass
class Step:
    """One line of the list; `seconds` is None while it runs."""

    title: str
    started: float = field(default_factory=time.monotonic)
    seconds: float | None = None
    note: str = ""
    failed: bool = False

    def took(self) -> str:
        seconds = self.seconds if self.seconds is not None else time.monotonic() - self.started
        return f"{int(seconds // 60)}:{seconds % 60:04.1f}"


class Progress:
    """Shows steps as they happen: redrawn in place on a terminal, line by line anywhere else."""

    def __init__(self, console: Console) -> None:
        self.steps: list[Step] = []
        self._console = console
        self._live: Live | None = None

    def __enter__(self) -> "Progress":
        if self._console.is_terminal:
            self._live = Live(self, console=self._console, refresh_per_second=4)
            self._live.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.__exit__(None, None, None)
            self._live = None

    def __rich__(self) -> RenderableType:
        table = Table.grid(padding=(0, 1))
        table.add_column(width=2)
        table.add_column(min_width=44)
        table.add_column(justify="right", width=7)
        table.add_column(style="dim", overflow="fold")
        for step in self.steps:
            table.add_row(_mark(step), step.title, step.took(), step.note)
        return Group(table)

    @contextmanager
    def step(self, title: str) -> Iterator[Step]:
        """Show `title` as running for the block, then as done or failed; set `note` to add figures."""
        step = Step(title)
        self.steps.append(step)
        try:
            yield step
        except BaseException:
            step.failed = True
            raise
        finally:
            step.seconds = time.monotonic() - step.started
            if self._live is None:
                mark = "failed" if step.failed else "done"
                self._console.print(
                    f"{step.took():>7}  {mark:<6} {step.title}  {step.note}", highlight=False, markup=False
                )


def _mark(step: Step) -> RenderableType:
    if step.failed:
        return Text("x", style="bold red")
    if step.seconds is None:
        return Spinner("dots", style="cyan")
    return Text("✓", style="green")
