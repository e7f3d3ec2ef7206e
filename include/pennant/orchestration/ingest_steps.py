"""The bodies of the ingest Dag's tasks."""

from typing import TYPE_CHECKING, Any

from pennant.orchestration.access import from_airflow
from pennant.orchestration.channels import open_channels
from pennant.orchestration.workplace import Workplace, workplace
from pennant.reference import Window

if TYPE_CHECKING:
    from pennant.data.validation import BatchResult

_NAMES = 5
"""Unresolved names that an alert shows."""


def fetch(name: str, window: Window, source: str) -> dict[str, str]:
    """Land the raw batch of one source and window."""
    from pennant.data.ingest import fetch as land

    place = workplace(name)
    landed = land(place.declared, source, window, place.lake, place.warehouse, place.settings, from_airflow)
    return landed.to_json()


def drain(name: str, window: Window) -> dict[str, Any]:
    """Validate every pending batch, this run's and any that an earlier run left behind.

    One run at a time drains a use case; the next finds nothing left and ends at once. A stopped batch
    fails the run after the others were validated.
    """
    from pennant.data.errors import BatchStopped
    from pennant.data.ingest import pending, validate
    from pennant.warehouse.lock import held

    place = workplace(name)
    done: list[BatchResult] = []
    stopped: list[BatchStopped] = []
    with held(place.warehouse, f"validate:{name}"):
        for batch in pending(place.declared, place.lake, place.warehouse, window.as_of):
            try:
                done.append(validate(place.declared, batch, place.lake, place.warehouse, place.settings))
            except BatchStopped as error:
                stopped.append(error)
    _tell(place, window, done)
    if stopped:
        raise stopped[0]
    return {
        "batches": len(done),
        "rows": sum(each.rows for each in done),
        "quarantined": sum(each.quarantined for each in done),
    }


def publish(name: str, window: Window) -> dict[str, Any]:
    """Put the newest values of each view into the online store; a newer window's stay."""
    from pennant.features.online import publish_known

    place = workplace(name)
    written = publish_known(place.declared, place.lake, place.settings, place.warehouse, window.as_of)
    return {"written": written}


def _tell(place: Workplace, window: Window, done: list["BatchResult"]) -> None:
    """One alert per run for rows that were set aside and names that nobody knows."""
    from pennant.watch.alerts import AlertEvent, raise_alert

    aside = sum(each.quarantined for each in done)
    warnings = {rule: count for each in done for rule, count in each.warnings.items()}
    unknown = sorted({who for each in done for found in each.unresolved.values() for who in found})
    if not aside and not warnings and not unknown:
        return
    worst = [line for each in done for line in each.worst][:3]
    evidence: dict[str, Any] = {f"line {number}": line for number, line in enumerate(worst, 1)}
    if warnings:
        evidence["warnings"] = ", ".join(f"{rule} ({count})" for rule, count in list(warnings.items())[:3])
    if unknown:
        more = f" and {len(unknown) - _NAMES} more" if len(unknown) > _NAMES else ""
        evidence["unresolved names"] = ", ".join(unknown[:_NAMES]) + more
    pages = [each.report.uri for each in done if each.quarantined or each.warnings or each.unresolved]
    event = AlertEvent(
        use_case=place.name,
        class_="data_quality",
        severity="warning" if aside or unknown else "info",
        what=f"{aside} of {aside + sum(each.rows for each in done)} rows were set aside.",
        action="The other rows are in use; those set aside can be released or corrected.",
        as_of=window.as_of,
        evidence=evidence,
        links={f"Page {number}": page for number, page in enumerate(pages[:3], 1)},
    )
    raise_alert(event, place.declared, place.warehouse, open_channels(place.declared))
