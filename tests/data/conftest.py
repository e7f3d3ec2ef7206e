"""A small world to ingest: a provider over real HTTP, a lake in a folder, a warehouse."""

import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml
from sqlalchemy import Engine

from pennant.data.asking.access import from_environment
from pennant.data.ingest import BatchResult, fetch, validate
from pennant.data.lake import Lake
from pennant.data.validated import versions
from pennant.declaration.model import UseCase
from pennant.reference import Reference, Window
from pennant.settings import REPOSITORY, Settings
from pennant.simulation.provider import Fault, Provider, run

HEADER = ("game", "day", "time", "home", "away", "points", "crowd")
SOURCE: dict[str, Any] = {
    "kind": "csv",
    "key": ["game"],
    "event_time": {
        "columns": ["day", "time"],
        "format": "%Y-%m-%d %H:%M",
        "time_zone": "America/New_York",
        "default_time": "13:00",
    },
    "ahead_days": 10,
    "timeout_seconds": 5,
    "max_attempts": 2,
    "groups": {
        "schedule": {
            "known_at": {"rule": "before_event", "hours": 240},
            "columns": {"home": "str", "away": "str"},
        },
        "result": {
            "known_at": {"rule": "after_event", "hours": 4},
            "columns": {"points": "int", "crowd": "float"},
        },
    },
}


def game(number: int, day: str, **given: object) -> dict[str, object]:
    """One row of the provider's table; the event is at 13:00 in New York unless `time` says else."""
    return {"game": f"g{number:03}", "day": day, "home": "A", "away": "B", "points": number} | given


def csv_of(rows: Sequence[dict[str, object]], header: Sequence[str] = HEADER) -> bytes:
    lines = [",".join(header)] + [",".join(str(row.get(name, "")) for name in header) for row in rows]
    return "".join(f"{line}\n" for line in lines).encode()


@dataclass
class World:
    """One use case with a provider whose table a test writes."""

    use_case: UseCase
    lake: Lake
    folder: Path
    warehouse: Engine
    settings: Settings
    provider: Provider
    table: list[bytes] = field(default_factory=lambda: [csv_of([])])

    def publish(self, rows: Sequence[dict[str, object]] | bytes) -> None:
        self.table[0] = rows if isinstance(rows, bytes) else csv_of(rows)

    def fetch(self, window: Window) -> Reference:
        return fetch(
            self.use_case, "games", window, self.lake, self.warehouse, self.settings, from_environment
        )

    def validate(self, batch: Reference) -> BatchResult:
        return validate(self.use_case, batch, self.lake, self.warehouse, self.settings)

    def ingest(self, window: Window) -> BatchResult:
        return self.validate(self.fetch(window))

    def versions(self, group: str, as_of: datetime = datetime(2100, 1, 1, tzinfo=UTC)) -> pl.DataFrame:
        return versions(self.use_case, "games", group, self.lake, as_of)

    def objects(self, area: str = "") -> dict[str, bytes]:
        """Every object below an area of the lake, by its path without the use case's name."""
        paths = self.lake.list(area)
        return {path.replace(self.use_case.name, "*"): self.lake.get(self.lake.uri(path)) for path in paths}

    def on_disk(self) -> list[str]:
        """Every file below the lake's folder, also those that the lake itself does not list."""
        return sorted(str(p.relative_to(self.folder)) for p in self.folder.rglob("*") if p.is_file())


def declared(name: str, source: dict[str, Any], validation: dict[str, Any] | None = None) -> UseCase:
    body = yaml.safe_load((REPOSITORY / "include/use_cases/league_demo/use_case.yaml").read_text())
    body |= {
        "name": name,
        "sources": {"games": source},
        "validation": validation or {"max_quarantined_share": 0.9, "expectations": []},
    }
    return UseCase.model_validate(body)


@pytest.fixture(scope="session")
def warehouse(warehouse_url: str) -> Iterator[Engine]:
    from pennant.warehouse.engine import connect

    engine = connect(warehouse_url)
    yield engine
    engine.dispose()


Make = Callable[..., World]


@pytest.fixture
def make_world(warehouse: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Make]:
    """Makes worlds; each has a use case, a lake and a provider of its own."""
    with ExitStack() as stack:

        def make(
            plan: Sequence[Fault | None] = (),
            validation: dict[str, Any] | None = None,
            **source: Any,
        ) -> World:
            table = [csv_of([])]
            provider = stack.enter_context(run(lambda _: table[0], plan))
            folder = tmp_path_factory.mktemp("a lake")
            declaration = SOURCE | {"url": provider.url} | source
            name = f"world_{uuid.uuid4().hex[:12]}"
            return World(
                declared(name, declaration, validation),
                Lake(folder.as_uri()),
                folder,
                warehouse,
                Settings(home=folder.parent),
                provider,
                table,
            )

        yield make


@pytest.fixture
def world(make_world: Make) -> World:
    return make_world()


def month(number: int, year: int = 2024, length: int = 1) -> Window:
    last = number + length
    end = datetime(year + (last - 1) // 12, (last - 1) % 12 + 1, 1, tzinfo=UTC)
    return Window(datetime(year, number, 1, tzinfo=UTC), end)
