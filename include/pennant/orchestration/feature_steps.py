"""The bodies of the features Dag's tasks; the training Dag examines its snapshot by the same path."""

from datetime import datetime
from typing import Any

from airflow.sdk.exceptions import AirflowSkipException

from pennant.orchestration.workplace import workplace
from pennant.reference import Reference, Window


def snapshot(name: str, window: Window) -> dict[str, Any]:
    """Take the snapshot of everything trainable at the window's end."""
    from pennant.features.snapshot import build_snapshot, snapshot_manifest

    place = workplace(name)
    taken = build_snapshot(place.declared, place.lake, place.settings, window.as_of)
    described = snapshot_manifest(place.lake, taken)
    return {"snapshot": taken.to_json(), "rows": described.rows, "columns": len(described.columns)}


def examine(name: str, window: Window, taken: dict[str, str]) -> dict[str, Any]:
    """Look for leaks in a snapshot's features; a leak fails the run and nothing is trained on it.

    Raises:
        LeakFound: a feature read what was not yet known; the page with all of them is written first.
    """
    return examine_at(name, window.as_of, taken)


def discover(name: str, window: Window, taken: dict[str, str], context: Any) -> dict[str, Any]:
    """Try features made of the declared columns on a snapshot's training rows.

    Raises:
        AirflowSkipException: the run was not asked to.
    """
    if not context["params"].get("discover"):
        raise AirflowSkipException("Not asked for: trigger the Dag with `discover` to try new features.")
    from pennant.features.discovery import discover as look

    place = workplace(name)
    found = look(place.declared, place.lake, place.settings, window.as_of, Reference.from_json(taken))
    names = [each.name for each in found.kept]
    return {"candidates": found.candidates, "kept": names, "report": found.reference.to_json()}


def examine_at(name: str, as_of: datetime, taken: dict[str, str]) -> dict[str, Any]:
    from pennant.features.leak_report import examine as look
    from pennant.features.leak_report import raise_if_leaking

    place = workplace(name)
    found = look(place.declared, place.lake, place.settings, as_of, Reference.from_json(taken))
    raise_if_leaking(place.declared, found)
    return {"leaks": len(found.leaks), "signs": len(found.signs), "report": found.reference.to_json()}
