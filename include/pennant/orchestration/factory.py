"""All Dags of one installation, from the declarations in its use-case folder."""

from airflow.sdk import DAG

from pennant.declaration.loader import load_all
from pennant.declaration.model import UseCase
from pennant.orchestration import backtest, broken, ingest, maintain, release, score, train, watch
from pennant.settings import Settings

_PARTS = (ingest, train, release, score, watch, backtest)


def build_all(settings: Settings | None = None) -> dict[str, DAG]:
    """Build every Dag, by its id, in a fixed order.

    A declaration that does not load becomes one broken Dag that says why; the others are not touched.
    """
    settings = settings or Settings.load()
    dags: dict[str, DAG] = {}
    for each in load_all(settings.use_cases):
        if isinstance(each, UseCase):
            for part in _PARTS:
                dag = part.build(each, settings)
                dags[dag.dag_id] = dag
        else:
            dag = broken.build(each.file.parent.name, each)
            dags[dag.dag_id] = dag
    upkeep = maintain.build(settings, broken.START)
    dags[upkeep.dag_id] = upkeep
    return dags
