"""Why a model says what it says, for every task: additive terms, interactions, and how still they stand.

The terms are of the whole model, in the unit of its task, as serving tells them; those of boosted trees come
from the `shap` library. Interactions are of the tree member with the largest weight, which has them exactly.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from pennant.gate.score import inputs_of
from pennant.gate.shap_values import ByShap, NotAdditive, TreeShap
from pennant.gate.tables import Floats
from pennant_serving.bundle import Bundle
from pennant_serving.manifest import Manifest
from pennant_serving.scorer import ExplanationUnavailable, Scorer, load_members, load_quantiles

MAX_ROWS = 400
"""A mean over so many rows stands still, and dots of more rows only cover each other."""
DECIMALS = 9
"""Sums of products differ in their last bits from run to run, and equal terms would change places."""
BOOSTED = ("xgboost", "trees_count")
"""Kinds of members whose file is one booster on the features themselves."""
TERMS = {
    "binary": "logit of the probability",
    "multiclass": "logit of the class's probability",
    "count": "log of the expected count",
    "regression": "the label's unit",
    "trajectory": "metres of the last step",
}
"""What terms of each task add up to."""
_PLACE = "position_"


@dataclass(frozen=True)
class Interactions:
    """What pairs of features do together in one member.

    Attributes:
        member: its name.
        share: its weight in the model.
        names: features, f of them.
        strength: (f, f), mean |what both do together| over rows and outputs; the diagonal is what each does
            alone.
        rows: so many were looked at.
    """

    member: str
    share: float
    names: tuple[str, ...]
    strength: Floats
    rows: int

    def pairs(self) -> list[tuple[str, str, float]]:
        """Pairs of different features, the strongest first; those that do nothing together are left out."""
        upper = [(i, j) for i in range(len(self.names)) for j in range(i + 1, len(self.names))]
        found = [(self.names[i], self.names[j], float(self.strength[i, j])) for i, j in upper]
        return sorted((each for each in found if each[2] > 0.0), key=lambda each: -each[2])

    def partner(self, feature: str) -> str | None:
        """The feature that it does most with; None where it acts alone."""
        return next((b if a == feature else a for a, b, _ in self.pairs() if feature in {a, b}), None)


@dataclass(frozen=True)
class Explained:
    """Additive terms of n rows, f features.

    Attributes:
        what: whose terms they are, and how they were made.
        names: of the features.
        outputs: what is explained, several for classes and paths.
        unit: of the terms.
        inputs: (n, f), NaN where missing.
        values: (n, outputs, f).
        baseline: (n, outputs); with the values of a row it adds up to its prediction in that unit.
        rows: (n,) positions among the fresh rows.
        interactions: None where no member has any.
    """

    what: str
    names: tuple[str, ...]
    outputs: tuple[str, ...]
    unit: str
    inputs: Floats
    values: Floats
    baseline: Floats
    rows: "np.ndarray[Any, np.dtype[np.intp]]"
    interactions: Interactions | None = None

    def ranking(self) -> list[tuple[str, float]]:
        """Features with their mean |term| over rows and outputs, largest first."""
        means = np.abs(self.values).mean(axis=(0, 1))
        return [(self.names[at], float(means[at])) for at in np.argsort(-means, kind="stable")]

    def output_of(self, feature: int) -> int:
        """The output that a feature moves most."""
        return int(np.abs(self.values[:, :, feature]).mean(axis=0).argmax())

    def at(self, row: int) -> int:
        """Where a fresh row stands among the explained ones."""
        return int(np.flatnonzero(self.rows == row)[0])


@dataclass(frozen=True)
class Unexplained:
    """There are no exact terms, and why."""

    why: str


@dataclass(frozen=True)
class Stability:
    """Importances of each fold's own model, from `explain.json`; see `pennant.training.stability`.

    Attributes:
        folds: one or two words for each.
        importances: (folds, f), mean |term|.
        names: f features.
        rank_correlation: mean Spearman correlation over pairs of folds; None with fewer than two.
        unit: of the importances.
    """

    folds: tuple[str, ...]
    importances: Floats
    names: tuple[str, ...]
    rank_correlation: float | None
    unit: str


def explain(fresh: pl.DataFrame, bundle: Bundle, folder: Path, chosen: list[int]) -> Explained | Unexplained:
    """Terms of up to 400 fresh rows, evenly spread, and of the `chosen` ones.

    Args:
        fresh: the fresh rows, with a column per input of the bundle; at least one.
        bundle: the verified bundle.
        folder: where its files lie.
        chosen: positions that have to be among them.
    """
    names = tuple(each.name for each in bundle.inputs)
    spread = np.linspace(0, fresh.height - 1, min(MAX_ROWS, fresh.height)).astype(np.intp)
    rows = np.unique(np.concatenate([spread, np.array(chosen, dtype=np.intp)]))
    inputs = inputs_of(fresh[rows], names)
    try:
        scorer, trees = _with_shap(bundle, folder)
        told = scorer.explain(inputs)
        found = _interactions(bundle, trees, names, inputs)
    except (ExplanationUnavailable, NotAdditive) as error:
        return Unexplained(str(error))
    binary = told.contributions.ndim == 2
    values = told.contributions[:, None] if binary else told.contributions
    baseline = told.baseline[:, None] if binary else told.baseline
    kept = np.array([at for at, name in enumerate(names) if _explains(bundle.task, name)])
    return Explained(
        what=_made_by(bundle, trees),
        names=tuple(names[at] for at in kept),
        outputs=told.outputs or ("prediction",),
        unit=_unit(bundle),
        inputs=inputs[:, kept],
        values=np.round(values[:, :, kept], DECIMALS),
        baseline=np.round(baseline + np.delete(values, kept, axis=2).sum(axis=2), DECIMALS),
        rows=rows,
        interactions=found,
    )


def stability(folder: Path, task: str) -> Stability | Unexplained:
    """What `explain.json` says of the folds; a bundle from before it said anything has none."""
    told = json.loads((folder / "explain.json").read_bytes()).get("stability")
    if told is None:
        return Unexplained("the bundle is from before importances were kept by fold")
    if "reason" in told:
        return Unexplained(str(told["reason"]))
    kept = {name: each for name, each in told["importances"].items() if _explains(task, name)}
    return Stability(
        folds=tuple(f"{each['from'][:10]} to {each['until'][:10]}" for each in told["folds"]),
        importances=np.array(list(kept.values()), dtype=np.float64).T,
        names=tuple(kept),
        rank_correlation=told["rank_correlation"],
        unit=str(told["unit"]),
    )


def _explains(task: str, feature: str) -> bool:
    """Not where a walker is: that is added as it is."""
    return task != "trajectory" or not feature.startswith(_PLACE)


def _with_shap(bundle: Bundle, folder: Path) -> tuple[Scorer, dict[str, TreeShap]]:
    """The bundle's scorer with the terms of its boosters by `shap`, and these, by member."""
    manifest = Manifest.model_validate_json((folder / "bundle.json").read_bytes())
    files = {path: (folder / path).read_bytes() for path in _paths(manifest)}
    trees = {
        each.name: TreeShap(files[each.file], len(bundle.inputs))
        for each in manifest.members
        if each.kind in BOOSTED
    }
    members = [
        ByShap(member, trees[each.name]) if each.name in trees else member
        for each, member in zip(manifest.members, load_members(manifest, files), strict=True)
    ]
    return Scorer(manifest, members, load_quantiles(manifest, files)), trees


def _paths(manifest: Manifest) -> list[str]:
    quantiles = getattr(manifest.intervals, "file", None)
    return [*(each.file for each in manifest.members), *([quantiles] if quantiles else [])]


def _interactions(
    bundle: Bundle, trees: dict[str, TreeShap], names: tuple[str, ...], inputs: Floats
) -> Interactions | None:
    weights = {each["name"]: float(each["weight"]) for each in bundle.manifest["members"]}
    if not trees:
        return None
    heaviest = max(trees, key=lambda each: weights[each])
    taken = np.linspace(0, len(inputs) - 1, min(trees[heaviest].affordable(), len(inputs))).astype(np.intp)
    found = np.abs(trees[heaviest].interactions(inputs[taken])).mean(axis=(0, 1))
    whole = found * (2.0 - np.eye(len(names)))  # a pair stands half on either side of the diagonal
    return Interactions(heaviest, weights[heaviest], names, np.round(whole, DECIMALS), len(taken))


def _made_by(bundle: Bundle, trees: dict[str, TreeShap]) -> str:
    members = {each["name"]: each["kind"] for each in bundle.manifest["members"]}
    by_shap = [f"{name} by TreeSHAP of the shap library" for name in members if name in trees]
    own = [f"{name} ({kind}) by its own exact terms" for name, kind in members.items() if name not in trees]
    return "; ".join([*by_shap, *own])


def _unit(bundle: Bundle) -> str:
    if bundle.task == "regression" and bundle.outcome.unit:
        return f"unit of {bundle.outcome.unit}"
    return TERMS[bundle.task]
