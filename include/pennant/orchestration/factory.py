"""All Dags of one installation, from the declarations in its use-case folder."""

from airflow.sdk import DAG

from pennant.declaration.loader import load_all
from pennant.declaration.model import TrainedUseCase, UseCase
from pennant.declaration.problems import DeclarationError
from pennant.orchestration import (
    backtest,
    broken,
    features,
    ingest,
    lag,
    maintain,
    release,
    score,
    train,
    watch,
)
from pennant.settings import Settings

_DATA_PARTS = (ingest, features)
_MODEL_PARTS = (train, release, score, watch)


def build_all(settings: Settings | None = None) -> dict[str, DAG]:
    """Build every Dag, by its id, in a fixed order.

    A declaration that does not load becomes one broken Dag that says why; the others are not touched.
    """
    settings = settings or Settings.load()
    dags: dict[str, DAG] = {}
    declared = load_all(settings.use_cases)
    for each in declared:
        if isinstance(each, DeclarationError):
            made = [broken.build(each.file.parent.name, each)]
        else:
            made = [part.build(each, settings) for part in _DATA_PARTS]
            if isinstance(each, TrainedUseCase):
                made.append(backtest.build(each, settings))
            if isinstance(each, UseCase):
                made += [part.build(each, settings) for part in _MODEL_PARTS]
        dags |= {dag.dag_id: dag for dag in made}
    live = lag.live_sources([each for each in declared if not isinstance(each, DeclarationError)])
    if live:
        watching = lag.build(live, settings, broken.START)
        dags[watching.dag_id] = watching
    upkeep = maintain.build(settings, broken.START)
    dags[upkeep.dag_id] = upkeep
    return dags
