"""Tables of no particular provider: databases, JSON and its pages, files; and what their options may be."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine, text

from pennant.data.asking.access import Access, MissingConnection
from pennant.data.connectors.kinds import KINDS, connector_of
from pennant.data.errors import SourceDown, SourceMalformed, SourceMisdeclared

from .conftest import month
from .engine_desk import BODY, Asked, Said, Stage, desk, engine

QUERY = """
SELECT game, played AT TIME ZONE 'UTC' AS day, home, points, note FROM theirs.games
WHERE played > :start AND played <= :as_of ORDER BY game
"""
SCHEMA = (
    "CREATE SCHEMA theirs",
    "CREATE TABLE theirs.games (game text, played timestamptz, home bool, points numeric, note jsonb)",
    """INSERT INTO theirs.games VALUES
        ('g1', '2024-02-11 18:00+00', true, 1.50, '{"a": [1]}'),
        ('g2', '2024-02-29 23:59+00', NULL, NULL, NULL),
        ('g0', '2024-02-01 00:00+00', true, 1, NULL),
        ('g3', '2024-03-01 00:00:01+00', true, 1, NULL)""",
    "CREATE FUNCTION theirs.wipe() RETURNS int LANGUAGE sql AS 'DELETE FROM theirs.games; SELECT 1'",
)


@pytest.fixture(scope="module")
def their_database(new_database: Callable[[], str]) -> str:
    """A database of somebody else, with a table of games."""
    url = new_database().replace("postgresql://", "postgresql+psycopg://")
    theirs = create_engine(url)
    with theirs.begin() as connection:
        for statement in SCHEMA:
            connection.execute(text(statement))
    theirs.dispose()
    return url


def asked(warehouse: Engine, folder: Path, url: str, sql: str, **source: Any) -> Stage:
    access = {"theirs": Access(address=url)}
    return engine(warehouse, folder, access, kind="sql", connection="theirs", sql=sql, **source)


def test_a_query_gives_the_windows_rows_as_text(
    warehouse: Engine, tmp_path: Path, their_database: str
) -> None:
    asking = asked(warehouse, tmp_path, their_database, QUERY)
    (answer,) = asking.ask(month(2))
    source = asking.use_case.sources["games"]
    rows = connector_of(source).read(source, answer)
    assert rows.columns == ["line", "misfit", "game", "day", "home", "points", "note"]
    assert rows.drop("line").rows() == [
        (None, "g1", "2024-02-11T18:00:00", "True", "1.50", '{"a": [1]}'),
        (None, "g2", "2024-02-29T23:59:00", None, None, None),
    ]
    assert answer.content_type.startswith("text/csv")
    assert "@" not in answer.address


def test_a_moment_with_a_zone_is_written_in_utc(
    warehouse: Engine, tmp_path: Path, their_database: str
) -> None:
    sql = "SET TIME ZONE 'Asia/Tokyo'"
    with pytest.raises(SourceDown):
        asked(warehouse, tmp_path, their_database, sql, max_attempts=1).ask()
    sql = "SELECT timestamptz '2024-02-11 03:00+09' AS moment, 1::int8 AS whole"
    (answer,) = asked(warehouse, tmp_path, their_database, sql).ask()
    assert answer.content == b"moment,whole\n2024-02-10T18:00:00+00:00,1\n"


@pytest.mark.parametrize(
    "sql",
    [
        "DELETE FROM theirs.games RETURNING *",
        "WITH gone AS (DELETE FROM theirs.games RETURNING *) SELECT * FROM gone",
        "TRUNCATE theirs.games",
        "SELECT theirs.wipe()",
        "SELECT 1; DELETE FROM theirs.games; COMMIT; SELECT 1",
    ],
)
def test_a_query_cannot_write(warehouse: Engine, tmp_path: Path, their_database: str, sql: str) -> None:
    with pytest.raises(SourceDown) as caught:
        asked(warehouse, tmp_path, their_database, sql).ask()
    assert caught.value.attempts == 1
    theirs = create_engine(their_database)
    with theirs.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM theirs.games")).scalar_one() == 4
    theirs.dispose()


def test_a_query_in_a_file_database_cannot_write(warehouse: Engine, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'games.db'}"
    theirs = create_engine(url)
    with theirs.begin() as connection:
        connection.execute(text("CREATE TABLE games (game, points)"))
        connection.execute(text("INSERT INTO games VALUES ('g1', 1)"))
    theirs.dispose()
    (answer,) = asked(warehouse, tmp_path / "lake", url, "SELECT * FROM games").ask()
    assert answer.content == b"game,points\ng1,1\n"
    with pytest.raises(SourceDown, match="readonly"):
        asked(warehouse, tmp_path / "lake", url, "DELETE FROM games RETURNING game").ask()


def test_a_query_has_its_time(warehouse: Engine, tmp_path: Path, their_database: str) -> None:
    sql = "SELECT pg_sleep(20)"
    with pytest.raises(SourceDown) as caught:
        asked(warehouse, tmp_path, their_database, sql, timeout_seconds=0.3, max_attempts=1).ask()
    assert "timeout" in caught.value.found


@pytest.mark.parametrize(
    ("sql", "found"),
    [
        ("SELECT * FROM nothing", "does not exist"),
        ("SELEC 1", "syntax error"),
        ("SELECT :unknown", "unknown"),
        ("SELECT 1/0", "division by zero"),
    ],
)
def test_a_wrong_query_is_not_tried_again(
    warehouse: Engine, tmp_path: Path, their_database: str, sql: str, found: str
) -> None:
    with pytest.raises(SourceDown) as caught:
        asked(warehouse, tmp_path, their_database, sql).ask()
    assert (caught.value.attempts, found in caught.value.found) == (1, True)


@pytest.mark.parametrize("address", ["", "not a url", "hunter22@host"])
def test_a_connection_without_a_database_is_named_and_not_repeated(
    warehouse: Engine, tmp_path: Path, address: str
) -> None:
    with pytest.raises(MissingConnection) as caught:
        asked(warehouse, tmp_path, address, "SELECT 1").ask()
    assert caught.value.connection == "theirs"
    assert "hunter22" not in str(caught.value)


def test_a_database_that_is_away_does_not_show_its_password(warehouse: Engine, tmp_path: Path) -> None:
    from pennant.platform.ports import unused_ports

    url = f"postgresql://me:hunter22@127.0.0.1:{unused_ports(1)[0]}/db"
    asking = asked(warehouse, tmp_path, url, "SELECT 1", max_attempts=2)
    with pytest.raises(SourceDown) as caught:
        asking.ask()
    assert caught.value.attempts == 2
    assert "hunter22" not in f"{caught.value}{asking.everything()}"


def paged(rows: int, size: int) -> Callable[[Asked, int], Said]:
    """A provider of `rows` records that serves pages by link, token, number and offset."""

    def page(asked: Asked, number: int) -> Said:
        start = int(asked.params.get("offset") or asked.params.get("after") or 0)
        if "page" in asked.params:
            start = (int(asked.params["page"]) - 1) * size
        found = [{"game": f"g{each}"} for each in range(start, min(start + size, rows))]
        end = start + size
        more = (
            {"link": f"/games?offset={end}", "token": str(end)} if end < rows else {"link": None, "token": ""}
        )
        return Said(body=json.dumps({"data": {"games": found}, **more}).encode())

    return page


PAGING: dict[str, dict[str, Any]] = {
    "link": {"paging": "next", "next": "link"},
    "token": {"paging": "next", "next": "token", "parameter": "after"},
    "page": {"paging": "page", "size": 3},
    "page without a size": {"paging": "page"},
    "offset": {"paging": "offset", "size": 3, "size_parameter": "limit"},
}


@pytest.mark.parametrize("rows", [0, 2, 3, 7])
@pytest.mark.parametrize("options", PAGING.values(), ids=PAGING.keys())
def test_every_page_is_asked_for_and_every_record_comes_once(
    warehouse: Engine, tmp_path: Path, options: dict[str, Any], rows: int
) -> None:
    with desk(paged(rows, 3)) as provider:
        given = options | {"records": "data.games"}
        asking = engine(warehouse, tmp_path, kind="json", url=provider.at, options=given)
        answers = asking.ask()
    source = asking.use_case.sources["games"]
    tables = [connector_of(source).read(source, answer) for answer in answers]
    found = [game for table in tables if "game" in table.columns for game in table["game"]]
    assert found == [f"g{number}" for number in range(rows)]
    assert [answer.page for answer in answers] == list(range(len(answers)))


def test_pages_that_lead_in_a_circle_are_malformed(warehouse: Engine, tmp_path: Path) -> None:
    def round_and_round(asked: Asked, number: int) -> Said:
        return Said(body=json.dumps({"rows": [], "next": f"?page={number % 3}"}).encode())

    options = {"paging": "next", "next": "next", "records": "rows"}
    with desk(round_and_round) as provider, pytest.raises(SourceMalformed) as caught:
        engine(warehouse, tmp_path, kind="json", url=provider.at, options=options).ask()
    assert caught.value.problem == "endless"


def test_a_page_that_is_missing_is_never_half_a_table(warehouse: Engine, tmp_path: Path) -> None:
    def stops(asked: Asked, number: int) -> Said:
        return Said(404) if number == 2 else paged(20, 3)(asked, number)

    options = PAGING["link"] | {"records": "data.games"}
    with desk(stops) as provider, pytest.raises(SourceDown, match="status 404"):
        engine(warehouse, tmp_path, kind="json", url=provider.at, options=options).ask()


@pytest.mark.parametrize("body", [b'{"data": 3}', b'{"rows": []}', b"[]", b"3", b'{"data": {"games": {}}}'])
def test_a_document_without_the_records_is_malformed(warehouse: Engine, tmp_path: Path, body: bytes) -> None:
    with desk(Said(body=body)) as provider:
        asking = engine(warehouse, tmp_path, kind="json", url=provider.at, options={"records": "data.games"})
        (answer,) = asking.ask()
    source = asking.use_case.sources["games"]
    with pytest.raises(SourceMalformed) as caught:
        connector_of(source).read(source, answer)
    assert caught.value.problem == "not_records"


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252", "utf-16", "utf-8"])
def test_a_table_is_read_in_its_encoding(warehouse: Engine, tmp_path: Path, encoding: str) -> None:
    with desk(Said(body="game;home\ng1;Bayern München\n".encode(encoding))) as provider:
        options = {"encoding": encoding, "separator": ";"}
        asking = engine(warehouse, tmp_path, url=provider.at, options=options)
        (answer,) = asking.ask()
    source = asking.use_case.sources["games"]
    assert connector_of(source).read(source, answer)["home"].to_list() == ["Bayern München"]


def test_a_file_of_any_storage_can_be_asked_for(warehouse: Engine, tmp_path: Path) -> None:
    (tmp_path / "games.csv").write_bytes(BODY)
    asking = engine(warehouse, tmp_path / "lake", url=(tmp_path / "games.csv").as_uri())
    assert asking.ask()[0].content == BODY


@pytest.mark.parametrize("url", ["file:///nowhere/games.csv", "nonsense://x/y", "s3:///"])
def test_a_file_that_is_not_there_is_down(warehouse: Engine, tmp_path: Path, url: str) -> None:
    with pytest.raises(SourceDown) as caught:
        engine(warehouse, tmp_path, url=url).ask()
    assert caught.value.attempts == 1


WRONG: dict[str, dict[str, Any]] = {
    "csv knows no option 'sep'; allowed: separator": {"options": {"sep": ";"}},
    "one character": {"options": {"separator": ";;"}},
    "a list of names": {"options": {"columns": "game"}},
    "option encoding: found 'utf-7'": {"options": {"encoding": "utf-7"}},
    "option key_in: found 'body'": {"options": {"key_in": "body", "key_name": "k"}, "connection": "c"},
    "the Airflow connection that holds it": {"options": {"key_in": "query", "key_name": "k"}},
    "option key_name needs key_in": {"options": {"key_name": "k"}},
    "allowed in braces are start and as_of": {"url": "http://127.0.0.1/{season}.csv"},
    "needs an address": {"url": None},
    "option paging: found 'magic'": {"kind": "json", "options": {"paging": "magic"}},
    "needs the option next": {"kind": "json", "options": {"paging": "next"}},
    "needs the option size": {"kind": "json", "options": {"paging": "offset"}},
    "a whole number": {"kind": "json", "options": {"paging": "page", "first": "one"}},
    "the text of a query": {"kind": "sql", "connection": "c"},
    "connection of its database": {"kind": "sql", "sql": "SELECT 1"},
}


@pytest.mark.parametrize("words", WRONG)
def test_a_wrong_option_says_what_is_allowed(warehouse: Engine, tmp_path: Path, words: str) -> None:
    given = {"url": "http://127.0.0.1:9/x"} | WRONG[words]
    with pytest.raises(SourceMisdeclared) as caught:
        engine(warehouse, tmp_path, {"c": Access(password="x" * 9)}, **given).ask()
    assert words in "; ".join(caught.value.problems)


def test_every_kind_that_can_be_declared_has_its_connector() -> None:
    from typing import get_args

    from pennant.declaration.model_data import Kind

    assert sorted(KINDS) == sorted(get_args(Kind))
