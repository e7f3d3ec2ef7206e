"""The bodies of the scoring Dag's tasks."""

import io
from typing import Any

from pennant.orchestration.workplace import workplace
from pennant.reference import Reference, Window


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
    return {"rows": rows.height, "requests": landed.to_json(), "window": window.key}


def _digest(content: io.BytesIO) -> str:
    import hashlib

    return hashlib.sha256(content.getvalue()).hexdigest()[:16]


def predict(name: str, built: dict[str, Any]) -> dict[str, Any]:
    """Ask the serving app for every row, in batches; the answer says which arms answered."""
    import polars as pl

    from pennant.release.client import ServingClient

    place = workplace(name)
    rows = pl.read_parquet(io.BytesIO(place.lake.get(Reference.from_json(built["requests"]))))
    with ServingClient(place.settings) as serving:
        answered = serving.predict(name, rows, list(place.use_case.features))
    arms: dict[str, int] = {}
    for each in answered:
        label = f"{each['arm']} v{each['version']}"
        arms[label] = arms.get(label, 0) + 1
    return {"predictions": len(answered), "arms": arms, "window": built["window"]}
