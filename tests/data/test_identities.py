"""Names are brought together when they are read; a name that nobody knows is told, not lost."""

from datetime import UTC, datetime, timedelta

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from pennant.data.identities import resolve, unresolved
from pennant.declaration.model import Alias, Source

MOVE = datetime(2020, 3, 1, tzinfo=UTC)
TABLES = {
    "clubs": {
        "LV": [Alias(name="OAK"), Alias(name="Raiders")],
        "LA": [Alias(name="STL", until=MOVE)],
        "STL": [],
    }
}
SOURCE = Source.model_validate(
    {
        "kind": "csv",
        "path": "games.csv",
        "key": ["game"],
        "event_time": {"columns": ["day"], "format": "%Y"},
        "groups": {
            "teams": {
                "known_at": {"rule": "before_event", "hours": 1},
                "columns": {"home": "str", "away": "str"},
            }
        },
        "identities": {"home": "clubs"},
        "ahead_days": 1,
    }
)
NAMES = st.sampled_from(["OAK", "Raiders", "LV", "STL", "LA", "New Club", None])


def rows(*games: tuple[str | None, datetime]) -> pl.DataFrame:
    schema = {"home": pl.String, "event_time": pl.Datetime("us", "UTC")}
    return pl.DataFrame(list(games), schema=schema, orient="row").with_columns(away=pl.col("home"))


def resolved(name: str | None, at: datetime) -> str | None:
    [found] = resolve(rows((name, at)), SOURCE, TABLES)["home"].to_list()
    return found if found is None else str(found)


def test_an_alias_is_its_club_and_other_columns_stay() -> None:
    made = resolve(rows(("OAK", MOVE)), SOURCE, TABLES)
    assert made.select("home", "away").row(0) == ("LV", "OAK")


def test_an_alias_for_a_time_holds_for_events_of_that_time_only() -> None:
    assert resolved("STL", MOVE - timedelta(seconds=1)) == "LA"
    assert resolved("STL", MOVE) == "STL"


@given(st.lists(st.tuples(NAMES, st.integers(-3, 3)), max_size=20))
def test_no_row_is_lost_and_resolving_twice_is_resolving_once(games: list[tuple[str | None, int]]) -> None:
    table = rows(*((name, MOVE + timedelta(days=day)) for name, day in games))
    once = resolve(table, SOURCE, TABLES)
    assert once.height == table.height
    late = once.filter(pl.col("event_time") >= MOVE)
    assert resolve(late, SOURCE, TABLES).equals(late)


def test_a_name_that_no_table_knows_is_counted_and_kept() -> None:
    table = rows(("New Club", MOVE), ("New Club", MOVE), ("OAK", MOVE), (None, MOVE))
    assert unresolved(table, SOURCE, TABLES) == {"home": {"New Club": 2}}
    assert resolve(table, SOURCE, TABLES)["home"].to_list() == ["New Club", "New Club", "LV", None]
