"""docs/new-use-case.md is run as it stands: its files are written, its commands typed, in its order."""

import contextlib
import io
import os
import re
import runpy
import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pytest
import yaml
from typer.testing import CliRunner

from pennant.cli.main import app
from pennant.settings import REPOSITORY

DOCUMENT = REPOSITORY / "docs" / "new-use-case.md"
BLOCK = re.compile(r"^```(\w+)(?: (\S+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, what stands beside it, and its text."""

    language: str
    target: str
    text: str


@dataclass
class Reader:
    """Somebody who follows the document in an empty folder."""

    folder: Path
    said: dict[str, str]

    def follow(self, block: Block, set_variable: Callable[[str, str], None]) -> None:
        if block.language in {"csv", "python"}:
            file = self.folder / block.target
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(block.text)
        elif block.language == "yaml":
            self._replace(block)
        else:
            for line in block.text.splitlines():
                self._type(line, set_variable)

    def _replace(self, block: Block) -> None:
        """Put the block in place of the part of use_case.yaml that has its name."""
        file = self.folder / "include/use_cases/my_league/use_case.yaml"
        part = re.compile(rf"^{block.target}:.*?(?=^[a-z])", re.MULTILINE | re.DOTALL)
        text, times = part.subn(lambda _: block.text + "\n", file.read_text())
        assert times == 1, block.target
        assert list(yaml.safe_load(block.text)) == [block.target]
        file.write_text(text)

    def _type(self, line: str, set_variable: Callable[[str, str], None]) -> None:
        if line.startswith("export "):
            name, _, value = line.removeprefix("export ").partition("=")
            set_variable(name, value.strip('"').replace("$PWD", str(self.folder)))
            return
        words = shlex.split(line)
        if words[0] == "python":
            told = io.StringIO()
            with contextlib.redirect_stdout(told):
                runpy.run_path(str(self.folder / words[1]), run_name="__main__")
            self.said[words[1]] = told.getvalue()
            return
        assert words[0] == "pennant", line
        result = CliRunner().invoke(app, words[1:], catch_exceptions=False)
        assert result.exit_code == 0, f"{line}\n{result.output}"
        self.said[" ".join(words[1:3])] = result.output


@pytest.fixture(scope="module")
def followed(new_warehouse: Callable[[], str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    """Everything the document says, done."""
    folder = tmp_path_factory.mktemp("a new use case")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PENNANT_HOME", str(folder / "var"))
        patch.setenv("PENNANT_USE_CASES", str(folder / "include/use_cases"))
        patch.setenv("PENNANT_WAREHOUSE_URL", new_warehouse())
        patch.delenv("PENNANT_DATA_MIRROR", raising=False)
        patch.chdir(folder)
        reader = Reader(folder, {})
        for block in blocks():
            reader.follow(block, patch.setenv)
        assert os.environ["PENNANT_DATA_MIRROR"] == str(folder / "data")
        yield reader


def blocks() -> list[Block]:
    return [Block(*found) for found in BLOCK.findall(DOCUMENT.read_text())]


def test_every_block_of_the_document_is_one_that_is_run() -> None:
    found = blocks()
    assert {block.language for block in found} == {"csv", "sh", "yaml", "python"}
    assert DOCUMENT.read_text().count("```") == 2 * len(found)
    assert all(block.target for block in found if block.language != "sh")


def test_the_new_use_case_takes_one_folder_with_two_files(followed: Reader) -> None:
    made = sorted(
        str(path.relative_to(followed.folder)) for path in (followed.folder / "include").rglob("*.*")
    )
    made = [path for path in made if "__pycache__" not in path]
    assert made == ["include/use_cases/my_league/features.py", "include/use_cases/my_league/use_case.yaml"]


def test_its_rows_are_all_ingested(followed: Reader) -> None:
    assert "0 set aside" in followed.said["ingest my_league"]
    rows = sum(
        pl.read_parquet(path).height
        for path in (followed.folder / "var/lake/validated").rglob("result.parquet")
    )
    assert rows == 12


def test_its_snapshot_has_the_documents_features_and_no_leak(followed: Reader) -> None:
    assert "leaks: []" in followed.said["look.py"]
    (data,) = (followed.folder / "var/lake/snapshots").rglob("data.parquet")
    snapshot = pl.read_parquet(data).sort("event_time")
    assert snapshot.height == 12
    last = snapshot.row(-1, named=True)  # m12: Fir at home to Birch
    assert last["entity"] == "m12"
    assert last["usual_crowd"] == pytest.approx((750 + 1550) / 2)
    fir, birch = (3 - 3 - 17) / 3, (-3 + 15 + 7) / 3  # of their last three matches
    assert last["form_difference"] == pytest.approx(fir - birch)
