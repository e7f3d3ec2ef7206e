"""Objects of the lake are whole or absent, and never change."""

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pennant.data.errors import LakeConflict, LakeCorrupt, LakeFull, LakeMissing
from pennant.data.lake import Lake, sha256_of
from pennant.reference import Reference

WRITES_FOR_EVER = """
import sys
from pennant.data.lake import Lake, sha256_of
lake = Lake(sys.argv[1])
number = 0
while True:
    content = number.to_bytes(8, "big") * 500_000
    lake.put(f"raw/{sha256_of(content)}", content)
    number += 1
"""
WRITES_BEYOND_A_LIMIT = """
import resource, sys
from pennant.data.errors import LakeFull
from pennant.data.lake import Lake
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
lake = Lake(sys.argv[1])
lake.put("raw/small", b"x" * 1000)
try:
    lake.put("raw/large", b"x" * 1_000_000)
except LakeFull as error:
    sys.exit(7 if error.size == 1_000_000 else 1)
"""


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake((tmp_path / "a lake").as_uri())


def _files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("url", ["{}/a lake", "file://{}/a%20lake", "memory://lake-{}"])
def test_what_is_put_can_be_got_and_listed(url: str, tmp_path: Path) -> None:
    lake = Lake(url.format(tmp_path))
    reference = lake.put("raw/one/b.json", b"b")
    lake.put("raw/one/a.json", b"a")
    lake.put("rawer/c.json", b"c")
    assert lake.get(reference) == lake.get(reference.uri) == b"b"
    assert lake.list("raw/one") == lake.list("raw/") == ["raw/one/a.json", "raw/one/b.json"]
    assert lake.list() == ["raw/one/a.json", "raw/one/b.json", "rawer/c.json"]
    assert (lake.exists("raw/one/a.json"), lake.exists("raw/one"), lake.exists("raw/no")) == (
        True,
        False,
        False,
    )
    assert lake.uri("raw/one/b.json") == reference.uri


def test_a_folder_with_a_space_is_that_folder(tmp_path: Path) -> None:
    Lake((tmp_path / "a lake").as_uri()).put("raw/x", b"x")
    assert _files(tmp_path) == ["a lake/raw/x"]


@pytest.mark.parametrize("url", ["{}/lake", "memory://lake-{}"])
def test_the_same_content_again_is_fine_and_other_content_is_refused(url: str, tmp_path: Path) -> None:
    lake = Lake(url.format(tmp_path))
    first = lake.put("raw/x", b"one")
    assert lake.put("raw/x", b"one") == first
    with pytest.raises(LakeConflict) as caught:
        lake.put("raw/x", b"two")
    assert (caught.value.held, caught.value.given) == (sha256_of(b"one"), sha256_of(b"two"))
    assert lake.get(first) == b"one"


def test_of_many_writers_of_one_path_one_wins_and_the_others_hear_of_it(lake: Lake) -> None:
    def write(number: int) -> str | None:
        try:
            return lake.put("raw/x", str(number).encode() * 1000).sha256
        except LakeConflict:
            return None

    with ThreadPoolExecutor(8) as pool:
        winners = {sha256 for sha256 in pool.map(write, range(8)) if sha256}
    assert winners == {sha256_of(lake.get(lake.uri("raw/x")))}


def test_a_changed_object_is_found_and_a_missing_one_is_named(lake: Lake, tmp_path: Path) -> None:
    reference = lake.put("raw/x", b"one")
    (tmp_path / "a lake" / "raw" / "x").write_bytes(b"0ne")
    with pytest.raises(LakeCorrupt) as caught:
        lake.get(reference)
    assert (caught.value.expected, caught.value.found) == (reference.sha256, sha256_of(b"0ne"))
    for uri in (lake.uri("raw/y"), "file:///elsewhere/raw/x"):
        with pytest.raises(LakeMissing) as missing:
            lake.get(Reference(uri=uri, sha256="0" * 64))
        assert missing.value.uri == uri


@pytest.mark.parametrize(
    "path", ["", "/raw", "raw/../x", "raw//x", ".unfinished/x", "raw/.hidden", "a b", "a\\b"]
)
def test_a_path_that_could_leave_the_lake_is_refused(lake: Lake, path: str) -> None:
    with pytest.raises(ValueError, match="lake path"):
        lake.put(path, b"x")


def test_a_killed_writer_leaves_whole_objects_only(lake: Lake, tmp_path: Path) -> None:
    for _ in range(3):
        # In its own group, so that nothing but this child can be meant.
        child = subprocess.Popen([sys.executable, "-c", WRITES_FOR_EVER, lake.url], start_new_session=True)
        seen = len(lake.list("raw"))
        deadline = time.monotonic() + 60
        while len(lake.list("raw")) < seen + 3:
            assert child.poll() is None
            assert time.monotonic() < deadline
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
        for path in lake.list():
            assert sha256_of(lake.get(lake.uri(path))) == path.removeprefix("raw/")
    lake.sweep()
    assert _files(tmp_path / "a lake") == lake.list()


def test_a_sweep_spares_what_a_living_process_writes(lake: Lake, tmp_path: Path) -> None:
    import fcntl

    lake.put("raw/x", b"x")
    folder = tmp_path / "a lake" / ".unfinished"
    (folder / "dead").write_bytes(b"half")
    with (folder / "alive").open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert lake.sweep() == 1
    assert [path.name for path in folder.iterdir()] == ["alive"]


def test_a_full_disk_leaves_nothing_half_written(lake: Lake, tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", WRITES_BEYOND_A_LIMIT, lake.url], check=False)
    assert done.returncode == 7
    assert _files(tmp_path / "a lake") == ["raw/small"]


def test_a_full_file_system_leaves_nothing_half_written(tmp_path: Path) -> None:
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("needs root and the right to mount a tmpfs; the limit on file size stands in for it")
    try:
        lake = Lake(folder.as_uri())
        small = lake.put("raw/small", b"x" * 1000)
        with pytest.raises(LakeFull) as caught:
            lake.put("raw/large", b"x" * 1_000_000)
        assert caught.value.uri == lake.uri("raw/large")
        assert _files(folder) == ["raw/small"]
        assert lake.get(small) == b"x" * 1000
    finally:
        subprocess.run(["umount", str(folder)], check=True)
