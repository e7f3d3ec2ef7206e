"""Fit the model of a snapshot: held-out predictions, ensemble, calibration, interval, final fit, bundle."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pennant.data.lake import Lake
from pennant.declaration.model import TrainedUseCase
from pennant.reference import Reference
from pennant.settings import Settings
from pennant.training import bundle, interval, parameters, provenance, rows, search, stability, told
from pennant.training.calibration import Calibration, Identity, fit_calibration
from pennant.training.coverage import coverage_warnings
from pennant.training.crossfit import OutOfFold, fit_all, member_seed, out_of_fold
from pennant.training.ensemble import Combination, combine
from pennant.training.losses import Floats
from pennant.training.members.base import FittedMember
from pennant.training.spread import fit_spread


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
        combination: of the members into one prediction.
        members: those that the combination takes, fitted on all training rows.
        calibration: of the combined prediction.
    """

    combination: Combination
    members: dict[str, FittedMember]
    calibration: Calibration

    @property
    def weights(self) -> dict[str, float]:
        """Member -> weight, those above 0 only."""
        return self.combination.weights

    def predict(self, x: Floats) -> Floats:
        """Calibrated predictions for `x`, shape (n, features); see `problem` for their shape."""
        made = [member.predict(x) for member in self.members.values()]
        return self.calibration.apply(self.combination.apply(made, x))


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
    return Model(Combination(dict.fromkeys(members, 1.0)), members, calibration)


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
    return written(use_case, snapshot, data, Choice(chosen, searched), out, settings, author)


@dataclass(frozen=True)
class Choice:
    """What a search ended with.

    Attributes:
        chosen: all hyper-parameters.
        searched: what the search was, with its `overrides`.
    """

    chosen: parameters.Chosen
    searched: Mapping[str, Any]


def written(
    use_case: TrainedUseCase,
    snapshot: Reference,
    data: rows.TrainingRows,
    choice: Choice,
    out: Path,
    settings: Settings,
    author: str,
) -> FittedBundle:
    """Fit with the hyper-parameters of `choice` and write the signed bundle to `out`; see `fit`."""
    fitted = fit_rows(use_case, data, choice.chosen)
    found, scored = _interval(use_case, data, fitted)
    metrics = told.described(
        use_case, data, fitted.oof, fitted.prediction, found, scored, fitted.combination.described
    )
    manifest = {
        "format": 1,
        "use_case": use_case.name,
        "task": use_case.task,
        "outcome": told.outcome(use_case, data),
        "as_of": told.iso(data.as_of),
        "trained_until": told.iso(data.trained_until),
        "inputs": bundle.inputs(use_case),
        "members": bundle.member_entries(use_case, fitted.weights),
        "ensemble": fitted.combination.to_json(),
        "calibration": fitted.calibration.to_json(),
        "intervals": found.to_json(),
        "snapshot": snapshot.sha256,
        "code_commit": provenance.code_commit(),
        "packages": provenance.packages(each.kind for each in use_case.training.members.values()),
        "seeds": _seeds(use_case),
        "metrics": metrics,
        "parameters": {**choice.chosen, "overrides": choice.searched["overrides"]},
        "search": {name: value for name, value in choice.searched.items() if name != "overrides"},
        "declared": declared(use_case),
        "warnings": [*data.warnings, *coverage_warnings(use_case, metrics["coverage"])],
        "author": author,
    }
    steady = stability.across_folds(data, fitted.oof, manifest)
    content = bundle.Content(manifest, fitted.members, found.files(), steady)
    sha256 = bundle.write(use_case, data, content, out, settings.secrets / "signing.key")
    return FittedBundle(out, sha256, told.flat(metrics))


def declared(use_case: TrainedUseCase) -> dict[str, Any]:
    """What the declaration says of training: a bundle follows from it, the snapshot, code and packages."""
    return {
        "split": use_case.split.model_dump(mode="json"),
        "training": use_case.training.model_dump(mode="json"),
    }


def fit_rows(use_case: TrainedUseCase, data: rows.TrainingRows, chosen: parameters.Chosen) -> Fitted:
    """Fit members, ensemble and calibration with the given hyper-parameters; writes nothing."""
    oof = out_of_fold(use_case, data, chosen)
    combination = combine(use_case, data, oof)
    blended = combination.apply(oof.predictions(combination.weights), data.x[oof.index])
    calibration = fit_calibration(data.problem, use_case.training.calibration, blended, oof.label)
    everything = fit_all(use_case, data, chosen)
    shipped = {name: everything[name] for name in combination.weights}
    return Fitted(combination, shipped, calibration, oof, calibration.apply(blended))


def interval_of(use_case: TrainedUseCase, data: rows.TrainingRows, fitted: Fitted) -> interval.Interval:
    """The interval that comes with each prediction; see `pennant.training.interval`.

    Raises:
        TooFewRows: fewer rows out of fold than the declared coverage needs.
    """
    return _interval(use_case, data, fitted)[0]


def _interval(
    use_case: TrainedUseCase, data: rows.TrainingRows, fitted: Fitted
) -> tuple[interval.Interval, interval.Scored | None]:
    training = use_case.training
    if interval.method_of(use_case) == "spread":
        coverage, half_life = training.interval_coverage, training.recency_half_life_days
        return fit_spread(
            data, fitted.oof, fitted.members, fitted.combination, fitted.calibration, coverage, half_life
        ), None
    scored = interval.score(use_case, data, fitted.oof, fitted.prediction)
    return interval.fit_conformal(use_case, data, fitted.oof, scored), scored


def _seeds(use_case: TrainedUseCase) -> dict[str, int]:
    members = {name: member_seed(use_case, name) for name in use_case.training.members}
    return {"search": use_case.training.search.seed, **members}
