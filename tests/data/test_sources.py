"""What a provider can do wrong, over real HTTP: each ends in a clear error or a retry."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from pennant.data.asking.access import from_environment
from pennant.data.errors import SourceDown, SourceMalformed
from pennant.data.ingest import fetch
from pennant.declaration.loader import load
from pennant.platform.ports import unused_ports
from pennant.settings import REPOSITORY, Settings
from pennant.simulation.provider import Fault, UnknownProvider
from pennant.warehouse.tables import source_health

from .conftest import HEADER, Make, World, csv_of, game, month

ROWS = [game(number, f"2024-02-{number + 10}") for number in range(1, 6)]


def _health(world: World) -> tuple[str, int, str | None]:
    wanted = select(source_health).where(source_health.c.use_case == world.use_case.name)
    with world.warehouse.connect() as connection:
        row = connection.execute(wanted).one()
    return row.state, row.consecutive_failures, row.last_error


def _fails(world: World) -> SourceMalformed:
    with pytest.raises(SourceMalformed) as caught:
        world.fetch(month(2))
    assert world.on_disk() == []  # nothing was stored
    return caught.value


def test_a_provider_that_refuses_connections_is_down(make_world: Make) -> None:
    world = make_world(url=f"http://127.0.0.1:{unused_ports(1)[0]}/games.csv")
    with pytest.raises(SourceDown) as caught:
        world.fetch(month(2))
    assert caught.value.source == f"{world.use_case.name}.games"
    assert caught.value.attempts == 2
    assert "ConnectError" in caught.value.found
    assert world.on_disk() == []
    assert _health(world) == ("failing", 1, str(caught.value))


def test_failures_in_a_row_are_counted_until_the_source_answers(make_world: Make) -> None:
    world = make_world([Fault("status")] * 4)
    world.publish(ROWS)
    for _ in range(2):
        with pytest.raises(SourceDown):
            world.fetch(month(2))
    assert _health(world)[:2] == ("failing", 2)
    world.fetch(month(2))
    assert _health(world) == ("ok", 0, None)


@pytest.mark.parametrize(
    "fault",
    [Fault("status", 503), Fault("status", 429), Fault("dropped"), Fault("half_body")],
    ids=lambda fault: f"{fault.kind}-{fault.status}",
)
def test_a_passing_fault_is_tried_again(make_world: Make, fault: Fault) -> None:
    world = make_world([fault])
    world.publish(ROWS)
    assert world.ingest(month(2)).rows == 10
    assert len(world.provider.requests) == 2


def test_a_download_that_stays_cut_off_is_never_stored(make_world: Make) -> None:
    world = make_world([Fault("half_body")] * 2)
    world.publish(ROWS)
    with pytest.raises(SourceDown) as caught:
        world.fetch(month(2))
    assert "RemoteProtocolError" in caught.value.found
    assert world.on_disk() == []


@pytest.mark.parametrize("kind", ["status", "slow", "half_body", "html", "empty", "dropped"])
def test_a_fault_that_stays_is_an_error_and_never_half_a_table(make_world: Make, kind: Any) -> None:
    world = make_world([Fault(kind, seconds=5)] * 2, timeout_seconds=0.5)
    world.publish(ROWS)
    with pytest.raises((SourceDown, SourceMalformed)):
        world.fetch(month(2))
    assert world.on_disk() == []
    assert _health(world)[0] == "failing"


@pytest.mark.parametrize("status", [401, 404, 410])
def test_a_refusal_is_not_tried_again(make_world: Make, status: int) -> None:
    world = make_world([Fault("status", status)] * 2)
    with pytest.raises(SourceDown) as caught:
        world.fetch(month(2))
    assert (str(status) in caught.value.found, caught.value.attempts) == (True, 1)
    assert len(world.provider.requests) == 1


def test_a_provider_that_does_not_answer_in_time_is_down(make_world: Make) -> None:
    world = make_world([Fault("slow", seconds=60)], timeout_seconds=0.2, max_attempts=1)
    with pytest.raises(SourceDown) as caught:
        world.fetch(month(2))
    assert "timeout_seconds = 0.2" in caught.value.found


def test_an_unchanged_table_is_not_sent_again(world: World) -> None:
    world.publish(ROWS)
    world.ingest(month(1))
    assert world.ingest(month(2)).rows == 10
    world.publish([*ROWS, game(9, "2024-03-20")])
    assert world.ingest(month(3)).rows == 2
    assert [status for status, _ in world.provider.requests] == [200, 304, 200]
    # The superseded download is gone; its pointer and the newest stay.
    assert len(world.lake.list("downloads")) == 2


def test_a_lost_download_is_asked_for_again(world: World) -> None:
    world.publish(ROWS)
    world.ingest(month(1))
    for path in world.lake.list("downloads"):
        if not path.endswith(".json"):
            (world.folder / path).unlink()
    assert world.ingest(month(2)).rows == 10
    assert [status for status, _ in world.provider.requests] == [200, 200]


@pytest.mark.parametrize("body", [b"", b"  \n\n", b"\xef\xbb\xbf"])
def test_an_empty_body_is_malformed(world: World, body: bytes) -> None:
    world.publish(body)
    assert _fails(world).problem == "empty"
    assert _health(world)[0] == "failing"


def test_a_page_in_the_place_of_the_table_is_malformed(make_world: Make) -> None:
    world = make_world([Fault("html")])
    error = _fails(world)
    assert error.problem == "html"
    assert "DOCTYPE" in error.found


@pytest.mark.parametrize("cut", ["g005,2024-02-15,", "g005,2024-02-15,13:00,A,B,5"])
def test_half_a_last_line_is_malformed(world: World, cut: str) -> None:
    whole = csv_of(ROWS).decode()
    world.publish((whole[: whole.index("g005")] + cut).encode())
    error = _fails(world)
    assert (error.problem, error.allowed) == ("truncated", "7 fields as in the header")


def test_a_quote_that_never_closes_is_malformed(world: World) -> None:
    world.publish(csv_of(ROWS) + b'g009,2024-02-20,13:00,"A,B,1,2\n')
    assert _fails(world).problem == "truncated"


def test_a_last_line_without_line_end_is_whole(world: World) -> None:
    world.publish(csv_of(ROWS).rstrip(b"\n"))
    assert world.ingest(month(2)).rows == 10


def test_a_renamed_column_is_malformed_and_the_nearest_is_named(world: World) -> None:
    world.publish(csv_of(ROWS).replace(b"points", b"Point_s", 1))
    error = _fails(world)
    assert (error.problem, error.column, error.nearest) == ("missing_column", "points", "Point_s")


def test_a_doubled_column_is_malformed(world: World) -> None:
    world.publish(csv_of(ROWS, [*HEADER, "points"]))
    error = _fails(world)
    assert (error.problem, error.column) == ("doubled_column", "points")


def test_a_column_that_changed_its_type_is_malformed(world: World) -> None:
    world.publish([row | {"points": "many"} for row in ROWS])
    error = _fails(world)
    assert (error.problem, error.column, error.allowed) == ("retyped_column", "points", "int")


def test_dates_of_another_form_are_malformed(world: World) -> None:
    world.publish([row | {"day": f"{number}/02/2024"} for number, row in enumerate(ROWS, 1)])
    error = _fails(world)
    assert (error.problem, error.column) == ("no_dates", "day")


def test_more_columns_in_another_order_are_no_matter(world: World) -> None:
    world.publish(csv_of(ROWS, ["note", *reversed(HEADER)]))
    assert world.ingest(month(2)).rows == 10


def test_a_table_can_be_compressed(world: World) -> None:
    world.publish(gzip.compress(csv_of(ROWS)))
    assert world.ingest(month(2)).rows == 10


def test_what_could_not_be_read_is_asked_for_again(make_world: Make) -> None:
    world = make_world(cache_seconds=3600)
    world.publish(b"<html>please log in</html>")
    assert _fails(world).problem == "html"
    world.publish(ROWS)
    assert world.ingest(month(2)).rows == 10
    assert [status for status, _ in world.provider.requests] == [200, 200]


def test_a_damaged_archive_is_malformed(world: World) -> None:
    world.publish(gzip.compress(csv_of(ROWS))[:-20])
    assert _fails(world).problem == "truncated"


def test_a_mirror_goes_before_the_public_address(make_world: Make, tmp_path: Path) -> None:
    world = make_world(path="league/games.csv", url="http://127.0.0.1:9/never-asked")
    mirror = tmp_path / "a mirror"
    (mirror / "league").mkdir(parents=True)
    (mirror / "league" / "games.csv").write_bytes(csv_of(ROWS))
    settings = Settings(data_mirror=str(mirror))
    batch = fetch(world.use_case, "games", month(2), world.lake, world.warehouse, settings, from_environment)
    assert world.validate(batch).rows == 10


def test_a_file_that_the_mirror_lacks_is_down_and_not_asked_elsewhere(
    make_world: Make, tmp_path: Path
) -> None:
    world = make_world(path="league/games.csv")
    settings = Settings(data_mirror=str(tmp_path))
    with pytest.raises(SourceDown) as caught:
        fetch(world.use_case, "games", month(2), world.lake, world.warehouse, settings, from_environment)
    assert caught.value.address.endswith("league/games.csv")
    assert world.provider.requests == []


def test_a_mirror_can_be_a_url(make_world: Make) -> None:
    world = make_world(path="games.csv", url="http://127.0.0.1:9/never-asked")
    world.publish(ROWS)
    settings = Settings(data_mirror=world.provider.url.rsplit("/", 1)[0] + "/")
    batch = fetch(world.use_case, "games", month(2), world.lake, world.warehouse, settings, from_environment)
    assert world.validate(batch).rows == 10


def test_the_simulated_league_comes_over_the_same_path(world: World) -> None:
    use_case = load(REPOSITORY / "include" / "use_cases" / "league_demo")
    window = month(4, year=2023, length=3)
    batch = fetch(use_case, "games", window, world.lake, world.warehouse, world.settings, from_environment)
    manifest = json.loads(world.lake.get(batch))
    # The port is another one each time; the manifest names what stays.
    (part,) = manifest["request"]["parts"]
    assert (part["address"], part["provider"]) == ("simulation:league_demo/games", "simulation")
    assert set(manifest["groups"]) == {"schedule", "team_news", "result"}
    assert manifest["faults"] > 0  # bad rows are planted in it
    assert len(world.lake.list("downloads/league_demo/games")) == 2


def test_an_unknown_simulation_is_refused(make_world: Make) -> None:
    with pytest.raises(UnknownProvider):
        make_world(kind="simulation").fetch(month(2))
