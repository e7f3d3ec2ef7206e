"""Heads of the ledger, remembered in the lake, so that a cut or a rewritten history is noticed.

The hash chain shows a changed, missing or inserted entry. It does not show that the newest entries
were cut off, nor that everything was computed anew. So after every move of an alias, and hourly by
`pennant__maintain`, the newest (seq, hash) goes to `ledger/heads/<seq>.json` in the lake, where an
object is written once. Who wants to change history unseen has to change both places.

Entries that were added after the newest head are not covered until the next one is remembered.
"""

import json

from sqlalchemy import Engine

from pennant.data.lake import Lake
from pennant.registry.ledger import Head, head

_FOLDER = "ledger/heads"


def remember(warehouse: Engine, lake: Lake) -> Head | None:
    """Remember the newest entry; the first that is remembered for a seq stays.

    Returns:
        What was remembered; None while the ledger is empty.
    """
    newest = head(warehouse)
    if newest is not None and not lake.exists(_path(newest.seq)):
        content = json.dumps({"hash": newest.hash, "seq": newest.seq}, sort_keys=True)
        lake.put(_path(newest.seq), content.encode())
    return newest


def read(lake: Lake) -> list[Head]:
    """Every remembered head, in order of seq."""
    found = [json.loads(lake.get(lake.uri(path))) for path in lake.list(_FOLDER)]
    return sorted((Head(int(each["seq"]), str(each["hash"])) for each in found), key=lambda each: each.seq)


def _path(seq: int) -> str:
    return f"{_FOLDER}/{seq:012d}.json"
