"""How recordings of pedestrians are read: steps over listed frames, walkers by recording, days apart."""

from datetime import UTC, datetime

import polars as pl
import pytest

from pennant.data.connectors.base import Answer
from pennant.data.connectors.eth_ucy import STEPS_PER_RECORDING, EthUcy
from pennant.data.errors import SourceMalformed
from pennant.declaration.loader import load
from pennant.declaration.model import Source

from .conftest import USE_CASES

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def source() -> Source:
    return load(USE_CASES / "pedestrian_paths").sources["positions"]


def read(source: Source, lines: list[str], recording: str = "biwi_eth") -> pl.DataFrame:
    content = "\n".join("\t".join(line.split()) for line in lines).encode()
    return EthUcy().read(source, Answer("x.y", "there", recording, 0, content, "", "eth_ucy", NOW))


def test_frames_that_nobody_is_in_are_stepped_over_and_absence_from_a_listed_one_is_a_gap(
    source: Source,
) -> None:
    lines = ["0 1.0 1 1", "10 1.0 2 1", "600 1.0 3 1", "610 2 0 0", "620 1 4 1", "630.0 1 5 1"]
    rows = read(source, lines).filter(pl.col("walker") == "biwi_eth/1")
    assert rows["frame"].to_list() == ["0", "10", "600", "620", "630"]
    assert rows["step"].to_list() == ["0", "1", "2", "4", "5"]
    assert rows["observed"].to_list() == ["1", "2", "3", "1", "2"]


def test_one_pedestrian_of_two_recordings_is_two_walkers_a_day_apart(source: Source) -> None:
    one, other = (read(source, ["0 7 1 1"], name) for name in ("biwi_eth", "crowds_zara01"))
    assert (one["walker"][0], other["walker"][0]) == ("biwi_eth/7", "crowds_zara01/7")
    assert int(other["tick"][0]) - int(one["tick"][0]) == STEPS_PER_RECORDING
    assert STEPS_PER_RECORDING * 2 == 5 * 86_400
    assert (one["scene"][0], other["scene"][0]) == ("eth", "zara1")
    assert read(source, ["0 7 1 1"], "uni_examples")["scene"].to_list() == ["train_only"]


def test_a_row_that_counts_nothing_is_kept_without_a_tick_and_disturbs_no_other(source: Source) -> None:
    rows = read(source, ["0 1 1 1", "? 1 2 1", "10 nobody 3 1", "10 1 4 1"])
    assert rows["tick"].to_list() == ["0", None, None, "1"]
    assert rows["observed"].to_list() == ["1", None, None, "2"]
    assert rows["x"].to_list() == ["1", "2", "3", "4"]
    assert rows["line"].to_list() == [1, 2, 3, 4]


def test_the_order_of_the_lines_changes_no_step(source: Source) -> None:
    lines = ["20 1 3 1", "0 1 1 1", "20 2 0 0", "10 1 2 1", "10 2 0 1"]
    plain, mixed = (read(source, each).drop("line").sort("sample") for each in (sorted(lines), lines))
    assert plain.equals(mixed)


def test_a_page_in_place_of_a_recording_is_refused(source: Source) -> None:
    with pytest.raises(SourceMalformed):
        read(source, ["<html> 404 </html>"])


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({}, "found nothing"),
        ({"recordings": ["biwi_et"]}, "'biwi_et'"),
        ({"recordings": ["biwi_eth", "biwi_eth"]}, "twice"),
        ({"recordings": ["biwi_eth"], "speed": 2}, "'speed'"),
    ],
)
def test_options_that_cannot_be_are_named(source: Source, options: dict[str, object], word: str) -> None:
    (problem,) = EthUcy().problems(source.model_copy(update={"options": options}))
    assert word in problem
    assert EthUcy().problems(source) == []
