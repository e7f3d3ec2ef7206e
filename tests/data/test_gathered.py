"""What is kept together is only faster: missing, damaged or of another making, it changes no row."""

from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from pennant.data.gathered import BATCH, KEPT_FROM, gathered
from pennant.data.lake import Lake

KEYS = [f"b{number:03}" for number in range(3 * KEPT_FROM)]


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path.as_uri())


def loader(opened: list[str]) -> Callable[[str], pl.DataFrame]:
    def load(key: str) -> pl.DataFrame:
        opened.append(key)
        return pl.DataFrame({"x": [int(key[1:]), -int(key[1:])]})

    return load


def read(lake: Lake, keys: list[str], opened: list[str], fingerprint: str = "f") -> dict[str, list[int]]:
    rows = gathered(lake, "versions/league", fingerprint, keys, loader(opened))
    return {key: part["x"].to_list() for (key,), part in rows.partition_by(BATCH, as_dict=True).items()}


def wanted(keys: list[str]) -> dict[str, list[int]]:
    return {key: [int(key[1:]), -int(key[1:])] for key in keys}


def test_every_batch_is_opened_once_and_the_rows_are_the_same(lake: Lake) -> None:
    opened: list[str] = []
    for until in range(8, len(KEYS) + 1, 8):
        assert read(lake, KEYS[:until], opened) == wanted(KEYS[:until])
    again: list[str] = []
    assert read(lake, KEYS, again) == wanted(KEYS)
    assert len(again) < KEPT_FROM


def test_a_subset_is_a_subset_whatever_is_kept(lake: Lake) -> None:
    read(lake, KEYS, [])
    assert read(lake, KEYS[5:9], []) == wanted(KEYS[5:9])


def test_one_that_comes_between_is_found(lake: Lake) -> None:
    some = [key for key in KEYS if key != "b010"]
    read(lake, some, [])
    opened: list[str] = []
    assert read(lake, KEYS, opened) == wanted(KEYS)
    assert opened == ["b010"]


@pytest.mark.parametrize("harm", ["damaged", "gone", "of another making", "a torn pointer"])
def test_what_cannot_be_trusted_is_read_anew(lake: Lake, tmp_path: Path, harm: str) -> None:
    read(lake, KEYS, [])
    [kept] = (tmp_path / "cache" / "versions" / "league").glob("*.parquet")
    if harm == "damaged":
        kept.write_bytes(kept.read_bytes()[:-1] + b"x")
    elif harm == "gone":
        kept.unlink()
    elif harm == "a torn pointer":
        (kept.parent / "latest.json").write_text('{"sha2')
    opened: list[str] = []
    assert read(lake, KEYS, opened, "other" if harm == "of another making" else "f") == wanted(KEYS)
    assert opened == KEYS


def test_only_one_is_kept(lake: Lake, tmp_path: Path) -> None:
    for until in (KEPT_FROM, 2 * KEPT_FROM, 3 * KEPT_FROM):
        read(lake, KEYS[:until], [])
    assert len(list((tmp_path / "cache" / "versions" / "league").glob("*.parquet"))) == 1
