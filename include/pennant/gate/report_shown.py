"""Everything that report and card show beside the verdict, made once for both."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from pennant.declaration.model import UseCase
from pennant.gate import explain_rows, plots, plots_calibration, plots_explain, plots_scores
from pennant.gate.contender import Contender
from pennant.gate.explain import Explained, Stability, Unexplained, explain, stability
from pennant.gate.explain_rows import Told
from pennant.gate.outcome import Verdict
from pennant.gate.possible import impossible_labels, impossible_predictions
from pennant.gate.report_measures import Measures, measure
from pennant.gate.score import inputs_of
from pennant.gate.tables import ScoreTable, Unscorable

NOT_SCORED = Unexplained("the challenger has no usable scores")


@dataclass(frozen=True)
class Shown:
    """What there is to show.

    Attributes:
        manifest: the bundle's `bundle.json`; empty for a bundle that was rejected.
        measures: every metric of every forecaster; None without usable scores.
        explained: the model's terms, or why there are none.
        stability: of importances across folds, or why nothing is known.
        told: a few rows, one by one.
        pictures: SVG by name.
    """

    manifest: Mapping[str, Any] = field(default_factory=dict)
    measures: Measures | None = None
    explained: Explained | Unexplained = NOT_SCORED
    stability: Stability | Unexplained = NOT_SCORED
    told: tuple[Told, ...] = ()
    pictures: Mapping[str, bytes] = field(default_factory=dict)


def gather(
    use_case: UseCase,
    verdict: Verdict,
    fresh: pl.DataFrame,
    ours: Contender,
    tables: Mapping[str, ScoreTable | Unscorable],
) -> Shown:
    """Measure, explain and draw. Equal inputs give equal bytes.

    Args:
        use_case: the declaration.
        verdict: what the gate said.
        fresh: the fresh rows, in the order of the challenger's scores.
        ours: the challenger, opened.
        tables: scores of `challenger`, `champion` and the baselines.
    """
    manifest = {} if isinstance(ours.found, Unscorable) else ours.found.bundle.manifest
    steady = NOT_SCORED if isinstance(ours.found, Unscorable) else stability(ours.found.folder, use_case.task)
    pictures = _compared(verdict)
    table = _usable(tables.get("challenger"))
    if table is None or isinstance(ours.found, Unscorable):
        return Shown(manifest=manifest, stability=steady, pictures={**pictures, **_steady(steady)})
    named = {name: each for name, one in tables.items() if (each := _usable(one)) is not None}
    by_name = {each.name: each for each in named.values()}
    against = explain_rows.opponent(verdict, table, by_name)
    chosen = explain_rows.choose(verdict.metric, table, against)
    explained = explain(fresh, ours.found.bundle, ours.found.folder, list(chosen.values()))
    terms = explained if isinstance(explained, Explained) else None
    classes = use_case.label.classes
    told = explain_rows.tell(chosen, verdict.metric, table, against, classes, terms)
    pictures |= _calibration(use_case, verdict, table, named, manifest)
    pictures |= _scores(use_case, table, named, fresh, chosen)
    pictures |= _steady(steady)
    if terms is not None:
        pictures |= _terms(terms, table, told)
    measures = measure(_cut_alike(named), verdict.alpha)
    return Shown(manifest, measures, explained, steady, tuple(told), pictures)


def _usable(table: ScoreTable | Unscorable | None) -> ScoreTable | None:
    """Scores that can be measured and drawn: there are some, and the task knows them."""
    if not isinstance(table, ScoreTable) or not len(table):
        return None
    return None if impossible_predictions(table) or impossible_labels(table).any() else table


def _cut_alike(tables: Mapping[str, ScoreTable]) -> dict[str, ScoreTable]:
    """Counts whose distributions all end at the same `most and more`, as the gate compares them."""
    most = min(each.problem.most for each in tables.values())
    return {name: each.up_to(most) for name, each in tables.items()}


def _compared(verdict: Verdict) -> dict[str, bytes]:
    drawn = {}
    shown = [each for each in verdict.comparisons if each.n]
    if shown:
        drawn["gain"] = plots.forest(shown, verdict.metric)
    if any(each.loss is not None for each in verdict.slices):
        drawn["slices"] = plots.slices(verdict.slices, verdict.metric)
    return drawn


def _calibration(
    use_case: UseCase,
    verdict: Verdict,
    table: ScoreTable,
    named: Mapping[str, ScoreTable],
    manifest: Mapping[str, Any],
) -> dict[str, bytes]:
    task, drawn = table.problem.task, {}
    if task == "binary" and verdict.calibration is not None and verdict.calibration.bins:
        limit = use_case.gate.max_calibration_error
        drawn["calibration"] = plots_calibration.reliability(verdict.calibration, limit)
    elif task == "multiclass":
        drawn["calibration"] = plots_calibration.by_class(table, use_case.label.classes)
    elif task == "count":
        drawn["calibration"] = plots_calibration.counts(table)
    elif task == "regression":
        drawn["calibration"] = plots_calibration.numbers(table, use_case.label.expression or "")
    elif task == "trajectory":
        drawn["calibration"] = plots_calibration.steps(named, verdict.alpha)
    covered = manifest.get("metrics", {}).get("coverage", {})
    if covered:
        promised = use_case.training.interval_coverage
        drawn["coverage"] = plots_calibration.coverage(covered, promised, task)
    return drawn


def _scores(
    use_case: UseCase,
    table: ScoreTable,
    named: Mapping[str, ScoreTable],
    fresh: pl.DataFrame,
    chosen: Mapping[str, int],
) -> dict[str, bytes]:
    task = table.problem.task
    if task == "binary":
        shown = [named[each] for each in ("challenger", "champion") if each in named]
        return {"scores": plots_scores.probabilities(shown)}
    if task == "multiclass":
        return {"scores": plots_scores.classes(table, use_case.label.classes)}
    if task == "count":
        return {"scores": plots_scores.counts(table)}
    if task == "regression":
        return {"scores": plots_scores.numbers(table, use_case.label.expression or "")}
    place = ["position_x", "position_y"]
    here = inputs_of(fresh, place) if set(place) <= set(fresh.columns) else None
    drawn = [(f"{title}: {table.entity[row]}"[:44], row) for title, row in chosen.items()]
    return {"scores": plots_scores.paths(table, drawn, here)}


def _steady(found: Stability | Unexplained) -> dict[str, bytes]:
    return {"stability": plots_explain.stability(found)} if isinstance(found, Stability) else {}


def _terms(explained: Explained, table: ScoreTable, told: list[Told]) -> dict[str, bytes]:
    drawn = {"importances": plots_explain.importances(explained)}
    if any(mean > 0.0 for _, mean in explained.ranking()):
        drawn["dependence"] = plots_explain.dependence(explained)
    if explained.interactions is not None and explained.interactions.pairs():
        drawn["interactions"] = plots_explain.interactions(explained.interactions)
    for at, each in enumerate(told):
        outputs = explain_rows.shown(explained, table, each.row)
        drawn[f"row_{at}"] = plots_explain.row(explained, explained.at(each.row), outputs)
    return drawn
