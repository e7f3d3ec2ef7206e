"""A secret goes to its provider and nowhere else: not into answers, files, rows, errors or logs."""

import json
import logging
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import Engine

from pennant.data.asking.access import Access, MissingConnection, from_environment
from pennant.data.errors import SourceDown
from pennant.errors import PennantError
from pennant.platform.ports import unused_ports

from .engine_desk import BODY, Asked, Said, Stage, desk, engine

SECRET = "s3cr3t+key/with=signs&more"  # has to be written differently in a URL
SPELLINGS = ("s3cr3t+key", "s3cr3t%2Bkey", "with=signs", "with%3Dsigns")
ACCESS = {"their_key": Access(password=SECRET)}
WHERE = {
    "query": {"key_in": "query", "key_name": "apiKey"},
    "header": {"key_in": "header", "key_name": "Authorization", "key_prefix": "Bearer "},
}


def keyed(warehouse: Engine, folder: Path, url: str, where: str, **source: object) -> Stage:
    given = {"connection": "their_key", "options": WHERE[where], "max_attempts": 1} | source
    return engine(warehouse, folder, ACCESS, url=url, **given)


def given_to(asked: Asked) -> str | None:
    return (
        asked.params.get("apiKey") or asked.headers.get("authorization", "").removeprefix("Bearer ") or None
    )


def leaks(asking: Stage, caplog: pytest.LogCaptureFixture, error: BaseException | None = None) -> list[str]:
    """Every spelling of the secret in what the engine left behind."""
    said = [record.getMessage() for record in caplog.records]
    if error is not None:
        said += [str(error), repr(error), "".join(traceback.format_exception(error)), repr(vars(error))]
    text = "\n".join([*said, asking.everything()])
    return [each for each in SPELLINGS if each in text]


@pytest.fixture(autouse=True)
def _hears_everything(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    for name in ("httpx", "httpcore"):  # another test may have made them quieter
        caplog.set_level(logging.DEBUG, logger=name)


@pytest.mark.parametrize("where", WHERE)
def test_the_provider_gets_the_key_and_nothing_else_does(
    warehouse: Engine, tmp_path: Path, caplog: pytest.LogCaptureFixture, where: str
) -> None:
    with desk(Said(headers={"ETag": '"a"'})) as provider:
        asking = keyed(warehouse, tmp_path, provider.at, where)
        (answer,) = asking.ask()
    assert given_to(provider.asked[0]) == SECRET
    assert answer.address == provider.at
    assert SECRET not in repr(answer)
    assert any("HTTP Request" in record.getMessage() for record in caplog.records)  # it is logged
    assert leaks(asking, caplog) == []


def echo(asked: Asked, number: int) -> Said:
    return Said(
        headers={"Content-Type": f"text/csv; you={given_to(asked)}"}, body=str(given_to(asked)).encode()
    )


FAULTS: dict[str, Callable[[Asked, int], Said]] = {
    "refused": lambda asked, _: Said(401, body=f"bad key {given_to(asked)}".encode()),
    "busy": lambda _, __: Said(503),
    "half": lambda _, __: Said(cut=3),
    "reason": lambda asked, _: Said(raw=f"HTTP/1.1 403 key {given_to(asked)}\r\n\r\n".encode()),
    "to its own with the key": lambda asked, _: Said(
        302, headers={"Location": f"http://127.0.0.1:1/?k={asked.params.get('apiKey')}"}
    ),
    "to another scheme": lambda asked, _: Said(302, headers={"Location": f"file:///{given_to(asked)}"}),
    "round and round": lambda _, number: Said(302, headers={"Location": f"/{number}"}),
}


@pytest.mark.parametrize("where", WHERE)
@pytest.mark.parametrize("fault", FAULTS)
def test_no_failure_repeats_the_key(
    warehouse: Engine, tmp_path: Path, caplog: pytest.LogCaptureFixture, where: str, fault: str
) -> None:
    with desk(FAULTS[fault]) as provider:
        asking = keyed(warehouse, tmp_path, provider.at, where)
        with pytest.raises(SourceDown) as caught:
            asking.ask()
    assert leaks(asking, caplog, caught.value) == []


def test_nobody_there_is_no_reason_to_repeat_the_key(
    warehouse: Engine, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    asking = keyed(warehouse, tmp_path, f"http://127.0.0.1:{unused_ports(1)[0]}/x", "query")
    with pytest.raises(SourceDown) as caught:
        asking.ask()
    assert leaks(asking, caplog, caught.value) == []


@pytest.mark.parametrize("where", WHERE)
def test_an_answer_that_repeats_the_key_is_kept_without_it(
    warehouse: Engine, tmp_path: Path, caplog: pytest.LogCaptureFixture, where: str
) -> None:
    with desk(echo) as provider:
        asking = keyed(warehouse, tmp_path, provider.at, where, cache_seconds=60)
        (answer,) = asking.ask()
    assert (answer.content, answer.content_type) == (b"***", "text/csv; you=***")
    assert leaks(asking, caplog) == []


@pytest.mark.parametrize("where", WHERE)
def test_a_redirect_to_another_host_goes_without_the_key(
    warehouse: Engine, tmp_path: Path, caplog: pytest.LogCaptureFixture, where: str
) -> None:
    def onward(asked: Asked, number: int) -> Said:
        return Said(302, headers={"Location": f"{other.url}/there?apiKey={asked.params.get('apiKey', '')}"})

    with desk() as other, desk(onward) as provider:
        asking = keyed(warehouse, tmp_path, provider.at, where)
        # The same key in its old place is taken off; another port of a host is another host.
        assert asking.ask()[0].content == BODY
    assert (given_to(provider.asked[0]), given_to(other.asked[0])) == (SECRET, None)
    assert leaks(asking, caplog) == []


@pytest.mark.parametrize("where", WHERE)
def test_a_redirect_within_the_host_keeps_the_key(warehouse: Engine, tmp_path: Path, where: str) -> None:
    def moved(asked: Asked, number: int) -> Said:
        return Said() if asked.path == "/new" else Said(301, headers={"Location": "/new?page=1"})

    with desk(moved) as provider:
        keyed(warehouse, tmp_path, provider.at, where).ask()
    assert [given_to(asked) for asked in provider.asked] == [SECRET, SECRET]


def test_a_link_to_the_next_page_may_repeat_the_key(
    warehouse: Engine, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def paged(asked: Asked, number: int) -> Said:
        more = f"{provider.url}/games?page=2&apiKey={asked.params['apiKey']}" if number == 0 else None
        return Said(body=json.dumps({"rows": [{"game": number}], "next": more}).encode())

    options = WHERE["query"] | {"paging": "next", "records": "rows", "next": "next"}
    with desk(paged) as provider:
        asking = keyed(warehouse, tmp_path, provider.at, "query", kind="json", options=options)
        answers = asking.ask()
    assert [asked.params for asked in provider.asked] == [{"apiKey": SECRET}, {"apiKey": SECRET, "page": "2"}]
    assert [answer.address for answer in answers] == [provider.at, f"{provider.at}?page=2"]
    assert leaks(asking, caplog) == []


@pytest.mark.parametrize("secret", ["two\nlines", "schlüssel-über-alles"])
def test_a_key_that_no_request_can_carry_names_the_connection(
    warehouse: Engine, tmp_path: Path, caplog: pytest.LogCaptureFixture, secret: str
) -> None:
    with desk() as provider:
        given = {"their_key": Access(password=secret)}
        asking = engine(
            warehouse, tmp_path, given, url=provider.at, connection="their_key", options=WHERE["header"]
        )
        with pytest.raises(MissingConnection) as caught:
            asking.ask()
    assert secret not in f"{caught.value}{caught.value!r}{caplog.text}"


@pytest.mark.parametrize("access", [{}, {"their_key": Access(login="somebody")}])
def test_a_missing_key_names_the_connection_and_where_to_put_it(
    warehouse: Engine, tmp_path: Path, access: dict[str, Access]
) -> None:
    with desk() as provider:
        asking = engine(
            warehouse, tmp_path, access, url=provider.at, connection="their_key", options=WHERE["query"]
        )
        with pytest.raises(MissingConnection) as caught:
            asking.ask()
        assert provider.asked == []
    assert (caught.value.connection, caught.value.variable) == ("their_key", "AIRFLOW_CONN_THEIR_KEY")
    assert "AIRFLOW_CONN_THEIR_KEY" in str(caught.value)
    assert asking.health()["state"] == "failing"
    assert asking.health()["last_error"] == str(caught.value)


def test_a_mirror_of_the_data_wants_no_key(warehouse: Engine, tmp_path: Path) -> None:
    (tmp_path / "mirror").mkdir()
    (tmp_path / "mirror" / "games.csv").write_bytes(BODY)
    source = {"connection": "their_key", "options": WHERE["query"], "path": "games.csv"}
    asking = engine(warehouse, tmp_path / "lake", {}, url="https://example.org/games.csv", **source)
    object.__setattr__(asking.place.settings, "data_mirror", str(tmp_path / "mirror"))
    assert asking.ask()[0].content == BODY


def test_a_connection_shows_only_its_login() -> None:
    held = Access("postgresql://me:hunter22@host/db", "me", "hunter22", {"token": "hunter23"})
    assert repr(held) == "Access(login='me')"


@pytest.mark.parametrize(
    ("value", "address", "secret"),
    [
        ("http://:hunter22@api.example.org", "api.example.org", "hunter22"),
        ("http://me:a%40b@api.example.org/?timeout=3", "api.example.org", "a@b"),
        ('{"conn_type": "http", "password": "hunter22"}', "", "hunter22"),
        ('{"conn_type": "http", "extra": "{\\"api_key\\": \\"hunter22\\"}"}', "", "hunter22"),
        ('{"conn_type": "http", "extra": {"token": "hunter22"}}', "", "hunter22"),
        ("postgres://me:a%40b@host:5432/db", "postgresql+psycopg://me:a%40b@host:5432/db", "a@b"),
        (
            '{"conn_type": "postgres", "login": "me", "password": "a@b", "host": "host", "port": 5433, '
            '"schema": "db"}',
            "postgresql+psycopg://me:a%40b@host:5433/db",
            "a@b",
        ),
        ("sqlite:////data/games.db", "sqlite:////data/games.db", ""),
    ],
)
def test_a_connection_of_the_environment_is_read_as_airflow_reads_it(
    monkeypatch: pytest.MonkeyPatch, value: str, address: str, secret: str
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_THEIRS", value)
    held = from_environment("theirs")
    assert (held.address, held.secret) == (address, secret)


@pytest.mark.parametrize("value", ["", "hunter22", "{hunter22", '{"extra": "hunter22"}', '["hunter22"]'])
def test_a_connection_that_cannot_be_read_is_not_repeated(
    monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_THEIRS", value)
    with pytest.raises(PennantError) as caught:
        from_environment("theirs")
    assert isinstance(caught.value, MissingConnection)
    assert "hunter22" not in "".join(traceback.format_exception(caught.value))
