"""Each fault of a provider ends, through the real engine and reader, in the right table or a clear error."""

import io
import json
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine, text

from pennant.data.asking.access import from_environment
from pennant.data.asking.engine import Asking, retrieve
from pennant.data.connectors.base import Answer
from pennant.data.errors import SourceDown, SourceMalformed, Throttled
from pennant.data.items import items_of
from pennant.data.lake import Lake
from pennant.data.reading import read_table
from pennant.declaration.model import DataUseCase
from pennant.reference import Window
from pennant.settings import Settings
from pennant.simulation.faults import CONTENT, Fault, Plan, Rule, UnplannedFault
from pennant.simulation.provider import PLANS, run
from pennant.simulation.spoiling import spoiled
from pennant.simulation.table import publish

AS_OF = datetime(2023, 1, 20, tzinfo=UTC)
WINDOW = Window(AS_OF - timedelta(days=5), AS_OF)
TABLE = publish(AS_OF)


def read(content: bytes) -> pl.DataFrame:
    return pl.read_csv(io.BytesIO(content), infer_schema=False)


@pytest.fixture
def demo(league_demo: DataUseCase, warehouse: Engine, tmp_path: Path) -> Callable[..., list[Answer]]:
    """Asks the engine for the demo's table, once, in a use case of its own; `change` changes the source."""

    def ask(url: str | None, window: Window = WINDOW, **change: Any) -> list[Answer]:
        games = league_demo.sources["games"]
        if url is not None:
            games = games.model_copy(update={"kind": "csv", "url": url})
        games = games.model_copy(update={"max_attempts": 2, **change})
        name = league_demo.name if url is None else f"faulty_{uuid4().hex[:12]}"
        case = league_demo.model_copy(update={"name": name, "sources": {"games": games}})
        place = Asking(Lake(tmp_path.as_uri()), warehouse, Settings(home=tmp_path), from_environment)
        return retrieve(case, "games", window, place)

    return ask


def table_of(answers: list[Answer], league_demo: DataUseCase) -> pl.DataFrame:
    return read_table(answers, league_demo.sources["games"])


def items(answers: list[Answer], league_demo: DataUseCase) -> pl.DataFrame:
    source = league_demo.sources["games"]
    return items_of(table_of(answers, league_demo), "league_demo.games", "here", source)


PASSING = {
    "refused": Fault("status", status=503),
    "busy": Fault("status", status=429, retry_after=0),
    "busy until a moment that is past": Fault("status", status=429, retry_after=AS_OF),
    "half": Fault("half_body"),
    "dropped": Fault("dropped"),
    "slow": Fault("slow", seconds=60),
    "dripping": Fault("drip", seconds=60),
}


@pytest.mark.parametrize("fault", PASSING.values(), ids=PASSING.keys())
def test_what_passes_ends_in_the_whole_table(demo: Any, fault: Fault) -> None:
    with run(lambda _: TABLE, [fault]) as provider:
        (answer,) = demo(provider.url, timeout_seconds=1)
    assert answer.content == TABLE
    assert len(provider.requests) == 2


def test_a_drip_that_is_quick_enough_is_a_whole_table(demo: Any) -> None:
    with run(lambda _: TABLE, [Fault("drip", seconds=0.2)]) as provider:
        (answer,) = demo(provider.url, timeout_seconds=30)
    assert (answer.content, len(provider.requests)) == (TABLE, 1)


@pytest.mark.parametrize("name", PASSING)
def test_what_lasts_ends_in_an_error_that_names_the_provider(demo: Any, name: str) -> None:
    plan = Plan((Rule(PASSING[name], times=99),))
    with run(lambda _: TABLE, plan) as provider, pytest.raises(SourceDown) as down:
        demo(provider.url, timeout_seconds=0.3)
    assert down.value.attempts == 2
    assert provider.url in str(down.value)


@pytest.mark.parametrize("as_date", [False, True])
def test_a_wish_that_is_longer_than_the_deadline_ends_the_asking_at_once(demo: Any, as_date: bool) -> None:
    later: Any = datetime.now(UTC) + timedelta(hours=1) if as_date else 3600
    plan = [Fault("status", status=429, retry_after=later)]
    with run(lambda _: TABLE, plan) as provider, pytest.raises(Throttled):
        demo(provider.url, deadline_seconds=20)
    assert [status for status, _ in provider.requests] == [429]


REFUSED = {
    "a page": (Fault("html"), "html", None),
    "nothing": (Fault("empty"), "empty", None),
    "two bytes a letter": (Fault("encoding", to="utf-16"), "not_text", None),
    "no column": (Fault("removed", column="home_team"), "missing_column", "home_team"),
    "words": (Fault("retyped", column="home_goals"), "retyped_column", "home_goals"),
    "another name": (Fault("renamed", column="home_team", to="home_side"), "missing_column", "home_team"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_table_of_ours_is_refused_by_name(demo: Any, league_demo: DataUseCase, name: str) -> None:
    fault, problem, column = REFUSED[name]
    with run(lambda _: TABLE, [fault]) as provider, pytest.raises(SourceMalformed) as refused:
        table_of(demo(provider.url), league_demo)
    assert (refused.value.problem, refused.value.column) == (problem, column)
    assert refused.value.nearest in {None, "home_side"}


def test_a_new_column_and_another_order_change_no_value(demo: Any, league_demo: DataUseCase) -> None:
    def content(fault: Fault | None) -> pl.DataFrame:
        with run(lambda _: TABLE, [fault]) as provider:
            found = items(demo(provider.url), league_demo)
        # A doubled or undated row is told by its place in the table, so those are left aside.
        return (
            found.filter(pl.col("faults").list.len() == 0).select("item", "digest", "known_at").sort("item")
        )

    well = content(None)
    assert content(Fault("added")).equals(well)
    assert content(Fault("shuffled", seed=3)).equals(well)


def test_every_copy_of_a_row_is_named(demo: Any, league_demo: DataUseCase) -> None:
    def doubled(fault: Fault | None) -> int:
        with run(lambda _: TABLE, [fault]) as provider:
            found = items(demo(provider.url), league_demo).filter(pl.col("group") == "result")
        return found.filter(pl.col("faults").list.contains("duplicate key")).height

    before = doubled(None)
    fault = Fault("duplicate", share=0.2, seed=5)
    more = read(spoiled(TABLE, fault)).height - read(TABLE).height
    assert more > 20
    assert before < doubled(fault) <= before + more
    assert doubled(Fault("contradiction", column="home_goals", share=0.2, seed=5)) > before


@pytest.mark.parametrize("kind", [kind for kind in CONTENT if kind != "encoding"])
def test_a_spoiled_document_is_spoiled_like_a_table(kind: Any) -> None:
    fault = Fault(kind, column="at", to="when", seconds=60, share=0.5, seed=1)
    moments = [f"2026-03-01T10:{minute:02}:00Z" for minute in range(30)]
    rows = [{"id": str(number), "at": at} for number, at in enumerate(moments)]
    table = spoiled(("id,at\n" + "".join(f"{r['id']},{r['at']}\n" for r in rows)).encode(), fault)
    document = json.loads(spoiled(json.dumps({"events": rows, "meta": 1}).encode(), fault))
    assert document["meta"] == 1
    assert document["events"] == read(table).to_dicts() != rows
    assert json.loads(spoiled(json.dumps(rows).encode(), fault)) == document["events"]


def test_a_clock_that_is_ahead_moves_moments_at_any_depth() -> None:
    body = [{"books": [{"last_update": "2026-03-01T10:00:00Z", "n": 1}]}]
    found = json.loads(spoiled(json.dumps(body).encode(), Fault("skewed", column="last_update", seconds=90)))
    assert found == [{"books": [{"last_update": "2026-03-01T10:01:30Z", "n": 1}]}]


def test_a_moment_of_coming_back_is_told_as_a_date() -> None:
    with run(lambda _: TABLE, [Fault("status", status=429, retry_after=AS_OF)]) as provider:
        told = httpx.get(provider.url)
    assert (told.status_code, parsedate_to_datetime(told.headers["retry-after"])) == (429, AS_OF)


def test_a_plan_that_could_not_be_kept_is_refused() -> None:
    with pytest.raises(UnplannedFault) as refused:
        Fault("removed")
    assert refused.value.field == "removed.column"
    with pytest.raises(UnplannedFault):
        Plan((Rule(Fault("html"), share=0.7), Rule(Fault("empty"), share=0.7)))
    with pytest.raises(UnplannedFault) as absent:
        spoiled(TABLE, Fault("removed", column="home_taem"))
    assert absent.value.found == "home_taem"


@given(st.integers(0, 2**40), st.text(max_size=20), st.floats(0, 0.5), st.integers(1, 3))
def test_what_an_address_meets_depends_on_nothing_else(seed: int, at: str, share: float, times: int) -> None:
    plan = Plan((Rule(Fault("html"), share, times), Rule(Fault("empty"), 0.5, times)), seed)
    met = [plan.fault(at, before) for before in range(5)]
    assert met == [plan.fault(at, before) for before in range(5)]
    assert met[times:] == [None] * (5 - times)
    assert len({fault is None for fault in met[:times]}) == 1


def test_the_rules_of_a_plan_get_their_shares() -> None:
    plan = Plan((Rule(Fault("html"), 0.3), Rule(Fault("empty"), 0.1)), seed=1)
    met = Counter(fault and fault.kind for fault in (plan.fault(f"/{n}", 0) for n in range(5000)))
    assert met["html"] == pytest.approx(1500, abs=130)
    assert met["empty"] == pytest.approx(500, abs=90)


def test_the_demo_meets_faults_and_its_tables_are_the_same(
    demo: Any, league_demo: DataUseCase, warehouse: Engine
) -> None:
    met = set()
    before = _counted(warehouse)
    for number in range(400):
        as_of = AS_OF + timedelta(days=number)
        address = f"/games.csv?as_of={as_of:%Y-%m-%dT%H}%3A00%3A00Z"
        fault = PLANS["league_demo"].fault(address, 0)
        if fault is None or (fault.kind, fault.status) in met:
            continue
        met.add((fault.kind, fault.status))
        (answer,) = demo(None, Window(as_of - timedelta(days=1), as_of))
        assert answer.content == publish(as_of)
        assert PLANS["league_demo"].fault(address, 1) is None
    assert len(met) == 4
    requests, retries = _counted(warehouse)
    # The warehouse is shared: only what these windows added counts.
    assert (requests - before[0], retries - before[1]) == (8, 4)


def _counted(warehouse: Engine) -> tuple[int, int]:
    row = text(
        "SELECT coalesce(sum(requests), 0), coalesce(sum(retries), 0) FROM source_health"
        " WHERE use_case = 'league_demo'"
    )
    with warehouse.connect() as connection:
        requests, retries = connection.execute(row).one()
    return int(requests), int(retries)
