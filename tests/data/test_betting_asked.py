"""Betting providers asked by the engine over real HTTP: keys, pages, faults, and a past that is gone."""

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import polars as pl
import pytest
from sqlalchemy import Engine, text

from pennant.data.asking.access import MissingConnection, from_environment
from pennant.data.asking.engine import Asking, retrieve
from pennant.data.connectors.base import Answer
from pennant.data.connectors.kinds import connector_of
from pennant.data.errors import PastUnavailable, SourceDown, SourceMalformed
from pennant.data.items import items_of
from pennant.data.lake import Lake
from pennant.data.reading import read_table
from pennant.declaration.model import Source
from pennant.reference import Window
from pennant.settings import Settings
from pennant.simulation.faults import Fault
from pennant.simulation.serving import Page, Request, running

from .betting_bodies import BODIES, GAMES, KINDS, player, projection, source, use_case

SIGNS = "k3y-of-many+signs/and=more"
KEYED = [kind for kind in KINDS if connector_of(source(kind)).connection is not None]
PRICED = {
    "the_odds_api": "price",
    "espn_scoreboard": "date",
    "sportradar": "scheduled",
    "prizepicks": "line_score",
}
"""A field that every row has, of the kinds whose records a fault of the content can spoil."""


def now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)


def today() -> Window:
    return Window(now() - timedelta(hours=6), now())


def document(content: Any, **headers: str) -> Page:
    return Page(json.dumps(content).encode(), "application/json", headers=headers)


def site(kind: str, secret: str) -> Callable[[Request], Page]:
    """A provider with one game, today; it turns away whoever has no key or asks for what there is not."""

    def answers(request: Request) -> Page:
        key = request.params.get("apiKey") or request.headers.get("x-api-key")
        if kind in KEYED and key != secret:
            return Page(b"{}", "application/json", status=401)
        if kind in {"sportradar", *GAMES}:
            day = f"{now():%Y/%m/%d}" if kind == "sportradar" else f"{now():%Y-%m-%d}"
            if day not in request.path:
                return Page(b"{}", "application/json", status=404)
        if kind in GAMES and request.params["start"] != "0":
            return document(BODIES[kind] | {GAMES[kind]: []})
        return document(BODIES[kind])

    return answers


class Asked:
    """One betting provider of a use case of its own, asked at an address of this machine."""

    def __init__(self, warehouse: Engine, folder: Path) -> None:
        self.warehouse, self.folder = warehouse, folder
        self.name = f"bets_{uuid4().hex[:12]}"
        self.secret = f"{SIGNS}{uuid4().hex}"  # of its own, because a quota belongs to its key

    def answers(self, given: Source, window: Window | None = None) -> list[Answer]:
        settings = Settings(home=self.folder.parent)
        place = Asking(Lake(self.folder.as_uri()), self.warehouse, settings, from_environment)
        return retrieve(use_case(self.name, given), "prices", window or today(), place)

    def items(self, given: Source) -> pl.DataFrame:
        """What landing makes of the answers."""
        table = read_table(self.answers(given), given)
        return items_of(table, f"{self.name}.prices", "here", given)

    def everything(self) -> str:
        """All that was stored: every file of the lake, every row about sources."""
        files = [
            each.read_bytes().decode(errors="replace") for each in self.folder.rglob("*") if each.is_file()
        ]
        with self.warehouse.connect() as connection:
            rows = [
                str(row)
                for table in ("source_health", "source_limits")
                for row in connection.execute(text(f"SELECT * FROM {table}"))
            ]
        return "\n".join([*files, *rows])


@pytest.fixture
def asked(warehouse: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Asked:
    made = Asked(warehouse, tmp_path)
    for name in ("THE_ODDS_API", "SPORTRADAR"):
        connection = json.dumps({"conn_type": "http", "password": made.secret})
        monkeypatch.setenv(f"AIRFLOW_CONN_{name}", connection)
    return made


def planted(kind: str) -> pl.DataFrame:
    given = source(kind)
    at = now()
    content = json.dumps(BODIES[kind]).encode()
    answer = Answer("bets.prices", "here", "part", 0, content, "application/json", given.kind, at)
    return _said(items_of(read_table([answer], given), "bets.prices", "here", given))


def _said(items: pl.DataFrame) -> pl.DataFrame:
    """What items say, whoever said it where and when."""
    names = [name for name in items.columns if name.startswith("text.")]
    return items.select("event_time", *names, faults=pl.col("faults").list.join(";")).sort(pl.all())


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_provider_has_today_becomes_its_rows(asked: Asked, kind: str) -> None:
    with running(site(kind, asked.secret)) as provider:
        items = asked.items(source(kind, url=provider.url))
        assert _said(items).equals(planted(kind))
        assert items["provider"].unique().to_list() == [source(kind).kind]
        assert {status for status, _ in provider.requests} <= {200, 404}


@pytest.mark.parametrize("kind", KEYED)
def test_the_key_goes_to_the_provider_and_nowhere_else(asked: Asked, kind: str) -> None:
    with running(site(kind, asked.secret)) as provider:
        answers = asked.answers(source(kind, url=provider.url))
    assert answers  # so the provider had the key
    assert "k3y-of-many" not in asked.everything() + repr(answers)


@pytest.mark.parametrize("kind", KEYED)
def test_a_missing_key_is_a_clear_error_that_names_its_connection(
    asked: Asked, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = source(kind, url="http://127.0.0.1:9")
    connection = str(connector_of(given).connection)
    monkeypatch.delenv(f"AIRFLOW_CONN_{connection.upper()}")
    with pytest.raises(MissingConnection) as caught:
        asked.answers(given)
    assert caught.value.connection == connection
    assert caught.value.variable == f"AIRFLOW_CONN_{connection.upper()}"
    assert connection in str(caught.value)


def test_a_source_can_have_a_key_of_its_own(asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AIRFLOW_CONN_THE_ODDS_API")
    monkeypatch.setenv("AIRFLOW_CONN_OUR_ODDS", json.dumps({"conn_type": "http", "password": asked.secret}))
    with running(site("the_odds_api", asked.secret)) as provider:
        assert asked.answers(source("the_odds_api", url=provider.url, connection="our_odds"))


@pytest.mark.parametrize("kind", KEYED)
def test_a_wrong_key_is_told_at_once(asked: Asked, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    given = source(kind)
    name = f"AIRFLOW_CONN_{str(given.connection or connector_of(given).connection).upper()}"
    monkeypatch.setenv(name, json.dumps({"conn_type": "http", "password": "another-key-than-that"}))
    with running(site(kind, asked.secret)) as provider, pytest.raises(SourceDown) as caught:
        asked.answers(source(kind, url=provider.url, max_attempts=4))
    assert "401" in caught.value.found
    assert caught.value.attempts == 1


def test_a_quota_that_is_used_up_is_kept_to(asked: Asked) -> None:
    def answers(_: Request) -> Page:
        quota = {"x-requests-remaining": "0", "x-requests-used": "500", "x-requests-last": "2"}
        return document(BODIES["the_odds_api"], **quota)

    with running(answers) as provider:
        given = source("the_odds_api", url=provider.url)
        assert asked.answers(given)
        with pytest.raises(SourceDown) as caught:
            asked.answers(given)
        assert "quota" in caught.value.found
        assert len(provider.requests) == 1


@pytest.mark.parametrize("kind", ["the_odds_api", "prizepicks", *GAMES])
def test_the_prices_of_a_day_that_is_over_cannot_be_had(asked: Asked, kind: str) -> None:
    old = Window(datetime(2020, 1, 1, tzinfo=UTC), datetime(2020, 1, 2, tzinfo=UTC))
    with running(site(kind, asked.secret)) as provider:
        with pytest.raises(PastUnavailable) as caught:
            asked.answers(source(kind, url=provider.url), old)
        assert caught.value.kind == source(kind).kind
        assert provider.requests == []


def test_the_past_of_prices_is_asked_for_at_its_moments(asked: Asked) -> None:
    """Each answer is of the provider's last snapshot, and its rows say which that was."""

    def answers(request: Request) -> Page:
        assert request.path == "/v4/historical/sports/baseball_mlb/odds"
        seen = datetime.fromisoformat(request.params["date"]) - timedelta(minutes=3)
        return document({"timestamp": f"{seen:%Y-%m-%dT%H:%M:%SZ}", "data": BODIES["the_odds_api"]})

    old = Window(datetime(2026, 2, 28, tzinfo=UTC), datetime(2026, 3, 1, tzinfo=UTC))
    seen = {
        "known_at": {"rule": "column", "column": "snapshot_at"},
        "columns": {"price": "float", "snapshot_at": "datetime"},
    }
    given = {"historical": True, "every_hours": 12}
    key = ["quote", "last_update"]
    with running(answers) as provider:
        declared = source("the_odds_api", given, url=provider.url, groups={"prices": seen}, key=key)
        table = read_table(asked.answers(declared, old), declared)
    assert table["text.snapshot_at"].unique().sort().to_list() == [
        "2026-02-28T11:57:00Z",
        "2026-02-28T23:57:00Z",
    ]
    assert table["part"].unique().sort().to_list() == ["odds-20260228T120000Z", "odds-20260301T000000Z"]


def test_all_pages_of_projections_come_together(asked: Asked) -> None:
    players = [player(str(number), f"Player {number}") for number in range(7)]

    def answers(request: Request) -> Page:
        page = int(request.params["page"])
        numbers = range(7)[(page - 1) * 3 : page * 3]
        body = {
            "data": [projection(number, str(number), number + 0.5) for number in numbers],
            "included": [players[number] for number in numbers],
            "meta": {"current_page": page, "total_pages": 3},
        }
        return document(body)

    with running(answers) as provider:
        given = source("prizepicks", {"per_page": 3}, url=provider.url)
        table = read_table(asked.answers(given), given)
    assert table["text.line_score"].to_list() == [f"{number}.5" for number in range(7)]
    assert table["text.player"].to_list() == [f"Player {number}" for number in range(7)]


PASSING: Sequence[Fault] = (
    Fault("status", status=503),
    Fault("status", status=429, retry_after=0),
    Fault("half_body"),
    Fault("dropped"),
)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("fault", PASSING, ids=lambda fault: f"{fault.kind}{fault.status}")
def test_a_passing_fault_leaves_the_right_rows(asked: Asked, kind: str, fault: Fault) -> None:
    with running(site(kind, asked.secret), [fault]) as provider:
        assert _said(asked.items(source(kind, url=provider.url))).equals(planted(kind))


@pytest.mark.parametrize(
    ("kind", "problem"),
    # A single row of words for numbers is a fault of the row; several are one of the table.
    [("the_odds_api", "retyped_column"), ("espn_scoreboard", "no_dates"), ("prizepicks", None)],
)
def test_words_in_the_place_of_numbers_are_named(asked: Asked, kind: str, problem: str | None) -> None:
    words = Fault("retyped", column=PRICED[kind])
    with running(site(kind, asked.secret), [words] * 3) as provider:
        given = source(kind, url=provider.url)
        if problem is not None:
            with pytest.raises(SourceMalformed) as caught:
                asked.items(given)
            assert (caught.value.problem, caught.value.column) == (problem, PRICED[kind])
        else:
            assert asked.items(given)["faults"].to_list() == [[f"not a float: {PRICED[kind]}"]]


@pytest.mark.parametrize("kind", [kind for kind in PRICED if kind != "sportradar"])
@pytest.mark.parametrize(
    ("fault", "problem"),
    [
        ("html", "html"),
        ("empty", "empty"),
        ("encoding", None),
        ("removed", "missing_column"),
        ("renamed", "missing_column"),
        ("added", None),
        ("duplicate", None),
        ("shuffled", None),
    ],
)
def test_a_lasting_fault_is_an_error_or_the_right_rows(
    asked: Asked, kind: str, fault: Any, problem: str | None
) -> None:
    """Rows that are not as they were served say what is wrong with them; none is lost."""
    broken = Fault(fault, column=PRICED[kind], to="utf-16" if fault == "encoding" else "brand_new")
    with running(site(kind, asked.secret), [broken] * 3) as provider:
        given = source(kind, url=provider.url)
        said, found = planted(kind), None
        try:
            said = _said(asked.items(given))
        except SourceMalformed as error:
            found = error.problem
    assert found == problem
    sound = said.filter(pl.col("faults") == "")
    assert sound.join(planted(kind), on=sound.columns, how="anti", nulls_equal=True).height == 0
    assert said.height >= planted(kind).height
