"""Law 11: a new version is proven beside the old one, then takes its place at once, or does not at all."""

import hashlib
import json
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
from serving_bundles import Signer, new_signer, seal, write_bundle
from serving_process import Process, until

from pennant_serving.bundle import load

FEATURES = {"rating": 40.0, "rest": 1.0, "heat": None}
Launch = Callable[..., Process]
Publish = Callable[..., int]
Bundles = dict[str, tuple[Path, str]]


def body(entity: str = "a") -> dict[str, Any]:
    return {"use_case": "toy", "entity": entity, "features": FEATURES}


def detail(process: Process) -> Any:
    return process.send("GET", "/api/v2/models/toy")[2]


def served(process: Process) -> Any:
    found = detail(process)
    return found.get("policy_id"), {each["arm"]: each["version"] for each in found.get("arms", [])}


def test_without_a_policy_the_app_lives_but_is_not_ready(warehouse: str, launch: Launch) -> None:
    process = launch(warehouse)
    until(lambda: process.send("GET", "/health")[0] == 200)
    status, _, document = process.send("GET", "/ready")
    assert (status, document["reasons"]) == (503, ["No verified model is loaded."])
    assert process.send("GET", "/api/v2/models")[2] == {"models": [], "failures": {}}
    assert process.send("POST", "/api/v2/predict", body())[0] == 404
    assert process.send("POST", "/api/v2/models/toy/reload")[0] == 404


def test_a_published_policy_is_served_without_being_told(
    warehouse: str, launch: Launch, publish: Publish
) -> None:
    process = launch(warehouse)
    first = publish(warehouse, {"champion": ("1", 1.0)})
    process.wait_ready()
    assert served(process) == (first, {"champion": "1"})
    second = publish(warehouse, {"champion": ("2", 1.0), "previous": ("1", 0.0)})
    until(lambda: served(process)[0] == second)
    assert served(process)[1] == {"champion": "2", "previous": "1"}


def test_reload_answers_with_exactly_the_new_policy(
    warehouse: str, launch: Launch, publish: Publish, bundles: Bundles
) -> None:
    publish(warehouse, {"champion": ("1", 1.0)})
    process = launch(warehouse, poll_seconds="600").wait_ready()
    before = detail(process)["arms"][0]["loaded_at"]
    new = publish(warehouse, {"champion": ("1", 0.6), "challenger": ("2", 0.4)})
    status, _, found = process.send("POST", "/api/v2/models/toy/reload")
    assert (status, found["policy_id"], found["failure"]) == (200, new, None)
    assert [(each["arm"], each["weight"], each["bundle_sha256"]) for each in found["arms"]] == [
        ("champion", 0.6, bundles["1"][1]),
        ("challenger", 0.4, bundles["2"][1]),
    ]
    assert found["arms"][0]["loaded_at"] == before  # the champion stayed in memory
    assert all(each["golden"]["rows"] == 20 for each in found["arms"])
    answers = [process.send("POST", "/api/v2/predict", body(f"e{n}"))[2] for n in range(60)]
    by_arm = {
        arm: [each["prediction"] for each in answers if each["arm"] == arm]
        for arm in ("champion", "challenger")
    }
    assert 10 < len(by_arm["challenger"]) < 40
    assert all(len(set(numbers)) == 1 for numbers in by_arm.values())


def _one_byte(folder: Path, _: Signer) -> str:
    content = bytearray((folder / "members" / "linear.json").read_bytes())
    content[10] ^= 1
    (folder / "members" / "linear.json").write_bytes(content)
    return "hash"


def _golden_number(folder: Path, signer: Signer) -> str:
    table = pq.read_table(folder / "golden.parquet")
    numbers = table.column("expected").to_numpy().copy()
    numbers[0] += 0.01
    at = table.column_names.index("expected")
    pq.write_table(table.set_column(at, "expected", pa.array(numbers)), folder / "golden.parquet")
    seal(folder, signer)
    return "golden"


def _other_signer(folder: Path, _: Signer) -> str:
    seal(folder, new_signer())
    return "signature"


def _no_signature(folder: Path, _: Signer) -> str:
    (folder / "signature").unlink()
    return "unreadable"


def _gone(folder: Path, _: Signer) -> str:
    shutil.rmtree(folder)
    return "unreadable"


HARMS = [_one_byte, _golden_number, _other_signer, _no_signature, _gone]


def test_a_bundle_that_does_not_verify_is_never_served(
    warehouse: str, launch: Launch, publish: Publish, bundles: Bundles, signer: Signer, tmp_path: Path
) -> None:
    good = publish(warehouse, {"champion": ("1", 1.0)})
    process = launch(warehouse).wait_ready()
    for harm in HARMS:
        folder = Path(shutil.copytree(bundles["2"][0], tmp_path / harm.__name__))
        reason = harm(folder, signer)
        sums = folder / "SHA256SUMS"
        sha256 = hashlib.sha256(sums.read_bytes()).hexdigest() if sums.exists() else bundles["2"][1]
        arms = {"champion": ("bad", 1.0), "previous": ("1", 0.0)}
        bad = publish(warehouse, arms, others={"bad": (folder, sha256)})
        until(lambda bad=bad: (detail(process)["failure"] or {}).get("policy_id") == bad)
        status, headers, document = process.send("POST", "/api/v2/models/toy/reload")
        assert (status, headers["content-type"]) == (422, "application/problem+json")
        assert (document["reason"], document["policy_id"]) == (reason, bad)
        assert document["still_serving"] == good
        assert served(process) == (good, {"champion": "1"})
        assert process.send("POST", "/api/v2/predict", body())[2]["version"] == "1"
        assert process.send("GET", "/ready")[0] == 200
    mended = publish(warehouse, {"champion": ("2", 1.0)})
    until(lambda: served(process)[0] == mended)
    assert detail(process)["failure"] is None


def test_a_bundle_of_another_use_case_is_not_served(warehouse: str, launch: Launch, publish: Publish) -> None:
    process = launch(warehouse)
    publish(warehouse, {"champion": ("1", 1.0)}, use_case="other")
    until(lambda: process.send("GET", "/api/v2/models")[2].get("failures"))
    status, _, document = process.send("POST", "/api/v2/models/other/reload")
    assert (status, document["reason"], document["still_serving"]) == (422, "identity", None)


def test_a_malformed_policy_changes_nothing(warehouse: str, launch: Launch, publish: Publish) -> None:
    good = publish(warehouse, {"champion": ("1", 1.0)})
    process = launch(warehouse).wait_ready()
    publish(warehouse, {"champion": ("2", 0.5)})
    status, _, document = process.send("POST", "/api/v2/models/toy/reload")
    assert (status, document["reason"], document["still_serving"]) == (422, "malformed", good)
    assert served(process) == (good, {"champion": "1"})


def test_a_use_case_that_fails_does_not_hold_up_another(
    warehouse: str, launch: Launch, publish: Publish, signer: Signer, tmp_path: Path
) -> None:
    write_bundle(tmp_path / "aaa", new_signer(), use_case="aaa")
    sha256 = hashlib.sha256((tmp_path / "aaa" / "SHA256SUMS").read_bytes()).hexdigest()
    publish(warehouse, {"champion": ("x", 1.0)}, use_case="aaa", others={"x": (tmp_path / "aaa", sha256)})
    publish(warehouse, {"champion": ("1", 1.0)})
    process = launch(warehouse).wait_ready()
    found = process.send("GET", "/api/v2/models")[2]
    assert [each["name"] for each in found["models"]] == ["toy"]
    assert found["failures"]["aaa"]["reason"] == "signature"


def test_a_restart_serves_the_last_policy_without_warehouse_and_without_the_registry(
    warehouse: str, launch: Launch, publish: Publish, bundles: Bundles, tmp_path: Path
) -> None:
    moved = Path(shutil.copytree(bundles["1"][0], tmp_path / "moved"))
    policy = publish(warehouse, {"champion": ("1", 1.0)}, others={"1": (moved, bundles["1"][1])})
    process = launch(warehouse).wait_ready()
    assert process.terminate() == 0
    shutil.rmtree(moved)
    again = launch("postgresql://nobody@127.0.0.1:1/none", drain_seconds="0.1").wait_ready()
    assert served(again) == (policy, {"champion": "1"})
    assert again.send("POST", "/api/v2/predict", body())[0] == 200
    assert again.send("POST", "/api/v2/models/toy/reload")[0] == 503


def test_a_restart_serves_the_last_good_policy_when_the_newest_does_not_verify(
    warehouse: str, launch: Launch, publish: Publish, bundles: Bundles, tmp_path: Path
) -> None:
    good = publish(warehouse, {"champion": ("1", 1.0)})
    launch(warehouse).wait_ready().terminate()
    folder = Path(shutil.copytree(bundles["2"][0], tmp_path / "harmed"))
    seal(folder, new_signer())
    bad = publish(warehouse, {"champion": ("bad", 1.0)}, others={"bad": (folder, bundles["2"][1])})
    process = launch(warehouse).wait_ready()
    found = detail(process)
    assert (found["policy_id"], found["failure"]["policy_id"]) == (good, bad)


def test_an_arm_with_inputs_of_its_own_gets_them(
    warehouse: str, launch: Launch, publish: Publish, signer: Signer, tmp_path: Path
) -> None:
    def rename(manifest: dict[str, Any]) -> None:
        manifest["inputs"][2]["name"] = "humidity"

    folder = tmp_path / "renamed"
    write_bundle(folder, None)
    # The trees carry feature names; this version is the linear member alone, with its third input renamed.
    manifest = json.loads((folder / "bundle.json").read_text())
    rename(manifest)
    manifest["members"] = [manifest["members"][1] | {"weight": 1.0}]
    (folder / "bundle.json").write_text(json.dumps(manifest))
    (folder / "members" / "trees.ubj").unlink()
    table = pq.read_table(folder / "golden.parquet").rename_columns(
        ["rating", "rest", "humidity", "expected", "expected_low", "expected_high"]
    )
    linear = json.loads((folder / "members" / "linear.json").read_text())
    rows = np.column_stack([table.column(index).to_numpy() for index in range(3)])
    filled = np.where(np.isnan(rows), linear["impute"], rows)
    line = linear["intercept"] + ((filled - linear["mean"]) / np.array(linear["scale"])) @ linear["coef"]
    z = 1.1 * line - 0.05
    for name, numbers in (("expected", z), ("expected_low", z - 0.4), ("expected_high", z + 0.4)):
        at = table.column_names.index(name)
        table = table.set_column(at, name, pa.array(1 / (1 + np.exp(-numbers))))
    pq.write_table(table, folder / "golden.parquet")
    sha256 = seal(folder, signer)
    publish(
        warehouse,
        {"champion": ("1", 0.5), "challenger": ("h", 0.5)},
        others={"h": (folder, sha256)},
    )
    process = launch(warehouse).wait_ready()
    assert [each["name"] for each in detail(process)["contract"]] == ["rating", "rest", "heat", "humidity"]
    rows_sent = [{"entity": str(n), "features": FEATURES | {"humidity": 0.3}} for n in range(30)]
    status, _, found = process.send("POST", "/api/v2/predict/batch", {"use_case": "toy", "rows": rows_sent})
    assert status == 200
    assert {each["arm"] for each in found["predictions"]} == {"champion", "challenger"}


def test_under_fire_every_answer_is_wholly_of_one_version(
    warehouse: str, launch: Launch, publish: Publish, bundles: Bundles, signer: Signer
) -> None:
    """Predictions in four threads during 20 swaps of two versions: none fails, none mixes."""
    row = np.array([[40.0, 1.0, np.nan]])
    numbers = {}
    for version in ("1", "2"):
        scores = load(bundles[version][0], signer.public).predict(row)
        numbers[version] = (scores.prediction[0], scores.low[0], scores.high[0])
    assert numbers["1"] != numbers["2"]
    by_policy = {publish(warehouse, {"champion": ("1", 1.0)}): "1"}
    process = launch(warehouse, poll_seconds="0.05").wait_ready()
    answers: list[tuple[int, Any]] = []
    stop = threading.Event()

    def fire() -> None:
        client = process.client()
        while not stop.is_set():
            status, _, answer = client.send("POST", "/api/v2/predict", body())
            answers.append((status, answer))
        client.close()

    threads = [threading.Thread(target=fire) for _ in range(4)]
    for each in threads:
        each.start()
    for swap in range(20):
        version = "2" if swap % 2 == 0 else "1"
        policy = publish(warehouse, {"champion": (version, 1.0)})
        by_policy[policy] = version
        assert process.send("POST", "/api/v2/models/toy/reload")[2]["policy_id"] == policy
        seen = len(answers)
        until(lambda seen=seen: len(answers) > seen + 10)
    stop.set()
    for each in threads:
        each.join()
    assert {status for status, _ in answers} == {200}
    for _, answer in answers:
        assert answer["version"] == by_policy[answer["policy_id"]]
        assert (answer["prediction"], answer["low"], answer["high"]) == numbers[answer["version"]]
    assert {answer["version"] for _, answer in answers} == {"1", "2"}
    assert process.terminate() == 0
    with psycopg.connect(warehouse) as connection:
        logged = connection.execute("SELECT prediction_id, version, prediction FROM predictions").fetchall()
    assert sorted(logged) == sorted((a["prediction_id"], a["version"], a["prediction"]) for _, a in answers)
