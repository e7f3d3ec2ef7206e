"""Feature rows that an earlier snapshot has and that still hold: only the others are built.

A prediction's features follow from what was known at its moment, and its baselines from what was known when
it settled. So a row that had settled when the earlier snapshot was taken is the same in a later one, as long
as all that was known by then, the declaration and the code are the same; hashes say so, each time. After a
batch that tells late of an earlier day, another line of code or another parameter, all is built anew.
"""

import io
import json
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import ModuleType

import polars as pl

from pennant.data.errors import LakeCorrupt, LakeFull, LakeMissing
from pennant.data.kept import fingerprint_of
from pennant.data.lake import Lake
from pennant.declaration.model import DataUseCase
from pennant.features.build import BASELINE, REQUEST_COLUMNS, baseline_columns, feature_rows
from pennant.features.tables import Group, Tables
from pennant.reference import Reference

REMEMBERED = 32
"""So many earlier snapshots of a use case can be built on."""


@dataclass(frozen=True)
class Past:
    """An earlier snapshot that can be built on.

    Attributes:
        until: its `as_of`.
        rows: its rows.
    """

    until: datetime
    rows: pl.DataFrame


def inputs_at(tables: Tables, until: datetime, groups: list[Group] | None = None) -> dict[str, str]:
    """A hash of what was known at `until`, by group; which batch told it does not count."""
    return {".".join(group): tables.hash_at(group, until) for group in groups or tables.frames}


def making(use_case: DataUseCase, code: str) -> str:
    """A hash of what feature rows depend on beside the inputs: declaration, code, Polars."""
    return fingerprint_of(use_case.model_dump_json(), code, pl.__version__)


def find(lake: Lake, use_case: DataUseCase, code: str, tables: Tables, as_of: datetime) -> Past | None:
    """The newest earlier snapshot (before `as_of`) that can be built on, if there is one."""
    made = making(use_case, code)
    for path in sorted(lake.list(_place(use_case)), reverse=True):
        with suppress(LakeMissing, LakeCorrupt, ValueError, KeyError, TypeError):
            said = json.loads(lake.get(lake.uri(path)))
            until = datetime.fromisoformat(said["until"])
            if until < as_of and said["made"] == made and said["inputs"] == inputs_at(tables, until):
                content = lake.get(Reference.from_json(said["snapshot"]))
                return Past(until, pl.read_parquet(io.BytesIO(content)))
    return None


def remember(
    lake: Lake, use_case: DataUseCase, code: str, tables: Tables, as_of: datetime, snapshot: Reference
) -> None:
    """Let later snapshots build on this one; a lake that cannot take the note loses nothing but time."""
    note = {
        "until": as_of.astimezone(UTC).isoformat(),
        "made": making(use_case, code),
        "inputs": inputs_at(tables, as_of),
        "snapshot": snapshot.to_json(),
    }
    with suppress(LakeFull, LakeMissing, PermissionError):
        lake.replace(
            f"{_place(use_case)}/{as_of.astimezone(UTC):%Y%m%dT%H%M%SZ}.json", json.dumps(note).encode()
        )
        for path in sorted(lake.list(_place(use_case)))[:-REMEMBERED]:
            lake.remove(path)


def rows_on(
    use_case: DataUseCase,
    module: ModuleType,
    tables: Tables,
    requests: pl.DataFrame,
    past: Past,
) -> tuple[pl.DataFrame, int]:
    """Feature rows of requests, as `feature_rows` would build them, and how many were there already.

    Args:
        use_case: the declaration.
        module: its `features.py`.
        tables: what is known.
        requests: those to have a row.
        past: the earlier snapshot.
    """
    delay = timedelta(hours=use_case.label.delay_hours)
    columns = [
        *REQUEST_COLUMNS,
        *use_case.features,
        *(BASELINE + name for name in baseline_columns(use_case)),
    ]
    settled = past.rows.filter(pl.col("event_time") + delay <= past.until).select(columns)
    held = settled.join(requests, on=REQUEST_COLUMNS, how="semi")
    rest = requests.join(held, on=REQUEST_COLUMNS, how="anti")
    if rest.is_empty():
        return held.sort("event_time", "entity"), held.height
    built = feature_rows(use_case, module, tables, rest).select(columns)
    return pl.concat([held, built]).sort("event_time", "entity"), held.height


def _place(use_case: DataUseCase) -> str:
    return f"cache/snapshots/{use_case.name}"
