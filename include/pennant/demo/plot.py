"""The acts of the demo, in order, for a use case with planted truth and for one with real games."""

import os
import subprocess
import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from pennant.demo.life import Life, Stride, bad_hyperparameters, windows
from pennant.demo.past import Past
from pennant.errors import PennantError
from pennant.reference import Window
from pennant.settings import Settings


class CommandFailed(PennantError):
    """A `pennant` command that the demo runs as a user would has failed."""

    def __init__(self, command: Sequence[str], code: int, output: str) -> None:
        self.command = tuple(command)
        self.code = code
        self.output = output
        super().__init__(f"{' '.join(command)} ended with {code}:\n{output}")


class NoFirstChampion(PennantError):
    """The gate let no first champion through, so there is nothing to serve."""

    def __init__(self, use_case: str, summary: str) -> None:
        self.use_case = use_case
        self.summary = summary
        super().__init__(
            f"{use_case}: no first champion, so the demo ends here. {summary}\n"
            "Give it more history (--history-from), or look at the gate's report in MLflow."
        )


def play(life: Life, stride: Stride, since: datetime, most_steps: int, settings: Settings) -> None:
    """Play the whole life: history, first champion, live steps, a bad challenger, the way back."""
    use_case = life.use_case
    life.wake()
    life.history(since, use_case.replay.live_from, settings.parallelism)
    live = list(windows(use_case, stride))[:most_steps]
    first = life.train(
        "Train, judge: the first champion has to beat the baselines", use_case.schedules.history_until
    )
    if first["outcome"] != "promote":
        raise NoFirstChampion(use_case.name, first["summary"])
    life.await_release("Release the first champion", "First champion")
    reached = _live(life, live)
    life.train("A bad challenger, trained on purpose", reached, overrides=bad_hyperparameters(life.use_case))
    _back(life, settings)


def play_past(past: Past, since: datetime, settings: Settings) -> None:
    """Play a use case without a model: its whole history, a snapshot, a look for leaks."""
    until = past.declared.schedules.history_until
    past.wake()
    past.history(since, until, settings.parallelism)
    past.examine(until)


def _live(life: Life, live: Sequence[Window]) -> datetime:
    """Step through the live windows until a new champion has been promoted and seen at work.

    Where the watch asks for no retrain, a scheduled one comes before the last window.

    Returns:
        The moment that the simulated clock has reached.
    """
    waiting = iter(live)
    for window in waiting:
        if window is live[-1]:
            _follow(life, life.train("Scheduled retrain, judged against the champion", window.start), window)
            return window.as_of
        requested = life.live(window)
        if "drift" in requested or "performance" in requested:
            verdict = life.await_retrain()
            if verdict["outcome"] == "promote":
                following = next(waiting)
                _follow(life, verdict, following)
                return following.as_of
    return live[-1].as_of


def _follow(life: Life, verdict: dict[str, Any], window: Window) -> None:
    """Play a window; if the gate has let a challenger through, see it through its canary meanwhile."""
    promoted = verdict["outcome"] == "promote"
    if promoted:
        life.await_canary()
    life.live(window)
    if promoted:
        life.await_release("The canary is judged and promoted", "After the promotion")


def _back(life: Life, settings: Settings) -> None:
    """Roll back with the command an operator would use, then verify the ledger."""
    if len({version for _, version in life.story.served}) > 1:
        name = life.use_case.name
        with life.progress.step(f"pennant rollback {name}") as step:
            run_command(["rollback", name, "--why", "The demo shows the way back."], settings)
            version = life.served_version()
            life.story.served.append(("After the rollback", version))
            step.note = f"version {version} is served again"
    with life.progress.step("pennant ledger verify") as step:
        step.note = run_command(["ledger", "verify"], settings).strip().splitlines()[-1]


def run_command(arguments: Sequence[str], settings: Settings) -> str:
    """Run `pennant ...` as an operator would and give what it printed.

    Raises:
        CommandFailed: it ended with another code than 0.
    """
    command = [str(Path(sys.executable).with_name("pennant")), *arguments]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env={**os.environ, "PENNANT_HOME": str(settings.home)},
    )
    if done.returncode:
        raise CommandFailed(["pennant", *arguments], done.returncode, done.stdout + done.stderr)
    return done.stdout
