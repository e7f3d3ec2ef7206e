"""The ledger: what was written is what is read, and every change of history is found."""

import json
import math
from datetime import UTC, datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError

from pennant.data.lake import Lake
from pennant.registry import heads, ledger
from pennant.registry.errors import LedgerBroken

_WORDS = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=12)
_LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.floats(allow_nan=False, allow_infinity=False)
    | _WORDS
)
_ENTRIES = st.dictionaries(
    _WORDS,
    st.recursive(
        _LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_WORDS, inner, max_size=3)
    ),
    max_size=4,
)


def _write(warehouse: Engine, count: int, use_case: str = "league") -> None:
    for number in range(1, count + 1):
        with warehouse.begin() as connection:
            ledger.append(connection, use_case, "promote", {"to": str(number), "gain": 0.5, "why": "it won"})


def _tamper(warehouse: Engine, sql: str, **values: object) -> None:
    """Change history as somebody would who owns the database."""
    with warehouse.begin() as connection:
        connection.execute(text("ALTER TABLE ledger DISABLE TRIGGER ALL"))
        assert connection.execute(text(sql), values).rowcount > 0
        connection.execute(text("ALTER TABLE ledger ENABLE TRIGGER ALL"))


def _found(warehouse: Engine, remembered: list[ledger.Head] | None = None) -> list[tuple[int, str]]:
    return [(each.seq, each.kind) for each in ledger.verify(warehouse, remembered or [])]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(entry=_ENTRIES)
def test_whatever_json_is_written_verifies_and_reads_back_equal(
    warehouse: Engine, entry: dict[str, object]
) -> None:
    with warehouse.begin() as connection:
        written = ledger.append(connection, "league", "note", entry)
    read = ledger.entries(warehouse)[-1]
    assert read == written
    assert read.entry == entry
    assert ledger.verify(warehouse) == []


def test_entries_are_numbered_and_chained_from_the_genesis(warehouse: Engine) -> None:
    _write(warehouse, 3)
    first, second, third = ledger.entries(warehouse)
    assert [first.seq, second.seq, third.seq] == [1, 2, 3]
    assert [first.previous_hash, second.previous_hash, third.previous_hash] == [
        ledger.GENESIS,
        first.hash,
        second.hash,
    ]


def test_the_recorded_moment_is_the_given_one_in_utc(warehouse: Engine) -> None:
    moment = datetime.fromisoformat("2025-03-01T12:00:00+02:00")
    with warehouse.begin() as connection:
        entry = ledger.append(connection, "league", "note", {}, moment)
    assert datetime.fromisoformat(entry.recorded_at) == moment
    assert entry.recorded_at.endswith("+00:00")
    assert datetime.fromisoformat(entry.recorded_at).tzinfo == UTC


@pytest.mark.parametrize(
    "statement", ["UPDATE ledger SET action = 'x'", "DELETE FROM ledger", "TRUNCATE ledger"]
)
def test_the_database_refuses_to_change_history(warehouse: Engine, statement: str) -> None:
    _write(warehouse, 1)
    with pytest.raises(DBAPIError), warehouse.begin() as connection:
        connection.execute(text(statement))
    assert len(ledger.entries(warehouse)) == 1


@pytest.mark.parametrize(
    ("column", "change"),
    [
        ("entry", "replace(entry::text, '\"2\"', '\"9\"')::jsonb"),
        ("entry", "replace(entry::text, '0.5', '0.50')::jsonb"),
        ("entry", "replace(entry::text, 'it won', 'it wOn')::jsonb"),
        ("use_case", "'leagua'"),
        ("action", "'promots'"),
        ("recorded_at", "replace(recorded_at, '+00:00', '+00:01')"),
    ],
)
def test_one_changed_byte_of_an_entry_is_found(warehouse: Engine, column: str, change: str) -> None:
    _write(warehouse, 3)
    _tamper(warehouse, f"UPDATE ledger SET {column} = {change} WHERE seq = 2")
    assert _found(warehouse) == [(2, "changed")]
    with pytest.raises(LedgerBroken) as caught:
        ledger.raise_if_broken(warehouse)
    assert caught.value.breaks == ["changed at 2"]


def test_a_changed_hash_breaks_its_entry_and_the_next_link(warehouse: Engine) -> None:
    _write(warehouse, 3)
    _tamper(warehouse, "UPDATE ledger SET hash = 'f' || substr(hash, 2) || 'x' WHERE seq = 2")
    assert _found(warehouse) == [(2, "changed"), (3, "broken_link")]


def test_a_missing_entry_is_found(warehouse: Engine) -> None:
    _write(warehouse, 4)
    _tamper(warehouse, "DELETE FROM ledger WHERE seq IN (2, 3)")
    assert _found(warehouse) == [(2, "missing")]


def test_a_missing_first_entry_is_found(warehouse: Engine) -> None:
    _write(warehouse, 2)
    _tamper(warehouse, "DELETE FROM ledger WHERE seq = 1")
    assert _found(warehouse) == [(1, "missing")]


def test_an_entry_slipped_in_before_the_first_is_found(warehouse: Engine) -> None:
    _write(warehouse, 1)
    _tamper(
        warehouse,
        "INSERT INTO ledger SELECT 0, use_case, action, entry, previous_hash, 'x', recorded_at FROM ledger",
    )
    assert _found(warehouse) == [(0, "unexpected")]


def test_a_cut_tail_is_found_by_the_remembered_head(warehouse: Engine, lake: Lake) -> None:
    _write(warehouse, 3)
    heads.remember(warehouse, lake)
    _tamper(warehouse, "DELETE FROM ledger WHERE seq >= 2")
    assert _found(warehouse) == []
    assert _found(warehouse, heads.read(lake)) == [(3, "cut_off")]


def test_a_history_computed_anew_is_found_by_the_remembered_head(warehouse: Engine, lake: Lake) -> None:
    _write(warehouse, 3)
    heads.remember(warehouse, lake)
    _tamper(warehouse, "DELETE FROM ledger")
    _write(warehouse, 4, "other")
    heads.remember(warehouse, lake)
    assert _found(warehouse) == []
    assert _found(warehouse, heads.read(lake)) == [(3, "rewritten")]


def test_a_head_once_remembered_stays(warehouse: Engine, lake: Lake) -> None:
    assert heads.remember(warehouse, lake) is None
    _write(warehouse, 1)
    first = heads.remember(warehouse, lake)
    _tamper(warehouse, "UPDATE ledger SET hash = 'forged' WHERE seq = 1")
    heads.remember(warehouse, lake)
    assert heads.read(lake) == [first]


@pytest.mark.parametrize(
    ("entry", "where"),
    [
        ({"mean": math.nan}, "entry.mean"),
        ({"list": [1, math.inf]}, "entry.list[1]"),
        ({"who": {"name": "a\x00b"}}, "entry.who.name"),
        ({"when": datetime(2025, 1, 1, tzinfo=UTC)}, "entry.when"),
        ({"half": "\ud800"}, "entry.half"),
    ],
)
def test_what_json_cannot_keep_is_refused_where_it_stands(
    warehouse: Engine, entry: dict[str, object], where: str
) -> None:
    with pytest.raises(ledger.LedgerRefused) as caught, warehouse.begin() as connection:
        ledger.append(connection, "league", "note", entry)
    assert caught.value.where == where
    assert ledger.entries(warehouse) == []


def test_the_canonical_text_does_not_depend_on_the_order_of_keys() -> None:
    one = {"b": 1, "a": {"d": 1e-7, "c": 1e22}}
    assert ledger.canonical(one) == '{"a":{"c":10000000000000000000000.0,"d":0.0000001},"b":1}'
    assert json.loads(ledger.canonical(one)) == one


def test_an_entry_of_a_transaction_that_failed_leaves_no_gap(warehouse: Engine) -> None:
    _write(warehouse, 1)
    with warehouse.connect() as connection:
        ledger.append(connection, "league", "promote", {})
        connection.rollback()
    _write(warehouse, 1)
    assert [each.seq for each in ledger.entries(warehouse)] == [1, 2]
    assert ledger.verify(warehouse) == []


def test_entries_of_one_use_case_are_told_apart(warehouse: Engine) -> None:
    _write(warehouse, 1, "one")
    _write(warehouse, 2, "two")
    assert [each.seq for each in ledger.entries(warehouse, "two")] == [2, 3]
