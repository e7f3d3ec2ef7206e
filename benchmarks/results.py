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
from pathlib import Path
from statistics import fmean
from typing import Any

ROOT = Path(__file__).parent.parent
Found = dict[str, Any]

PROTOCOLS = {
    "nfl_games": ("2018-09-01", "2025-03-01", ()),
    "epl_matches": ("2019-07-01", "2025-07-01", ()),
    "epl_matches without the match's own prices": ("2019-07-01", "2025-07-01", ("--members", "goals")),
    "mlb_strikeouts": ("2025-07-15", "2025-10-01", ()),
    "telco_churn": ("2017-01-01", "2020-01-01", ()),
    "pedestrian_paths": ("2009-01-01", "2010-06-01", ()),
}
"""First moment, last moment, options. Customers and paths have no order in time: the span says nothing."""

WORDS = {
    "nfl_games": (
        "Seasons 2018 to 2024, each predicted one hour before kick-off by a model trained before it. "
        "Ties are left out. No price of the game itself is a feature; the lines of earlier games are. "
        "Constants were chosen on seasons to 2017; 2018 to 2024 had been looked at before, with other "
        "features.",
        ("log_loss", "brier", "auc"),
    ),
    "epl_matches": (
        "Seasons 2019/20 to 2024/25, one hour before kick-off. The model mixes the bookmakers' mean "
        "prices of some days before with clubs' strengths. The market is the closing price, which "
        "nobody has at that hour. Mixing strengths into the closing price itself added nothing on "
        "earlier seasons.",
        ("rps", "log_loss", "brier"),
    ),
    "epl_matches without the match's own prices": (
        "The same, from the clubs' strengths alone: goals, shots and the closing prices of their "
        "earlier matches.",
        ("rps", "log_loss", "brier"),
    ),
    "mlb_strikeouts": (
        "Starts from 15 July to 28 September 2025, trained on what was known on 15 July; from counts "
        "alone. The line is the consensus of the last prices before the first pitch; pushes are left "
        "out.",
        ("log_loss", "crps", "line_log_loss"),
    ),
    "telco_churn": (
        "Five folds of customers, evenly by class; everything chosen inside the other four.",
        ("log_loss", "auc", "brier"),
    ),
    "pedestrian_paths": (
        "Leave one scene out, every window with a whole future, lone walkers too. 8 steps seen, 12 "
        "predicted, metres. Best of 20 rewards breadth; the energy score is the proper one.",
        ("ade", "fde", "best_ade", "best_fde", "energy_score"),
    ),
}


def walked(title: str) -> tuple[Found, float]:
    """Run one protocol; what it found, and the seconds that it took."""
    start, end, options = PROTOCOLS[title]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "found.json"
        command = [str(Path(sys.executable).parent / "pennant"), "backtest", title.split(maxsplit=1)[0]]
        command += ["--from", start, "--to", end, "--json", str(file), *options]
        began = time.perf_counter()
        subprocess.run(command, check=True, cwd=ROOT, stdout=subprocess.DEVNULL)
        found: Found = json.loads(file.read_text(encoding="utf-8"))
        return found, time.perf_counter() - began


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
        lines.append(
            f"| {name} | {whole['rows']:,} | {' | '.join(number(told.get(each)) for each in metrics)} |"
        )
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
    page = "\n".join(lines).rstrip() + "\n"
    if given.write:
        (ROOT / "docs" / "results.md").write_text(page, encoding="utf-8")
    else:
        print(page)


if __name__ == "__main__":
    main()
