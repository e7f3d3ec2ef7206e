"""What an installation needs before its first process starts, where something else starts them."""

from dataclasses import dataclass

from pennant.errors import PennantError
from pennant.platform import serving
from pennant.platform.postgres import DATABASES, create_databases, database_url, without_password
from pennant.settings import Settings
from pennant.warehouse.engine import migrate


class NoServerNamed(PennantError):
    """Neither a PostgreSQL server nor a warehouse is named."""

    def __init__(self) -> None:
        super().__init__(
            "no PostgreSQL named: set PENNANT_DATABASE_URL=postgresql://user:password@host:port/ (databases"
            " are made there) or PENNANT_WAREHOUSE_URL=postgresql://.../pennant (it exists). To run all "
            "on this machine, use `pennant up`, which needs neither."
        )


@dataclass(frozen=True)
class Prepared:
    """What is there now; the warehouse's address is without its password."""

    databases: list[str]
    warehouse: str
    secrets: str


def prepare(settings: Settings) -> Prepared:
    """Create the databases, migrate the warehouse and make the keys; safe to run again.

    It does not migrate Airflow's database (`airflow db migrate` does) nor MLflow's (its server does).

    Raises:
        NoServerNamed: the settings name neither a server nor a warehouse.
        PostgresFault: the server does not answer or refuses.
    """
    if not (settings.database_url or settings.warehouse_url):
        raise NoServerNamed
    databases: list[str] = []
    if settings.database_url:
        create_databases(settings.database_url)
        databases += DATABASES
    warehouse = settings.warehouse_url or database_url(settings.database_url, "pennant")
    migrate(warehouse)
    serving.prepare_keys(settings.secrets)
    return Prepared(databases, without_password(warehouse), str(settings.secrets))
