"""How much importances differ between folds: what one model uses and the next one does not is chance.

Each fold's own models are explained on rows that they had not seen. The terms are those of the members in
their own link, weighted as the members are: what `explain.json` says of the shipped model goes through the
combination and the calibration as well, so that sizes are alike and not the same.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from pennant.training.crossfit import OutOfFold
from pennant.training.losses import Floats
from pennant.training.rows import TrainingRows
from pennant.training.split import Fold
from pennant_serving.manifest import Manifest
from pennant_serving.scorer import ExplanationUnavailable, load_member

ROWS = 50
"""Of each fold at most: TreeSHAP of a row costs as much as fitting to some hundreds of rows."""


def across_folds(rows: TrainingRows, oof: OutOfFold, manifest: Mapping[str, Any]) -> dict[str, Any]:
    """The `stability` of explain.json.

    Args:
        rows: the training rows.
        oof: with the model of each fold.
        manifest: bundle.json; members that it does not ship are left out.

    Returns:
        `folds` (`number`, `from`, `until`, `rows` of each), `importances` (feature -> mean |term| by fold),
        `unit`, and `rank_correlation`: the mean Spearman correlation over pairs of folds, null where ranks
        say nothing.
        `reason` alone where a member has no exact terms.
    """
    try:
        said = Manifest.model_validate_json(json.dumps(manifest))
        each = [_importances(rows, oof, said, at) for at in range(len(rows.folds))]
    except ExplanationUnavailable as error:
        return {"reason": str(error)}
    return {
        "folds": [_described(rows, fold) for fold in rows.folds],
        "importances": {
            name: [float(value) for value in column]
            for name, column in zip(rows.names, np.array(each).T, strict=True)
        },
        "unit": "mean |term| of the members in their own link, by their weights",
        "rank_correlation": rank_correlation(each),
    }


def rank_correlation(importances: Sequence[Floats]) -> float | None:
    """Mean Spearman correlation over pairs; None without a pair whose ranks differ within each."""
    ranks = [_ranks(each) for each in importances if len(np.unique(each)) > 1]
    found = [np.corrcoef(one, other)[0, 1] for at, one in enumerate(ranks) for other in ranks[at + 1 :]]
    return float(np.mean(found)) if found else None


def _importances(rows: TrainingRows, oof: OutOfFold, said: Manifest, fold: int) -> Floats:
    unseen = rows.folds[fold].validate
    x = rows.x[unseen[np.linspace(0, len(unseen) - 1, min(ROWS, len(unseen))).astype(np.int64)]]
    terms = []
    for each in said.members:
        content = oof.models[each.name][fold].content()
        member = load_member(each.kind, each.file, content, said.inputs, said.task, said.outcome)
        terms.append(each.weight * member.contributions(x)[..., :-1])
    return np.asarray(np.abs(np.sum(terms, axis=0)).mean(axis=(0, 1)), dtype=np.float64)


def _described(rows: TrainingRows, fold: Fold) -> dict[str, Any]:
    moments = rows.event_time[fold.validate]
    first, last = (
        str(np.datetime_as_string(each, unit="s", timezone="UTC")) for each in (moments.min(), moments.max())
    )
    return {"number": fold.number, "from": first, "until": last, "rows": len(fold.validate)}


def _ranks(values: Floats) -> Floats:
    """Ranks from the smallest, equal values sharing their mean rank."""
    _, codes, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    return np.asarray((ends - (counts - 1) / 2.0)[codes], dtype=np.float64)
