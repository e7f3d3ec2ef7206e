"""The bodies of the scoring Dag's tasks."""

import hashlib
import io
import json
from datetime import datetime
from typing import Any

from pennant.orchestration.channels import open_channels
from pennant.orchestration.workplace import Workplace, workplace
from pennant.reference import Reference, Window

_SHOWN = 5
"""Opportunities that the message names; the table has all of them."""


def features(name: str, window: Window) -> dict[str, Any]:
    """Build the rows to predict, publish them to the online store, put them in the lake."""
    from pennant.features.build import request_rows
    from pennant.features.online import publish

    place = workplace(name)
    rows = request_rows(place.use_case, place.lake, place.settings, window)
    publish(place.use_case, rows, window.as_of, place.warehouse)
    content = io.BytesIO()
    rows.write_parquet(content)
    landed = place.lake.put(f"requests/{name}/{window.key}/{_digest(content)}.parquet", content.getvalue())
    return {
        "rows": rows.height,
        "requests": landed.to_json(),
        "window": window.key,
        "as_of": window.as_of.isoformat(),
    }


def _digest(content: io.BytesIO) -> str:
    return hashlib.sha256(content.getvalue()).hexdigest()[:16]


def predict(name: str, built: dict[str, Any]) -> dict[str, Any]:
    """Ask the serving app for every row, in batches; the answer says which arms answered.

    Sent are the inputs of the models that are served: a champion of an earlier declaration has others.
    """
    import polars as pl

    from pennant.gate.retired import as_taken
    from pennant.release.client import ServingClient

    place = workplace(name)
    rows = pl.read_parquet(io.BytesIO(place.lake.get(Reference.from_json(built["requests"]))))
    as_of = datetime.fromisoformat(built["as_of"])
    names = list(place.use_case.features)
    with ServingClient(place.settings) as serving:
        served = serving.model(name)
        if served is not None:  # else the app says itself that it serves no such use case
            rows, names = as_taken(
                place.use_case, rows, served["contract"], place.lake, place.settings, as_of
            )
        answered = serving.predict(name, rows, names)
    arms: dict[str, int] = {}
    for each in answered:
        label = f"{each['arm']} v{each['version']}"
        arms[label] = arms.get(label, 0) + 1
    told = {"predictions": len(answered), "arms": arms, **built}
    if place.use_case.market is not None and place.use_case.market.price_columns:
        content = json.dumps(answered, sort_keys=True).encode()
        path = f"answers/{name}/{built['window']}/{hashlib.sha256(content).hexdigest()[:16]}.json"
        told["answers"] = place.lake.put(path, content).to_json()
    return told


def bet(name: str, answered: dict[str, Any]) -> dict[str, Any]:
    """Hold the answers against the prices of their rows; write down what is worth a bet, and tell it."""
    import polars as pl

    from pennant.watch import bets

    place = workplace(name)
    rows = pl.read_parquet(io.BytesIO(place.lake.get(Reference.from_json(answered["requests"]))))
    answers = json.loads(place.lake.get(Reference.from_json(answered["answers"])))
    found = bets.place(place.use_case, rows, answers, place.warehouse)
    if found is None or not found.rows.height:
        return {"priced": found.priced if found else 0, "opportunities": 0}
    shown = [
        f"{each['entity']}, {each['side']}: {each['probability']:.3f} at {each['price']:.2f}, "
        f"edge {each['edge']:+.3f}, stake {each['stake_share']:.2%}"
        for each in found.rows.head(_SHOWN).iter_rows(named=True)
    ]
    _tell(place, answered, found.rows.height, shown)
    return {"priced": found.priced, "opportunities": found.rows.height, "new": found.new, "largest": shown}


def _tell(place: Workplace, answered: dict[str, Any], count: int, shown: list[str]) -> None:
    from pennant.watch.alerts import AlertEvent, raise_alert

    event = AlertEvent(
        use_case=place.name,
        class_="opportunities",
        severity="info",
        what=f"{count} side{'s are' if count > 1 else ' is'} priced above what the model thinks fair.",
        action="Written to betting_opportunities with a stake by the declared limits. No bet is placed.",
        as_of=datetime.fromisoformat(answered["as_of"]),
        evidence={str(number): line for number, line in enumerate(shown, start=1)},
        links={"Scoring Dag": f"{place.settings.airflow}/dags/{place.name}__score"},
    )
    raise_alert(event, place.use_case, place.warehouse, open_channels(place.use_case))
