"""Many small files read as one: what was read before is kept together, and only what is new is opened.

Batches never change, so what was gathered of one stays right; see `kept` for what becomes of a lost cache.
"""

from collections.abc import Callable, Sequence

import polars as pl

from pennant.data.kept import keep, kept
from pennant.data.lake import Lake

BATCH = "_batch"
KEPT_FROM = 32
"""So many batches are read one by one before they are kept together: rewriting costs as much as reading."""


def gathered(
    lake: Lake,
    place: str,
    fingerprint: str,
    keys: Sequence[str],
    load: Callable[[Sequence[str]], pl.DataFrame],
) -> pl.DataFrame:
    """The rows of some batches, in no order, with `BATCH`, the key of each row's batch.

    Args:
        lake: where the batches and the cache are.
        place: the cache's folder below `cache/`, for example `versions/<use case>/<source>/<group>`.
        fingerprint: what the rows depend on beside the batches; another one starts anew.
        keys: the batches.
        load: the rows of several batches, with `BATCH`; of one schema, also where there are none.
    """
    found = kept(lake, place, fingerprint)
    held = set() if found is None else set(found[1]["batches"])
    missing = [key for key in keys if key not in held]
    loaded = load(missing)
    together = loaded if found is None else pl.concat([found[0], loaded.select(found[0].columns)])
    if len(missing) >= KEPT_FROM:
        keep(lake, place, fingerprint, together, {"batches": sorted({*held, *missing})})
    if held <= set(keys):
        return together
    return together.filter(pl.col(BATCH).is_in(list(keys)))
