"""What a task works with: settings, its declaration, the lake, the warehouse, the registry."""

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from pennant.declaration.loader import load, load_modelled, load_trained
from pennant.declaration.model import DataUseCase, TrainedUseCase, UseCase
from pennant.settings import Settings

if TYPE_CHECKING:
    from airflow.providers.postgres.hooks.postgres import PostgresHook
    from sqlalchemy import Engine

    from pennant.data.lake import Lake
    from pennant.registry.models import Models

WAREHOUSE_CONNECTION = "pennant_warehouse"


@dataclass(frozen=True)
class Workplace:
    """Opened inside a task, never while a Dag is parsed. Everything in it is made when first asked for."""

    settings: Settings
    name: str

    @cached_property
    def declared(self) -> DataUseCase:
        """The use case as far as its features, whether it has a model or not."""
        return load(self.settings.use_cases / self.name)

    @cached_property
    def trained(self) -> TrainedUseCase:
        """The use case with its training, whether its model is served or not."""
        return load_trained(self.settings.use_cases / self.name)

    @cached_property
    def use_case(self) -> UseCase:
        """The use case with its served model."""
        return load_modelled(self.settings.use_cases / self.name)

    @cached_property
    def lake(self) -> "Lake":
        from pennant.data.lake import Lake

        return Lake(self.settings.lake)

    @cached_property
    def warehouse(self) -> "Engine":
        return open_warehouse()

    @cached_property
    def models(self) -> "Models":
        from pennant.registry.models import Models

        return Models(self.settings)


def open_warehouse() -> "Engine":
    """Connect to the warehouse named by the Airflow connection `pennant_warehouse`."""
    from airflow.providers.postgres.hooks.postgres import PostgresHook

    from pennant.warehouse.engine import connect

    return connect(warehouse_url(PostgresHook(WAREHOUSE_CONNECTION)))


def warehouse_url(hook: "PostgresHook") -> str:
    """The connection's URL with its password, for SQLAlchemy."""
    return str(hook.sqlalchemy_url.render_as_string(hide_password=False))


def workplace(name: str) -> Workplace:
    return Workplace(settings=Settings.load(), name=name)
