"""An alert is told once, never lost with its channel, and cannot be made to say more than it says."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

import pytest
from sqlalchemy import Engine, select, text, update

from pennant.declaration.model import UseCase
from pennant.platform.ports import unused_ports
from pennant.warehouse.tables import system_alerts
from pennant.watch.alerts import AlertEvent, ChannelDown, raise_alert, redeliver
from pennant.watch.console import ConsoleChannel
from pennant.watch.slack import SlackChannel

NOON = datetime(2025, 3, 1, 12, tzinfo=UTC)
EVENT = AlertEvent(
    use_case="league_demo",
    class_="performance",
    severity="warning",
    what="The champion loses more than the gate promised.",
    action="A retrain is requested.",
    as_of=NOON,
    evidence={"promised": 0.55, "newest": 0.84},
    links={"Watch Dag": "http://127.0.0.1:8080/dags/league_demo__watch"},
)


@contextmanager
def slack_server() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """A real HTTP server that speaks chat.postMessage; gives its address and the messages it took."""
    taken: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            taken.append({"path": self.path, **_message(self.headers["Content-Type"], body)})
            answer = json.dumps({"ok": True, "ts": "1.1", "channel": "C1"}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            """Stay quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/api/", taken
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _message(kind: str, body: str) -> dict[str, Any]:
    if kind.startswith("application/json"):
        return dict(json.loads(body))
    return {name: values[0] for name, values in parse_qs(body).items()}


def _channels(base_url: str) -> dict[str, Any]:
    return {"slack": SlackChannel("xoxb-test", "#league-demo", base_url), "console": ConsoleChannel()}


def _dead() -> dict[str, Any]:
    return _channels(f"http://127.0.0.1:{unused_ports(1)[0]}/api/")


def test_the_same_alert_of_the_same_moment_is_told_once(warehouse: Engine, league: UseCase) -> None:
    with slack_server() as (url, taken):
        first = raise_alert(EVENT, league, warehouse, _channels(url))
        again = raise_alert(EVENT, league, warehouse, _channels(url))
    assert first["deliveries"] == {"slack": "delivered", "console": "delivered"}
    assert again["state"] == "repeated"
    assert len(taken) == 1


def test_a_message_says_what_how_bad_what_was_done_and_where_to_click(
    warehouse: Engine, league: UseCase
) -> None:
    with slack_server() as (url, taken):
        raise_alert(EVENT, league, warehouse, _channels(url))
    sent = json.dumps(taken[0])
    assert taken[0]["path"].endswith("chat.postMessage")
    for part in (EVENT.what, EVENT.action, "0.84", "league_demo__watch", "warning"):
        assert part in sent


@pytest.mark.parametrize(("hours", "state"), [(1, "cooling_down"), (23, "cooling_down"), (25, "sent")])
def test_an_alert_cools_down(warehouse: Engine, league: UseCase, hours: int, state: str) -> None:
    raise_alert(EVENT, league, warehouse, {"console": ConsoleChannel()})
    later = replace(EVENT, as_of=NOON + timedelta(hours=hours))
    assert raise_alert(later, league, warehouse, {"console": ConsoleChannel()})["state"] == state


def test_a_dead_channel_fails_nothing_and_the_alert_arrives_later(warehouse: Engine, league: UseCase) -> None:
    assert raise_alert(EVENT, league, warehouse, _dead())["deliveries"]["slack"] == "failed"
    with slack_server() as (url, taken):
        assert redeliver(league, warehouse, _channels(url)) == 1
        assert redeliver(league, warehouse, _channels(url)) == 0
    assert len(taken) == 1


def test_an_alert_whose_sender_died_before_delivery_arrives_later(warehouse: Engine, league: UseCase) -> None:
    raise_alert(EVENT, league, warehouse, {})
    with warehouse.begin() as connection:  # as SIGKILL between the row and the delivery leaves it
        connection.execute(update(system_alerts).values(deliveries={}))
    with slack_server() as (url, taken):
        assert redeliver(league, warehouse, _channels(url)) == 2
    assert len(taken) == 1


def test_a_channel_that_is_not_configured_is_recorded_as_that(warehouse: Engine, league: UseCase) -> None:
    raise_alert(EVENT, league, warehouse, {"console": ConsoleChannel()})
    with warehouse.connect() as connection:
        deliveries = connection.execute(select(system_alerts.c.deliveries)).scalar_one()
    assert deliveries["slack"]["state"] == "not_configured"
    assert redeliver(league, warehouse, {"console": ConsoleChannel()}) == 0


def test_data_cannot_mention_a_channel_or_make_a_link(warehouse: Engine, league: UseCase) -> None:
    planted = replace(EVENT, what="<!channel> <http://x|y> & more", evidence={"<@U1>": "<!here>"})
    with slack_server() as (url, taken):
        raise_alert(planted, league, warehouse, _channels(url))
    body = json.loads(taken[0]["blocks"]) if isinstance(taken[0]["blocks"], str) else taken[0]["blocks"]
    sent = json.dumps(body[1])
    assert "<" not in sent
    assert "&lt;!channel&gt;" in sent


def test_a_refusal_by_slack_names_its_reason() -> None:
    channel = _dead()["slack"]
    with pytest.raises(ChannelDown) as down:
        channel.deliver(EVENT)
    assert down.value.channel == "slack"
    assert "xoxb-test" not in str(down.value)


def test_alerts_outlive_the_task_that_raised_them(warehouse: Engine, league: UseCase) -> None:
    raise_alert(EVENT, league, warehouse, {})
    with warehouse.connect() as connection:
        assert connection.execute(text("SELECT what FROM system_alerts")).scalar_one() == EVENT.what
