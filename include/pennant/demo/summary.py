"""The end of the demo: what happened, in figures, and where to look at it."""

from dataclasses import dataclass

from rich.console import Console
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from pennant.demo.past import Story


@dataclass(frozen=True)
class Place:
    """Something to open: a title, an address, and how to log in."""

    title: str
    url: str
    login: str


def show(
    console: Console, title: str, story: Story, places: list[Place], seconds: float, pss_mb: float
) -> None:
    """Print the summary of one life."""
    console.print()
    console.print(Panel(Text(title, style="bold"), expand=False))
    console.print(_figures(story, seconds, pss_mb))
    if story.verdicts:
        console.print(_verdicts(story))
        console.print(_served(story))
    console.print("Where to look", style="italic")
    for each in places:
        # Never wrapped nor cut: addresses and logins are there to be copied.
        line = Text.assemble(f" {each.title:<12} ", (each.url, "cyan"), f"  {each.login}")
        console.print(line, soft_wrap=True)


def _figures(story: Story, seconds: float, pss_mb: float) -> Table:
    table = Table(title="What happened", title_justify="left", show_header=False, box=None)
    table.add_row("Rows ingested", f"{story.rows:,} in {story.windows} batches")
    table.add_row("Rows in quarantine", f"{story.quarantined:,}, each with its reason")
    if story.leaks is not None:
        table.add_row("Snapshot", f"{story.snapshot_rows:,} rows, {story.leaks} leaks found")
    if story.verdicts:
        arms = ", ".join(f"{count:,} by {arm}" for arm, count in sorted(story.arms.items()))
        table.add_row("Predictions served", f"{story.predictions:,} ({arms})")
        table.add_row("Alerts", "; ".join(story.alerts) or "none")
    table.add_row("Time", f"{int(seconds // 60)} min {seconds % 60:.0f} s")
    table.add_row("Memory of all processes", f"{pss_mb:,.0f} MB (PSS)")
    return table


def _verdicts(story: Story) -> Table:
    table = Table(title="What the gate said", title_justify="left")
    for name in ("Occasion", "Version", "Verdict", "Numbers"):
        table.add_column(name, overflow="fold")
    styles = {"promote": "green", "hold": "yellow", "refuse": "red"}
    for each in story.verdicts:
        outcome = Text(each["outcome"], style=styles.get(each["outcome"], ""))
        table.add_row(each["title"], f"v{each['version']}", outcome, Text(each["summary"].splitlines()[0]))
    return table


def _served(story: Story) -> Table:
    table = Table(title="What was served", title_justify="left", show_header=False, box=None)
    for occasion, version in story.served:
        table.add_row(occasion, f"version {version}")
    return table
