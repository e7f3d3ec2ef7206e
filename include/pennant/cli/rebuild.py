"""`pennant rebuild`: train a registered version again, and say whether the same comes out."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from pennant.cli.output import Json, answer, load_settings

if TYPE_CHECKING:
    from pennant.training.rebuild import Rebuilt

SHOWN = 12
"""Differences of one sort that the text lists; `--json` has all."""
EXIT = {"equal": 0, "different": 1, "same_predictions": 3}


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command("rebuild")(rebuild)


def rebuild(
    use_case: Annotated[str, typer.Argument(metavar="USE_CASE", help="Name of the use case.")],
    version: Annotated[
        str, typer.Argument(metavar="VERSION", help="A registered version, as MLflow has it.")
    ],
    mlflow: Annotated[
        str, typer.Option(help="Tracking URI of MLflow; empty: the running stack's, or PENNANT_MLFLOW_URL.")
    ] = "",
    as_json: Json = False,
) -> None:
    """Train a version again from its snapshot and hyper-parameters, and compare the bundles.

    Nothing is registered. Exit code 0: equal, but for the names of code and packages. 3: other bytes, but
    the same answers to the golden rows. 1: different, or an error.

    Example: pennant rebuild league_demo 4 --json
    """
    from dataclasses import replace

    from pennant.data.lake import Lake
    from pennant.declaration.loader import load_trained
    from pennant.platform.discover import is_running, located, running_settings
    from pennant.registry.models import Models
    from pennant.training.rebuild import rebuild as train_again

    settings = located(load_settings())
    if is_running(settings):
        settings = running_settings(settings)
    settings = replace(settings, mlflow_url=mlflow or settings.mlflow_url)
    declared = load_trained(settings.use_cases / use_case)
    found = Models(settings).version(declared.name, version)
    made = train_again(declared, found, Lake(settings.lake), settings)
    answer(made.to_json(), _text(made), as_json)
    if EXIT[made.outcome]:
        raise typer.Exit(EXIT[made.outcome])


def _text(made: "Rebuilt") -> str:
    head = {
        "equal": f"{made.use_case} version {made.version}: EQUAL. The same bundle came out again.",
        "same_predictions": f"{made.use_case} version {made.version}: other bytes, the same predictions.",
        "different": f"{made.use_case} version {made.version}: DIFFERENT.",
    }[made.outcome]
    lines = [
        head,
        f"  bundle {made.bundle_sha256[:12]}, again {made.rebuilt_sha256[:12]}; largest difference of an "
        f"answer to a golden row: {made.largest_difference:.3g}",
        *([f"  files that differ: {', '.join(made.files)}"] if made.files else []),
        *_changes("made by", made.made_by),
        *_changes("bundle.json", made.fields),
        *_changes("metric", made.metrics),
    ]
    return "\n".join(lines)


def _changes(what: str, changes: dict[str, list[Any]]) -> list[str]:
    shown = [
        f"  {what} {name}: {then} then, {now} now" for name, (then, now) in list(changes.items())[:SHOWN]
    ]
    more = len(changes) - SHOWN
    return [*shown, *([f"  ... and {more} more; --json has all"] if more > 0 else [])]
