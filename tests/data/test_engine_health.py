"""How sources are can be looked up, and a live source that lags is told."""

import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, text
from typer.testing import CliRunner

from pennant.cli.sources import register
from pennant.data import records
from pennant.data.asking.health import Lag, database_moment, healths, lagging
from pennant.data.errors import SourceDown

from .engine_desk import BODY, Said, Stage, desk, engine

LIVE: dict[str, Any] = {"max_lag_minutes": 5.0, "max_attempts": 1}


def lag_of(asking: Stage, at: datetime) -> Lag | None:
    found = lagging([asking.use_case], asking.place.warehouse, at)
    return found[0] if found else None


def minutes_later(asking: Stage, minutes: float) -> datetime:
    return database_moment(asking.place.warehouse) + timedelta(minutes=minutes)


def test_a_live_source_lags_when_its_last_answer_is_too_old(warehouse: Engine, tmp_path: Path) -> None:
    with desk() as provider:
        asking = engine(warehouse, tmp_path, url=provider.at, **LIVE)
        asking.ask()
    assert lag_of(asking, minutes_later(asking, 4.9)) is None
    lag = lag_of(asking, minutes_later(asking, 6))
    assert lag is not None
    assert (lag.use_case, lag.source, lag.allowed) == (asking.use_case.name, "games", 5)
    assert 6 <= lag.minutes < 6.5
    assert (lag.newest_known, lag.error) == (None, None)


def test_a_provider_that_repeats_itself_lags_although_it_answers(warehouse: Engine, tmp_path: Path) -> None:
    with desk() as provider:
        asking = engine(warehouse, tmp_path, url=provider.at, **LIVE)
        asking.ask()
        newest = minutes_later(asking, -20)
        records.source_learned(warehouse, asking.use_case.name, "games", newest)
        asking.ask()
    lag = lag_of(asking, minutes_later(asking, 0))
    assert lag is not None
    assert 20 <= lag.minutes < 20.5
    assert lag.newest_known == newest


def test_a_source_that_was_asked_in_vain_lags_since_then(warehouse: Engine, tmp_path: Path) -> None:
    with desk(Said(500)) as provider:
        asking = engine(warehouse, tmp_path, url=provider.at, **LIVE)
        assert lag_of(asking, minutes_later(asking, 1000)) is None  # never asked: its Dag is not running
        with pytest.raises(SourceDown):
            asking.ask()
    assert lag_of(asking, minutes_later(asking, 1)) is None
    lag = lag_of(asking, minutes_later(asking, 10))
    assert lag is not None
    assert (lag.last_success, "status 500" in (lag.error or "")) == (None, True)
    assert 10 <= lag.minutes < 10.5


def test_a_source_that_need_not_be_live_never_lags(warehouse: Engine, tmp_path: Path) -> None:
    with desk() as provider:
        asking = engine(warehouse, tmp_path, url=provider.at)
        asking.ask()
    assert lag_of(asking, minutes_later(asking, 1e6)) is None


def test_what_asking_costs_is_counted(warehouse: Engine, tmp_path: Path) -> None:
    with desk(lambda _, number: Said(503) if number == 1 else Said()) as provider:
        asking = engine(warehouse, tmp_path, url=provider.at)
        asking.ask()
        asking.ask()
    (held,) = healths(warehouse, asking.use_case.name)
    assert (held.requests, held.retries, held.bytes) == (3, 1, 2 * len(BODY))
    assert held.latency_ms is not None
    assert held.latency_ms > 0
    assert (held.state, held.breaker, held.answered_by) == ("ok", "closed", "csv")


def shown(warehouse: Engine, *arguments: str) -> str:
    import typer

    app = typer.Typer()
    app.callback()(lambda: None)
    register(app)
    url = warehouse.url.render_as_string(hide_password=False)
    result = CliRunner().invoke(app, ["sources", *arguments, "--database", url])
    assert result.exit_code == 0, result.output
    return result.output


def test_the_command_shows_how_sources_are(warehouse: Engine, tmp_path: Path) -> None:
    rule = {"breaker": {"failures": 1, "open_seconds": 60}, "max_attempts": 1}
    fallback = {"kind": "json", "url": "x"}
    with desk(Said(500)) as first, desk(Said(body=b"[]", headers={"X-Requests-Remaining": "77"})) as second:
        asking = engine(warehouse, tmp_path, url=first.at, fallback=fallback | {"url": second.at}, **rule)
        asking.ask()
    output = shown(warehouse, asking.use_case.name)
    for each in (f"{asking.use_case.name}.games", "fallback", "open since", "json", "77", "status 500"):
        assert each in output.replace("\n", " ")
    (source,) = json.loads(shown(warehouse, asking.use_case.name, "--json"))["sources"]
    assert (source["state"], source["breaker"], source["answered_by"]) == ("fallback", "open", "json")
    assert (source["quota_remaining"], source["lagging"]) == (77, False)
    assert 0 <= source["minutes_behind"] < 1


def test_the_command_says_when_nothing_was_asked(warehouse: Engine) -> None:
    assert "No source was asked yet" in shown(warehouse, "nobody")


def test_a_bracket_in_an_error_is_no_colour(warehouse: Engine, tmp_path: Path) -> None:
    with warehouse.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO source_health (use_case, source, state, consecutive_failures, last_error)"
                " VALUES ('bracketed', 'games', 'failing', 1, '[bold]x[/] [/nothing]')"
            )
        )
    assert "[bold]x[/]" in shown(warehouse, "bracketed")
