"""Walk-forward figures of every shipped use case, as `docs/results.md`.

Needs the public data sets (`PENNANT_DATA_MIRROR`, or the network). Each use case is fetched, built, trained
and judged as `pennant backtest` does it, by the protocol below; nothing here chooses anything.

    python benchmarks/results.py                 # print
    python benchmarks/results.py --write         # into docs/results.md
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import fmean
from typing import Any

import polars as pl
from protocols import CLOSER, PROTOCOLS, WORDS
from strikeout_lines import at_every_book
from walker_windows import with_company

ROOT = Path(__file__).parent.parent
Found = dict[str, Any]

ELSEWHERE: dict[str, Callable[[pl.DataFrame], str]] = {
    "mlb_strikeouts": at_every_book,
    "pedestrian_paths": with_company,
}
"""Figures by the protocols of others, from each forecast of a walk."""


def walked(title: str) -> tuple[Found, float]:
    """Run one protocol; what it found, and the seconds that it took."""
    start, end, options = PROTOCOLS[title]
    with tempfile.TemporaryDirectory() as folder:
        file, rows = Path(folder) / "found.json", Path(folder) / "rows.parquet"
        name = title.split(maxsplit=1)[0]
        command = [
            str(Path(sys.executable).parent / "pennant"),
            "backtest",
            name,
            "--from",
            start,
            "--to",
            end,
        ]
        command += ["--json", str(file), "--forecasts", str(rows), *options]
        began = time.perf_counter()
        subprocess.run(command, check=True, cwd=ROOT, stdout=subprocess.DEVNULL)
        seconds = time.perf_counter() - began
        found: Found = json.loads(file.read_text(encoding="utf-8"))
        if name in ELSEWHERE:
            found["elsewhere"] = ELSEWHERE[name](pl.read_parquet(rows))
        return found, seconds


def section(title: str, found: Found, seconds: float) -> list[str]:
    """A protocol's part of the page."""
    words, metrics = WORDS[title]
    whole, parts = found["pooled"], found["periods"]
    names = ["model", *whole["baselines"]]
    lines = [
        f"## {title}",
        "",
        words,
        "",
        f"| | rows | {' | '.join(metrics)} |",
        "| --- | ---" + " | ---" * len(metrics) + " |",
    ]
    for name in names:
        told = whole["metrics"] if name == "model" else whole["baselines"][name]
        # A baseline's figures are those of the rows that it has.
        rows = int(told.get("rows", whole["rows"]))
        lines.append(f"| {name} | {rows:,} | {' | '.join(number(told.get(each)) for each in metrics)} |")
    if title == "pedestrian_paths":
        for name in names:
            each = [part["metrics"] if name == "model" else part["baselines"].get(name, {}) for part in parts]
            means = [
                fmean(one[metric] for one in each) if all(metric in one for one in each) else None
                for metric in metrics
            ]
            lines.append(f"| {name}, mean of folds | | {' | '.join(number(mean) for mean in means)} |")
    lines += [
        "",
        "The model less each baseline, paired, with its 95 % interval (below 0 the model is better):",
        "",
    ]
    for name, told in whole["differences"].items():
        if told["low"] is not None:
            lines.append(
                f"- {name}, {told['metric']}: {told['mean']:+.4f} [{told['low']:+.4f}, {told['high']:+.4f}]"
            )
    if "elsewhere" in found:
        lines += ["", found["elsewhere"]]
    if "betting" in found:
        lines += ["", found["betting"]["verdict"]]
    metric = found["metric"]
    by_period = ", ".join(
        f"{part['period'].split('/')[0]} {number(part['metrics'].get(metric))}" for part in parts
    )
    lines += ["", f"By period, {metric}: {by_period}. Took {seconds:.0f} s.", ""]
    return lines


def number(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--write", action="store_true", help="Write docs/results.md instead of printing")
    parser.add_argument("--only", choices=PROTOCOLS, help="One protocol, printed")
    given = parser.parse_args()
    lines = [
        "# Results",
        "",
        "Walk-forward figures of the shipped use cases, made by `python benchmarks/results.py --write`. Each "
        "period is predicted by a model trained on what was known at its start; [backtest.md](backtest.md) "
        "says how. Figures that miss what a specialist reaches are here as they are.",
        "",
    ]
    for title in [given.only] if given.only else PROTOCOLS:
        print(f"{title} ...", file=sys.stderr, flush=True)
        lines += section(title, *walked(title))
    lines += [] if given.only else [CLOSER]
    page = "\n".join(lines).rstrip() + "\n"
    if given.write:
        (ROOT / "docs" / "results.md").write_text(page, encoding="utf-8")
    else:
        print(page)


if __name__ == "__main__":
    main()
