"""Whatever a declaration says is heard: a field that no room reads is a promise nobody keeps."""

import ast
from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel

from pennant.declaration import model
from pennant.settings import REPOSITORY

PACKAGE = REPOSITORY / "include" / "pennant"


def parts() -> Iterator[type[BaseModel]]:
    for each in vars(model).values():
        if isinstance(each, type) and issubclass(each, model.Part) and each is not model.Part:
            yield each


def sources() -> list[Path]:
    """Code that acts on a declaration; the room that only reads and checks it does not count."""
    return [path for path in sorted(PACKAGE.rglob("*.py")) if path.parent.name != "declaration"]


def read_names(path: Path) -> set[str]:
    """Attributes a file reads, and words it hands to `getattr`."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
            found.add(node.attr)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "getattr":
            found |= {each.value for each in node.args if isinstance(each, ast.Constant)}
    return found


def names_read(*rooms: str) -> set[str]:
    chosen = [path for path in sources() if not rooms or set(rooms) & set(path.relative_to(PACKAGE).parts)]
    assert chosen
    return set().union(*(read_names(path) for path in chosen))


def test_every_field_is_read_somewhere() -> None:
    read = names_read()
    dead = [
        f"{part.__name__}.{field}" for part in parts() for field in part.model_fields if field not in read
    ]
    assert dead == []


# A common name such as `column` is read for many reasons; these have to be read in the room they are for.
ROOMS = {
    "data": """
        url path key event_time format time_zone default_time timeout_seconds max_attempts ahead_days known_at
        rule hours column expect with_ on_failure max_quarantined_share groups columns kind source group
        connection sql options optional_columns identities deadline_seconds rate requests per_seconds
        cache_seconds breaker failures open_seconds fallback max_lag_minutes start unit_seconds fixed since
        until added volume distribution freshness_hours threshold batches min_batches contract
    """,
    "features": """
        entity lead_hours expression drop_when delay_hours history_days fresh_days features source group
        column probability_column task classes path walker steps step_seconds columns
        cluster_from_rows groups clusters without
    """,
    "training": """
        task folds embargo_hours trials workers minutes seed calibration members interval_coverage min_rows
        recency_half_life_days search fixed low high log kind missing train_only fresh_share columns sequence
        pruning
        ensemble slices interval cluster from_rows checkpoint_rounds deadline_minutes equals below at_least
    """,
    "gate": """
        metric policy margin alpha min_rows max_calibration_error slices column equals below at_least
        max_loss_increase max_loss max_latency_ms max_bundle_megabytes
        required baselines approvers unit low high line_column price_columns closing_columns
    """,
    "decisions": "kelly_fraction per_bet per_group per_day min_edge",
    "release": """
        target canary_share min_canary_predictions max_error_share max_mean_shift canary_deadline_hours
    """,
    "watch": """
        window_days method threshold min_drifted_share windows violations min_rows max_loss_increase routes
        cooldown_hours weekly_budget action
    """,
    "orchestration": """
        ingest features ingest_history history_until score watch train start until approval approvers
        approval_timeout_hours name tags title description team email slack_channel
    """,
    "demo": "history_from live_from until",
}
OF_THEIR_ROOM = {room: set(words.split()) for room, words in ROOMS.items()}


def test_every_field_is_read_in_the_room_it_is_for() -> None:
    dead = {room: sorted(fields - names_read(room)) for room, fields in OF_THEIR_ROOM.items()}
    assert {room: fields for room, fields in dead.items() if fields} == {}


def test_every_field_has_its_room() -> None:
    placed = set().union(*OF_THEIR_ROOM.values())
    leaves = {
        field
        for part in parts()
        for field, given in part.model_fields.items()
        if "Part" not in str(given.annotation) and "pennant.declaration.model" not in str(given.annotation)
    }
    assert leaves - placed == set()
