"""Asking over HTTP: every fault of a provider ends in a whole answer or a clear error."""

import asyncio
import gzip
import io
import socketserver
import threading
import time
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine

from pennant.data.asking import archives
from pennant.data.asking.http import Client, Refused
from pennant.data.asking.masking import Secrets
from pennant.data.errors import PastUnavailable, SourceDown, SourceMalformed, SourceMisdeclared
from pennant.reference import Window

from .conftest import month
from .engine_desk import BODY, Asked, Said, desk, engine


def then(*first: Said) -> Callable[[Asked, int], Said]:
    return lambda _, number: first[number] if number < len(first) else Said()


PASSING = {
    **{f"status {status}": Said(status) for status in (408, 429, 500, 503)},
    "no answer": Said(raw=b""),
    "half a body": Said(cut=20),
    "half a compressed body": Said(
        raw=b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n" + gzip.compress(BODY * 9)[:-20]
    ),
    "chunks that stop": Said(raw=b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\ngame,\r\n"),
    "something that is no HTTP": Said(raw=b"SSH-2.0-OpenSSH_9.6\r\n"),
    "half of the headers": Said(raw=b"HTTP/1.1 200 OK\r\nContent-Le"),
}


@pytest.mark.parametrize("fault", PASSING.values(), ids=PASSING.keys())
def test_a_passing_fault_ends_in_the_whole_answer(warehouse: Engine, tmp_path: Path, fault: Said) -> None:
    with desk(then(fault)) as provider:
        asking = engine(warehouse, tmp_path, url=provider.at)
        (answer,) = asking.ask()
    assert answer.content == BODY
    assert len(provider.asked) == 2
    assert (asking.health()["requests"], asking.health()["retries"]) == (2, 1)


@pytest.mark.parametrize("name", ["status 503", "no answer", "half a body", "half a compressed body"])
def test_a_lasting_fault_is_an_error_and_nothing_is_kept(
    warehouse: Engine, tmp_path: Path, name: str
) -> None:
    with desk(PASSING[name]) as provider:
        asking = engine(warehouse, tmp_path, url=provider.at)
        with pytest.raises(SourceDown) as caught:
            asking.ask()
    assert caught.value.attempts == 2
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    health = asking.health()
    assert (health["state"], health["consecutive_failures"]) == ("failing", 1)
    assert health["last_error"] == str(caught.value)


@pytest.mark.parametrize("status", [204, 206, 400, 401, 403, 404, 410, 501])
def test_a_refusal_is_not_tried_again(warehouse: Engine, tmp_path: Path, status: int) -> None:
    with desk(Said(status)) as provider, pytest.raises(SourceDown) as caught:
        engine(warehouse, tmp_path, url=provider.at).ask()
    assert (str(status) in caught.value.found, caught.value.attempts) == (True, 1)


@pytest.mark.parametrize("drip", [b"g,\n", b"X-Odd: 1\r\n"], ids=["in the body", "in the headers"])
def test_an_attempt_has_its_time_however_slowly_bytes_drip(
    warehouse: Engine, tmp_path: Path, drip: bytes
) -> None:
    closing = threading.Event()

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self.rfile.readline()
            start = b"HTTP/1.1 200 OK\r\n" + (b"\r\n" if drip == b"g,\n" else b"")
            self.wfile.write(start)
            while not closing.wait(0.02):
                try:
                    self.wfile.write(drip)
                except OSError:
                    return

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_address[1]}/games.csv"
        begun = time.monotonic()
        with pytest.raises(SourceDown, match=r"timeout_seconds = 0\.3"):
            engine(warehouse, tmp_path, url=url, timeout_seconds=0.3, max_attempts=1).ask()
        assert time.monotonic() - begun < 5
        closing.set()
        server.shutdown()


def test_a_fetch_has_its_deadline_whatever_is_left_to_ask(warehouse: Engine, tmp_path: Path) -> None:
    closing = threading.Event()

    def silent(asked: Asked, number: int) -> Said:
        closing.wait(20)
        return Said()

    with desk(silent) as provider:
        asking = engine(warehouse, tmp_path, url=provider.at, timeout_seconds=60, deadline_seconds=0.4)
        with pytest.raises(SourceDown, match=r"deadline_seconds = 0\.4"):
            asking.ask()
        closing.set()
    assert asking.health()["state"] == "failing"


def test_parts_are_asked_for_at_the_same_time_over_few_connections(warehouse: Engine, tmp_path: Path) -> None:
    together = threading.Barrier(4, timeout=20)

    def all_at_once(asked: Asked, number: int) -> Said:
        together.wait()  # nobody is answered before four have come
        return Said(body=asked.path.encode())

    with desk(all_at_once) as provider:
        asking = engine(
            warehouse,
            tmp_path,
            kind="eth_ucy",
            url=provider.url,
            options={"recordings": ["biwi_eth", "biwi_hotel", "students001", "students003"]},
        )
        answers = asking.ask()
    assert [answer.part for answer in answers] == ["biwi_eth", "biwi_hotel", "students001", "students003"]
    assert [answer.content.decode() for answer in answers] == [f"/{answer.part}.txt" for answer in answers]


def test_one_part_that_is_missing_is_never_half_a_table(warehouse: Engine, tmp_path: Path) -> None:
    def one_gone(asked: Asked, number: int) -> Said:
        return Said(404) if "hotel" in asked.path else Said()

    options = {"recordings": ["biwi_eth", "biwi_hotel", "students001"]}
    with desk(one_gone) as provider, pytest.raises(SourceDown) as caught:
        engine(warehouse, tmp_path, kind="eth_ucy", url=provider.url, options=options).ask()
    assert caught.value.address == f"{provider.url}/biwi_hotel.txt"


def test_what_has_not_changed_is_not_sent_again(warehouse: Engine, tmp_path: Path) -> None:
    def tagged(asked: Asked, number: int) -> Said:
        return Said(304 if asked.headers.get("if-none-match") == '"a"' else 200, headers={"ETag": '"a"'})

    with desk(tagged) as provider:
        asking = engine(warehouse, tmp_path, url=provider.at)
        (first,), (second,) = asking.ask(), asking.ask()
    assert second == first  # also the moment at which it was first given
    assert asking.health()["bytes"] == len(BODY)


def test_a_young_answer_is_not_asked_for_again_until_it_is_old(warehouse: Engine, tmp_path: Path) -> None:
    with desk() as provider:
        asking = engine(warehouse, tmp_path, url=provider.at, cache_seconds=3600)
        first = asking.ask()
        assert asking.ask() == first
        assert len(provider.asked) == 1
        for pointer in tmp_path.rglob("latest.json"):
            old = first[0].retrieved_at - timedelta(hours=2)
            pointer.write_text(
                pointer.read_text().replace(first[0].retrieved_at.isoformat(), old.isoformat())
            )
        asking.ask()
        assert len(provider.asked) == 2


def test_an_answer_to_another_question_is_no_answer_to_this_one(warehouse: Engine, tmp_path: Path) -> None:
    with desk(lambda asked, _: Said(body=asked.params["to"].encode())) as provider:
        url = f"{provider.url}/games?to={{as_of:%Y-%m-%d}}"
        asking = engine(warehouse, tmp_path, url=url, cache_seconds=3600)
        bodies = [asking.ask(month(number))[0].content for number in (2, 3, 2)]
    assert bodies == [b"2024-03-01", b"2024-04-01", b"2024-03-01"]


def test_a_304_that_nobody_asked_for_is_an_error(warehouse: Engine, tmp_path: Path) -> None:
    with desk(Said(304)) as provider, pytest.raises(SourceDown, match="unconditional"):
        engine(warehouse, tmp_path, url=provider.at).ask()


def zipped(*tables: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for number, table in enumerate(tables):
            archive.writestr(f"folder/{number}.csv", table)
    return out.getvalue()


@pytest.mark.parametrize("pack", [gzip.compress, zipped, bytes], ids=["gzip", "zip", "plain"])
def test_an_archive_of_one_table_is_unpacked(
    warehouse: Engine, tmp_path: Path, pack: Callable[[bytes], bytes]
) -> None:
    with desk(Said(body=pack(BODY))) as provider:
        assert engine(warehouse, tmp_path, url=provider.at).ask()[0].content == BODY


BOMB = bytes(archives.MAX_BYTES + 1)


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (lambda: gzip.compress(BOMB, 1), "too_large"),
        (lambda: gzip.compress(BODY)[:-9], "truncated"),
        (lambda: zipped(BODY)[:-9], "truncated"),
        (lambda: zipped(BODY, BODY), "too_many"),
        (zipped, "too_many"),
    ],
    ids=["gzip bomb", "half a gzip", "half a zip", "two tables", "no table"],
)
def test_a_bad_archive_is_malformed(
    warehouse: Engine, tmp_path: Path, body: Callable[[], bytes], problem: str
) -> None:
    with desk(Said(body=body())) as provider, pytest.raises(SourceMalformed) as caught:
        engine(warehouse, tmp_path, url=provider.at).ask()
    assert caught.value.problem == problem


@pytest.mark.parametrize("pack", [gzip.compress, zipped], ids=["gzip", "zip"])
@given(size=st.integers(0, 3000), limit=st.integers(1, 2000))
def test_nothing_is_unpacked_beyond_its_limit(pack: Callable[[bytes], bytes], size: int, limit: int) -> None:
    if size <= limit:
        assert archives.unpacked(pack(bytes(size)), limit) == bytes(size)
        return
    with pytest.raises(archives.BadArchive) as caught:
        archives.unpacked(pack(bytes(size)), limit)
    assert caught.value.problem == "too_large"


@pytest.mark.parametrize("target", ["file:///etc/passwd", "ftp://127.0.0.1/x", "gopher://127.0.0.1/x"])
def test_a_redirect_to_another_scheme_is_refused(warehouse: Engine, tmp_path: Path, target: str) -> None:
    refused = pytest.raises(SourceDown, match="a redirect from http to")
    with desk(Said(302, headers={"Location": target})) as provider, refused:
        engine(warehouse, tmp_path, url=provider.at).ask()


@pytest.mark.parametrize(
    ("location", "refused"),
    [
        ("http://example.org/x", True),  # from https to http
        ("https://127.0.0.1/x", True),
        ("https://localhost/x", True),
        ("https://169.254.169.254/latest/meta-data", True),
        ("https://10.0.0.7/x", True),
        ("https://[::1]/x", True),
        ("https://[fd00::1]/x", True),
        ("https://8.8.8.8/x", False),
        ("https://other.example/x", False),
        ("/x", False),
        ("//other.example/x", False),
    ],
)
def test_no_redirect_leads_from_outside_into_the_network(location: str, refused: bool) -> None:
    client, url = Client(None, Secrets()), httpx.URL("https://example.org/games.csv")
    if not refused:
        assert client._onward(url, location).path == "/x"
        return
    with pytest.raises(Refused):
        client._onward(url, location)


def test_redirects_are_followed_but_not_for_ever(warehouse: Engine, tmp_path: Path) -> None:
    def there(asked: Asked, number: int) -> Said:
        return Said() if asked.path == "/moved" else Said(301, headers={"Location": "/moved"})

    with desk(there) as provider:
        assert engine(warehouse, tmp_path, url=provider.at).ask()[0].content == BODY
    refused = pytest.raises(SourceDown, match="redirects")
    with desk(lambda _, number: Said(302, headers={"Location": f"/{number}"})) as provider, refused:
        engine(warehouse, tmp_path, url=provider.at).ask()


def test_a_user_or_password_in_a_url_is_refused_without_repeating_it(
    warehouse: Engine, tmp_path: Path
) -> None:
    with pytest.raises(SourceMisdeclared) as caught:
        engine(warehouse, tmp_path, url="https://someone:hunter22@example.org/games.csv").ask()
    assert "hunter22" not in str(caught.value)


@pytest.mark.parametrize("path", ["../secret.csv", "a/../../secret.csv", "/etc/passwd"])
def test_a_path_does_not_leave_the_mirror(warehouse: Engine, tmp_path: Path, path: str) -> None:
    (tmp_path / "mirror").mkdir()
    (tmp_path / "secret.csv").write_bytes(BODY)
    asking = engine(warehouse, tmp_path / "lake", path=path)
    object.__setattr__(asking.place.settings, "data_mirror", str(tmp_path / "mirror"))
    with pytest.raises(SourceMisdeclared, match="leaves the mirror"):
        asking.ask()


def test_a_provider_that_only_knows_today_says_that_its_past_is_gone(
    warehouse: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pennant.data.connectors.generic import Csv

    monkeypatch.setattr(Csv, "history", "today")
    now = datetime.now(UTC).replace(microsecond=0)
    with desk() as provider:
        asking = engine(warehouse, tmp_path, url=provider.at)
        with pytest.raises(PastUnavailable) as caught:
            asking.ask(month(2))
        assert (caught.value.kind, caught.value.as_of) == ("csv", month(2).as_of)
        assert provider.asked == []
        assert asking.ask(Window(now - timedelta(minutes=5), now))[0].content == BODY


def test_the_engine_can_be_asked_from_within_a_loop(warehouse: Engine, tmp_path: Path) -> None:
    async def within() -> bytes:
        return asking.ask()[0].content

    with desk() as provider:
        asking = engine(warehouse, tmp_path, url=provider.at)
        assert asyncio.run(within()) == BODY
