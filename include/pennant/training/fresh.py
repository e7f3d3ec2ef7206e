"""Which rows of a snapshot may be trained on, and which belong to the gate.

By time the newest `fresh_days` are the gate's. Where time says nothing they are a declared share of the
entities: the same in every snapshot, drawn by a hash of their name, so that no model has seen them. A gate
that judges many models on the same entities is used up slowly; new entities bring new fresh rows.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any

import polars as pl

from pennant.declaration.model import Split
from pennant.training.split import training_cutoff

_PARTS = 2**32


def drawn(frame: pl.DataFrame, share: float | None) -> pl.Series:
    """Which rows are of entities that are the gate's, shape (n,); none without a share."""
    if share is None:
        return pl.Series("drawn", [False] * frame.height, dtype=pl.Boolean)
    names = frame["entity"].cast(pl.String).to_list()
    return pl.Series("drawn", [_place(name) < share * _PARTS for name in names], dtype=pl.Boolean)


def trainable(frame: pl.DataFrame, split: Split, as_of: datetime) -> pl.DataFrame:
    """The rows that training may see, in the order of the frame."""
    if split.fresh_share is not None:
        return frame.filter(pl.col("label_known_at") <= as_of, ~drawn(frame, split.fresh_share))
    return frame.filter(pl.col("label_known_at") <= training_cutoff(as_of, split))


def fresh(frame: pl.DataFrame, split: Split, as_of: datetime) -> pl.DataFrame:
    """The gate's rows, in the order of the frame: training never sees them."""
    if split.fresh_share is not None:
        return frame.filter(pl.col("label_known_at") <= as_of, drawn(frame, split.fresh_share))
    return frame.filter(pl.col("label_known_at") > as_of - timedelta(days=split.fresh_days))


def trained_on(frame: pl.DataFrame, manifest: Mapping[str, Any], trained_until: datetime) -> int:
    """How many rows a bundle with this manifest saw in training."""
    share = manifest.get("declared", {}).get("split", {}).get("fresh_share")
    return frame.filter(pl.col("label_known_at") <= trained_until, ~drawn(frame, share)).height


def _place(name: str) -> int:
    return int.from_bytes(sha256(f"fresh {name}".encode()).digest()[:4], "big")
