"""Fit the model of a snapshot: out-of-fold predictions, weights, calibration, interval, final fit, bundle."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from pennant.data.lake import Lake
from pennant.declaration.model import TrainedUseCase
from pennant.reference import Reference
from pennant.settings import Settings
from pennant.training import bundle, parameters, provenance, rows, search
from pennant.training.calibration import Calibration, Identity, fit_calibration
from pennant.training.crossfit import OutOfFold, fit_all, member_seed, out_of_fold, recency
from pennant.training.ensemble import mixture_weights
from pennant.training.interval import Interval, fit_interval
from pennant.training.losses import Floats, auc, brier, log_loss
from pennant.training.members.base import FittedMember
from pennant.training.problem import blend


@dataclass(frozen=True)
class FittedBundle:
    """A bundle on disk.

    Attributes:
        folder: where it lies.
        sha256: names the bundle everywhere.
        metrics: finite numbers for a tracking server; bundle.json holds the same and more.
    """

    folder: Path
    sha256: str
    metrics: dict[str, float]


@dataclass(frozen=True)
class Model:
    """What predicts.

    Attributes:
        weights: member -> weight, those above 0 only.
        members: the same members, fitted on all training rows.
        calibration: of the blend.
    """

    weights: dict[str, float]
    members: dict[str, FittedMember]
    calibration: Calibration

    def predict(self, x: Floats) -> Floats:
        """Calibrated predictions for `x`, shape (n, features)."""
        made = [member.predict(x) for member in self.members.values()]
        return self.calibration.apply(blend(made, np.array(list(self.weights.values()))))


@dataclass(frozen=True)
class Fitted(Model):
    """The model before it is written, with what it was chosen by.

    Attributes:
        oof: predictions out of fold.
        prediction: calibrated out-of-fold predictions.
    """

    oof: OutOfFold
    prediction: Floats


def fit_model(use_case: TrainedUseCase, data: rows.TrainingRows, chosen: parameters.Chosen) -> Model:
    """The model alone: where one member goes without calibration there is nothing to hold folds out for."""
    if len(use_case.training.members) > 1 or use_case.training.calibration != "none":
        return fit_rows(use_case, data, chosen)
    members = fit_all(use_case, data, chosen)
    calibration = Identity(clip=data.problem.task == "binary")
    return Model(dict.fromkeys(members, 1.0), members, calibration)


def fit(  # noqa: PLR0913, PLR0917 - a whole training run is stated in one call
    use_case: TrainedUseCase,
    snapshot: Reference,
    lake: Lake,
    storage_url: str,
    study: str,
    out: Path,
    settings: Settings,
    author: str,
    overrides: parameters.Overrides | None = None,
) -> FittedBundle:
    """Fit with the study's best hyper-parameters and write the signed bundle to the folder `out`.

    Equal snapshot, declaration, study, author, code and packages give equal bytes.

    Args:
        use_case: the declaration.
        snapshot: what to train on; its newest `fresh_days` are not looked at.
        lake: holds the snapshot.
        storage_url: the warehouse, with the study.
        study: as `search.prepare` named it.
        out: folder to write; replaced if it exists.
        settings: `settings.secrets` holds the signing key.
        author: who answers for the model.
        overrides: as given to `search.prepare`; None takes the study's.

    Raises:
        StudyUnusable: no complete trial, or a study of other inputs.
        TooFewRows, OneClass, LabelNotBinary, InfiniteValues, ColumnsMissing: see `rows.read`.
        SigningKeyError: the signing key is missing or open to others.
    """
    data = rows.read(use_case, snapshot, lake)
    chosen, searched = search.best_parameters(use_case, snapshot, storage_url, study, overrides)
    fitted = fit_rows(use_case, data, chosen)
    interval = interval_of(use_case, data, fitted)
    metrics = _metrics(data, fitted, interval)
    manifest = {
        "format": 1,
        "use_case": use_case.name,
        "task": use_case.task,
        "as_of": _iso(data.as_of),
        "trained_until": _iso(data.trained_until),
        "inputs": bundle.inputs(use_case),
        "members": bundle.member_entries(use_case, fitted.weights),
        "calibration": fitted.calibration.to_json(),
        "intervals": interval.to_json(),
        "snapshot": snapshot.sha256,
        "code_commit": provenance.code_commit(),
        "packages": provenance.packages(),
        "seeds": _seeds(use_case),
        "metrics": metrics,
        "parameters": {**chosen, "overrides": searched["overrides"]},
        "search": {name: value for name, value in searched.items() if name != "overrides"},
        "warnings": data.warnings,
        "author": author,
    }
    sha256 = bundle.write(
        use_case, data, bundle.Content(manifest, fitted.members), out, settings.secrets / "signing.key"
    )
    return FittedBundle(out, sha256, _flat(metrics))


def fit_rows(use_case: TrainedUseCase, data: rows.TrainingRows, chosen: parameters.Chosen) -> Fitted:
    """Fit members, weights and calibration with the given hyper-parameters; writes nothing."""
    oof = out_of_fold(use_case, data, chosen)
    weights = mixture_weights(data.problem, oof.predictions(), oof.label, recency(use_case, data, oof))
    blended = blend(oof.predictions(), weights)
    calibration = fit_calibration(data.problem, use_case.training.calibration, blended, oof.label)
    kept = {name: float(each) for name, each in zip(oof.members, weights, strict=True) if each > 0}
    everything = fit_all(use_case, data, chosen)
    shipped = {name: everything[name] for name in kept}
    return Fitted(kept, shipped, calibration, oof, calibration.apply(blended))


def interval_of(use_case: TrainedUseCase, data: rows.TrainingRows, fitted: Fitted) -> Interval:
    """The interval around the probabilities of a binary task."""
    weights = np.array(list(fitted.weights.values()))
    coverage, half_life = use_case.training.interval_coverage, use_case.training.recency_half_life_days
    return fit_interval(data, fitted.oof, fitted.members, weights, fitted.calibration, coverage, half_life)


def _metrics(data: rows.TrainingRows, fitted: Fitted, interval: Interval) -> dict[str, Any]:
    label = fitted.oof.label
    return {
        "oof": {
            "log_loss": log_loss(label, fitted.prediction),
            "brier": brier(label, fitted.prediction),
            "auc": auc(label, fitted.prediction),
            "rows": len(label),
        },
        "members": {name: {"log_loss": log_loss(label, p)} for name, p in fitted.oof.members.items()},
        "interval": {
            "fold_spread": interval.fold_spread,
            "member_disagreement": interval.member_disagreement,
            "calibration_spread": interval.calibration_spread,
        },
        "rows": len(data.y),
        "base_rate": float(data.y.mean()),
        "trained_from": _iso(data.trained_from),
        "trained_until": _iso(data.trained_until),
    }


def _flat(metrics: Mapping[str, Any]) -> dict[str, float]:
    oof = {f"oof_{name}": float(value) for name, value in metrics["oof"].items()}
    members = {f"{name}_oof_log_loss": float(each["log_loss"]) for name, each in metrics["members"].items()}
    return {**oof, **members, "rows": float(metrics["rows"]), "base_rate": float(metrics["base_rate"])}


def _seeds(use_case: TrainedUseCase) -> dict[str, int]:
    members = {name: member_seed(use_case, name) for name in use_case.training.members}
    return {"search": use_case.training.search.seed, **members}


def _iso(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")
