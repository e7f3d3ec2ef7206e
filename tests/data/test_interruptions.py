"""Killed or without room in the middle of a step, the next run finishes the work with the same bytes."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pennant.data.ingest import pending

from .conftest import Make, World, game, month

ROWS = [game(number, f"2024-{number:02}-15") for number in range(1, 13)]
WINDOWS = [month(number) for number in range(1, 13)]

INGESTS_A_YEAR = """
import json, sys
from pathlib import Path
from pennant.data.asking.access import from_environment
from pennant.data.ingest import fetch, validate
from pennant.data.lake import Lake
from pennant.declaration.model import UseCase
from pennant.reference import Window
from pennant.settings import Settings
from pennant.warehouse.engine import connect
from pennant.data import gathered
gathered.KEPT_FROM = 1  # so that a kill can come while batches are kept together, too
declaration, lake, warehouse, limit, *windows = sys.argv[1:]
if int(limit):
    import resource
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), int(limit)))
use_case = UseCase.model_validate_json(Path(declaration).read_text())
lake, warehouse = Lake(lake), connect(warehouse)
for key in windows:
    batch = fetch(use_case, "games", Window.from_key(key), lake, warehouse, Settings(), from_environment)
    validate(use_case, batch, lake, warehouse, Settings())
"""


def _start(world: World, tmp_path: Path, limit: int = 0) -> subprocess.Popen[str]:
    declaration = tmp_path / "use_case.json"
    declaration.write_text(world.use_case.model_dump_json(by_alias=True))
    warehouse = world.warehouse.url.render_as_string(hide_password=False)
    given = [str(declaration), world.lake.url, warehouse, str(limit), *(each.key for each in WINDOWS)]
    # In its own group, so that nothing but this child can be meant.
    return subprocess.Popen(
        [sys.executable, "-c", INGESTS_A_YEAR, *given],
        start_new_session=True,
        stderr=subprocess.PIPE,
        text=True,
    )


def _undisturbed(world: World, make_world: Make) -> World:
    other = make_world()
    other.publish(ROWS)
    for window in WINDOWS:
        other.ingest(window)
    return other


@pytest.mark.parametrize("landed", [1, 4])
def test_a_killed_run_is_finished_by_the_next(make_world: Make, tmp_path: Path, landed: int) -> None:
    world = make_world()
    world.publish(ROWS)
    child = _start(world, tmp_path)
    deadline = time.monotonic() + 120
    while sum(path.endswith(".json") for path in world.lake.list("raw")) < landed:
        assert child.poll() is None, child.stderr and child.stderr.read()
        assert time.monotonic() < deadline
    os.kill(child.pid, signal.SIGKILL)
    child.communicate()
    for window in WINDOWS:
        world.ingest(window)
    assert pending(world.use_case, world.lake, world.warehouse, WINDOWS[-1].as_of) == []
    whole = _undisturbed(world, make_world)
    assert [path for path in world.on_disk() if ".unfinished" in path] == []
    assert world.objects("validated").keys() == whole.objects("validated").keys()
    for group in ("schedule", "result"):
        assert world.versions(group).equals(whole.versions(group))


def test_two_runs_of_the_same_year_at_once_are_one(make_world: Make, tmp_path: Path) -> None:
    world = make_world()
    world.publish(ROWS)
    children = [_start(world, tmp_path) for _ in range(2)]
    for child in children:
        _, errors = child.communicate(timeout=120)
        assert child.returncode == 0, errors
    whole = _undisturbed(world, make_world)
    assert world.objects("validated").keys() == whole.objects("validated").keys()
    for group in ("schedule", "result"):
        assert world.versions(group).equals(whole.versions(group))


def test_a_run_without_room_says_so_and_the_next_finishes(make_world: Make, tmp_path: Path) -> None:
    world = make_world()
    world.publish(ROWS)
    child = _start(world, tmp_path, limit=700)  # room for the table, not for a batch
    _, errors = child.communicate(timeout=120)
    assert child.returncode == 1
    assert "LakeFull" in errors
    assert world.lake.list("raw") == world.lake.list("validated") == []
    assert [path for path in world.on_disk() if not path.startswith("downloads")] == []
    assert [world.ingest(window).rows for window in WINDOWS[:2]] == [2, 2]


def test_a_batch_whose_manifest_is_missing_is_finished_with_the_rows_first_taken(world: World) -> None:
    world.publish(ROWS)
    first = world.fetch(month(3))
    manifest = world.folder / world.lake.path_of(first.uri)
    whole = manifest.read_bytes()
    manifest.unlink()  # as if killed between the data and the manifest
    world.publish([game(3, "2024-03-15", points=99)])  # the provider has changed its mind since
    again = world.fetch(month(3))
    assert again.sha256 == first.sha256
    assert manifest.read_bytes() == whole


def test_a_validation_cut_off_before_its_end_is_done_again_with_the_same_bytes(world: World) -> None:
    world.publish(ROWS)
    batch = world.fetch(month(3))
    done, whole = world.validate(batch), world.objects("validated")
    (world.folder / world.lake.path_of(done.reference.uri)).unlink()
    assert world.versions("result").is_empty()  # what has no batch.json is not validated
    assert world.validate(batch) == done
    assert world.objects("validated") == whole


def test_a_batch_that_landed_while_the_warehouse_was_down_is_pending_after_the_next_run(
    world: World,
) -> None:
    from sqlalchemy.exc import OperationalError

    from pennant.platform.ports import unused_ports
    from pennant.warehouse.engine import connect

    world.publish(ROWS)
    alive = world.warehouse
    world.warehouse = connect(f"postgresql://postgres@127.0.0.1:{unused_ports(1)[0]}/none")
    with pytest.raises(OperationalError):
        world.fetch(month(3))
    world.warehouse.dispose()
    world.warehouse = alive
    batch = world.fetch(month(3))
    assert pending(world.use_case, world.lake, alive, month(3).as_of) == [batch]
