"""Keys and databases of sources, from Airflow's connections."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pennant.data.asking.access import Access

POSTGRES = "postgres"


def from_airflow(connection_id: str) -> "Access":
    """Look up an Airflow connection: environment, secrets backend, then Airflow's own database.

    Raises:
        MissingConnection: there is none of this name.
    """
    from airflow.sdk import BaseHook
    from airflow.sdk.exceptions import AirflowNotFoundException

    from pennant.data.asking.access import Access, MissingConnection

    try:
        connection = BaseHook.get_connection(connection_id)
    except AirflowNotFoundException:
        raise MissingConnection(connection_id) from None
    return Access(
        address=_database(connection_id) if connection.conn_type == POSTGRES else connection.host or "",
        login=connection.login or "",
        password=connection.password or "",
        extra=dict(connection.extra_dejson),
    )


def _database(connection_id: str) -> str:
    """The connection's URL, as the Postgres hook makes it, for SQLAlchemy."""
    from airflow.providers.postgres.hooks.postgres import PostgresHook

    return str(PostgresHook(connection_id).sqlalchemy_url.render_as_string(hide_password=False))
