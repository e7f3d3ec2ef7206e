"""Inputs that a champion still takes and the declaration no longer has: built for the same entity rows.

A model is judged and served by features of its own. Snapshots and requests hold today's. What a champion
takes beside them comes from the optional function `retired(view)` of the use case's `features.py`: columns
that were declared once, kept until no champion needs them. It is held to the same clocks as `features(view)`.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from types import ModuleType
from typing import Any

import polars as pl

from pennant.data.lake import Lake
from pennant.declaration.model import Feature, UseCase
from pennant.features.build import feature_rows, requests_of
from pennant.features.errors import FeaturesMismatch
from pennant.features.module import features_module
from pennant.features.tables import Tables, load_tables
from pennant.features.view import View
from pennant.settings import Settings
from pennant_serving.manifest import Input


def lacking(use_case: UseCase, rows: pl.DataFrame, inputs: Sequence[Input]) -> list[Input]:
    """Inputs that the rows do not have, or have in another unit by now."""
    declared = use_case.features
    return [
        each
        for each in inputs
        if each.name not in rows.columns or (each.name in declared and declared[each.name].unit != each.unit)
    ]


def with_retired(
    use_case: UseCase,
    rows: pl.DataFrame,
    inputs: Sequence[Input],
    lake: Lake,
    settings: Settings,
    as_of: datetime,
) -> pl.DataFrame:
    """The rows with all of a champion's inputs, those that they lack from `retired(view)`.

    Args:
        use_case: today's declaration.
        rows: rows of today's snapshot.
        inputs: what the champion takes.
        lake: the validated batches.
        settings: where `features.py` lies.
        as_of: the snapshot's moment.

    Raises:
        FeaturesMismatch: `features.py` has no `retired`, or it does not give these columns.
        FeaturesModuleBroken: `features.py` cannot be loaded.
    """
    if not lacking(use_case, rows, inputs) or rows.is_empty():
        return rows
    return joined(use_case, rows, inputs, settings, load_tables(use_case, lake, as_of), as_of)


def as_taken(
    use_case: UseCase,
    rows: pl.DataFrame,
    contract: Sequence[Mapping[str, Any]],
    lake: Lake,
    settings: Settings,
    as_of: datetime,
) -> tuple[pl.DataFrame, list[str]]:
    """Requests as what is served takes them: the rows, and the names of its inputs.

    A model of an earlier declaration takes inputs that are gone since, and does not know those that are new;
    the serving app refuses a row that lacks an input, and one that has another.

    Args:
        use_case: today's declaration.
        rows: as `features.build.request_rows` gives them.
        contract: inputs of every arm, as the serving app tells them.
        lake: the validated batches.
        settings: where `features.py` lies.
        as_of: the moment of the requests.

    Raises:
        FeaturesMismatch: `features.py` has no `retired`, or it does not give these columns.
        FeaturesModuleBroken: `features.py` cannot be loaded.
    """
    inputs = [Input.model_validate(each) for each in contract]
    names = [each.name for each in inputs]
    return with_retired(use_case, rows, inputs, lake, settings, as_of), names


def joined(
    use_case: UseCase,
    rows: pl.DataFrame,
    inputs: Sequence[Input],
    settings: Settings,
    tables: Tables,
    as_of: datetime,
) -> pl.DataFrame:
    """The same from tables that are loaded; see `with_retired`."""
    wanted = lacking(use_case, rows, inputs)
    names = [each.name for each in wanted]
    module = _retired_alone(use_case, settings, names)
    first, last = rows["event_time"].min(), rows["event_time"].max()
    if not isinstance(first, datetime) or not isinstance(last, datetime):
        raise TypeError(f"event_time: found {rows.schema['event_time']}; allowed are moments")
    requests = requests_of(use_case, tables, first - timedelta(microseconds=1), last, as_of)
    requests = requests.join(rows.select("entity"), on="entity", how="semi", maintain_order="left")
    features = {each.name: _as_feature(each) for each in wanted}
    narrow = use_case.model_copy(update={"features": features, "baselines": {}, "market": None})
    made = feature_rows(narrow, module, tables, requests).select("entity", *names)
    kept = rows.drop(name for name in names if name in rows.columns)
    return kept.join(made, on="entity", how="left", maintain_order="left", validate="1:1")


def _as_feature(each: Input) -> Feature:
    return Feature(unit=each.unit, low=each.low, high=each.high, missing=each.missing)


def _retired_alone(use_case: UseCase, settings: Settings, names: list[str]) -> ModuleType:
    """A features module whose features are the retired ones that are asked for."""
    found = features_module(settings.use_cases / use_case.name)
    function = getattr(found, "retired", None)
    if not callable(function):
        problem = (
            "is not there, and the champion takes inputs that the declaration no longer has as they were"
        )
        raise FeaturesMismatch(use_case.name, "retired", problem, "no such function", names)

    def retired(view: View) -> pl.DataFrame:
        made: pl.DataFrame = function(view)
        absent = [name for name in names if name not in made.columns]
        if absent:
            raise FeaturesMismatch(use_case.name, "retired", "gave other columns", made.columns, names)
        return made.select("entity", *names)

    def nothing(view: View) -> pl.DataFrame:
        return view.requests.select("entity")

    alone = ModuleType(f"{found.__name__}_retired")
    alone.__dict__.update(features=retired, baselines=nothing)
    return alone
