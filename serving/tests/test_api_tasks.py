"""What the API answers, logs and explains for each task, in process and through a real warehouse."""

import json
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import pytest
from member_cases import CLASSES, STEPS, names_of, rows_of
from serving_bundles import Signer
from serving_process import Process, environment, until
from starlette.testclient import TestClient
from task_bundles import TASKS, confidence_of, scorer_of, write_task_bundle

from pennant_serving import schemas
from pennant_serving.app import build
from pennant_serving.settings import Settings

WHO = {"prediction_id", "use_case", "entity", "version", "arm", "policy_id"}
SURE = {"confidence", "disagreement"}
KEYS = {
    "binary": {"prediction", "low", "high"},
    "multiclass": {"probabilities", "low", "high", "most_likely"},
    "count": {"distribution", "mean", "low", "high"},
    "regression": {"prediction", "low", "high", "unit"},
    "trajectory": {"path", "radius"},
}
MODELS = {
    "binary": schemas.NumberPrediction, "regression": schemas.NumberPrediction,
    "multiclass": schemas.ClassesPrediction, "count": schemas.CountPrediction,
    "trajectory": schemas.PathPrediction,
}  # fmt: skip
Opener = Callable[..., TestClient]
every = pytest.mark.parametrize("task", TASKS)


@pytest.fixture
def opened(tmp_path: Path, signer: Signer) -> Iterator[Opener]:
    """Opens the app on a bundle of a task: opened(task, confidence=...)."""
    clients: list[TestClient] = []

    def start(task: str, **change: Any) -> TestClient:
        write_task_bundle(tmp_path / task, signer, task, **change)
        settings = Settings.load(environment(tmp_path / "installation", signer.public, ""))
        client = TestClient(build(settings, tmp_path / task), raise_server_exceptions=False)
        client.headers["Authorization"] = "Bearer admin-key"
        clients.append(client.__enter__())
        return client

    yield start
    for each in clients:
        each.__exit__(None, None, None)


def features(task: str, row: Any) -> dict[str, float | None]:
    return {name: None if np.isnan(v) else float(v) for name, v in zip(names_of(task), row, strict=True)}


def ask(task: str, seed: int = 21, **more: Any) -> dict[str, Any]:
    return {"use_case": "toy", "entity": "a", "features": features(task, rows_of(task, 1, seed)[0]), **more}


def logged(folder: Path) -> list[dict[str, Any]]:
    path = next((folder / "installation").rglob("spool.sqlite"))
    with sqlite3.connect(path) as database:
        return [json.loads(each) for (each,) in database.execute("SELECT record FROM spool ORDER BY seq")]


@every
def test_an_answer_has_the_keys_of_its_task_and_the_numbers_of_the_scorer(opened: Opener, task: str) -> None:
    found = opened(task).post("/api/v2/predict", json=ask(task)).json()
    assert found.keys() == WHO | KEYS[task]
    MODELS[task].model_validate(found)
    scores = scorer_of(task).predict(rows_of(task, 1, 21))
    prediction, low, high = (each[0].tolist() for each in (scores.prediction, scores.low, scores.high))
    if task in {"binary", "regression"}:
        assert (found["prediction"], found["low"], found["high"]) == (prediction, low, high)
    if task == "multiclass":
        assert found["probabilities"] == dict(zip(CLASSES, prediction, strict=True))
        assert (found["low"], found["high"]) == tuple(dict(zip(CLASSES, e, strict=True)) for e in (low, high))
        assert found["probabilities"][found["most_likely"]] == max(prediction)
    if task == "count":
        assert (found["distribution"], found["low"], found["high"]) == (prediction, low, high)
        assert found["mean"] == pytest.approx(np.dot(prediction, np.arange(len(prediction))))
    if task == "trajectory":
        assert found["path"] == np.reshape(prediction, (STEPS, 2)).tolist()
        assert found["radius"] == low


@every
def test_confidence_is_told_where_the_bundle_has_it(opened: Opener, task: str) -> None:
    found = opened(task, confidence=confidence_of(task)).post("/api/v2/predict", json=ask(task)).json()
    assert found.keys() == WHO | KEYS[task] | SURE
    scores = scorer_of(task, confidence=confidence_of(task)).predict(rows_of(task, 1, 21))
    assert found["confidence"] == scores.confidence[0]
    assert found["disagreement"] == scores.disagreement[0]


@every
def test_the_log_holds_one_number_and_the_whole_answer(opened: Opener, tmp_path: Path, task: str) -> None:
    sent = ask(task, prediction_id="mine")
    client = opened(task)
    found = client.post("/api/v2/predict", json=sent).json()
    (record,) = logged(tmp_path)
    payload = {name: each for name, each in found.items() if name not in WHO}
    if task == "binary":
        assert record["extra"].keys() == {"bundle_sha256"}
    else:
        assert record["extra"]["answer"] == payload
    row = rows_of(task, 1, 21)[0]
    wanted = {
        "binary": lambda: (found["prediction"], found["low"], found["high"]),
        "regression": lambda: (found["prediction"], found["low"], found["high"]),
        "multiclass": lambda: tuple(found[k][found["most_likely"]] for k in ("probabilities", "low", "high")),
        "count": lambda: (found["mean"], found["low"], found["high"]),
        "trajectory": lambda: (float(np.hypot(*(np.array(found["path"][-1]) - row[:2]))), None, None),
    }[task]()
    assert (record["prediction"], record["low"], record["high"]) == wanted
    again = client.post("/api/v2/predict", json={**sent, "features": ask(task, 22)["features"]}).json()
    assert again == found
    assert len(logged(tmp_path)) == 1


def test_a_count_is_priced_at_the_line_that_is_asked_for_row_by_row(opened: Opener) -> None:
    client, rows = opened("count"), rows_of("count", 3, 5)
    sent = [
        {"entity": f"e{at}", "features": features("count", row), "line": line}
        for at, (row, line) in enumerate(zip(rows, (3.5, 4.0, None), strict=True))
    ]
    answer = client.post("/api/v2/predict/batch", json={"use_case": "toy", "rows": sent})
    half, whole, none = answer.json()["predictions"]
    assert half["at_line"]["line"] == 3.5
    assert half["at_line"]["under"] == pytest.approx(sum(half["distribution"][:4]))
    assert half["at_line"]["push"] == pytest.approx(0.0, abs=1e-12)
    assert whole["at_line"]["push"] == pytest.approx(whole["distribution"][4])
    assert whole["at_line"]["over"] == pytest.approx(sum(whole["distribution"][5:]))
    assert "at_line" not in none


@pytest.mark.parametrize(
    ("task", "line", "allowed"),
    [
        ("count", 3.3, "multiple of 0.25"),
        ("count", -1, "from 0 and under"),
        ("count", 400, "from 0 and under"),
        ("count", "3.5", "number"),
        ("binary", 3.5, "no line"),
        ("trajectory", 0.5, "no line"),
    ],
)
def test_a_line_that_cannot_be_priced_is_refused_and_nothing_is_logged(
    opened: Opener, tmp_path: Path, task: str, line: object, allowed: str
) -> None:
    answer = opened(task).post("/api/v2/predict", json=ask(task, line=line))
    assert answer.status_code == 422
    (error,) = answer.json()["errors"]
    assert error["field"].startswith("line")
    assert allowed in error["allowed"]
    assert logged(tmp_path) == []


@every
def test_an_explanation_adds_up_for_each_output(opened: Opener, task: str) -> None:
    client = opened(task)
    found = client.post("/api/v2/explain", json=ask(task)).json()
    answer = client.post("/api/v2/predict", json=ask(task)).json()
    assert {name: found[name] for name in KEYS[task]} == {name: answer[name] for name in KEYS[task]}
    outputs = found["outputs"] if task != "binary" else [found]
    totals = [each["baseline"] + sum(t["contribution"] for t in each["contributions"]) for each in outputs]
    wanted = {
        "binary": lambda: [_logit(answer["prediction"])],
        "multiclass": lambda: [_logit(answer["probabilities"][name]) for name in CLASSES],
        "count": lambda: [np.log(answer["mean"])],
        "regression": lambda: [answer["prediction"]],
        "trajectory": lambda: answer["path"][-1],
    }[task]()
    np.testing.assert_allclose(totals, wanted, atol=1e-5)
    for each in outputs:
        sizes = [abs(term["contribution"]) for term in each["contributions"]]
        assert sizes == sorted(sizes, reverse=True)
        assert {term["feature"] for term in each["contributions"]} == set(names_of(task))
    if task != "binary":
        names = {"multiclass": CLASSES, "trajectory": ["x", "y"], "count": ["log of the mean"]}
        assert [each["output"] for each in outputs] == names.get(task, ["number"])


@every
def test_the_description_tells_the_task_and_its_examples_run(opened: Opener, task: str) -> None:
    client = opened(task)
    detail = client.get("/api/v2/models/toy").json()
    assert detail["task"] == task
    assert detail["outcome"]["steps"] == (STEPS if task == "trajectory" else 0)
    document = client.get("/openapi.json").json()
    for path in ("/api/v2/predict", "/api/v2/predict/batch", "/api/v2/explain"):
        content = document["paths"][path]["post"]["requestBody"]["content"]["application/json"]
        assert client.post(path, json=content["examples"]["toy"]["value"]).status_code == 200


def _logit(p: float) -> float:
    return float(np.log(p / (1 - p)))


def test_a_path_reaches_the_warehouse_with_its_whole_answer(
    launch: Callable[..., Process],
    warehouse: str,
    publish: Callable[..., int],
    signer: Signer,
    tmp_path: Path,
) -> None:
    made = {"p": (tmp_path / "p", write_task_bundle(tmp_path / "p", signer, "trajectory"))}
    publish(warehouse, {"champion": ("p", 1.0)}, others=made)
    process = launch(warehouse).wait_ready()
    status, _, answer = process.send("POST", "/api/v2/predict", ask("trajectory"))
    assert status == 200

    def row() -> Any:
        with psycopg.connect(warehouse) as connection:
            return connection.execute("SELECT prediction, low, high, extra FROM predictions").fetchone()

    prediction, low, high, extra = until(row)
    assert extra["answer"] == {"path": answer["path"], "radius": answer["radius"]}
    assert prediction > 0
    assert (low, high) == (None, None)


def test_arms_that_answer_different_questions_are_refused(
    launch: Callable[..., Process],
    warehouse: str,
    publish: Callable[..., int],
    signer: Signer,
    tmp_path: Path,
) -> None:
    made = {
        task: (tmp_path / task, write_task_bundle(tmp_path / task, signer, task))
        for task in ("count", "regression")
    }
    publish(warehouse, {"champion": ("count", 1.0)}, others=made)
    process = launch(warehouse).wait_ready()
    publish(warehouse, {"champion": ("count", 0.5), "challenger": ("regression", 0.5)}, others=made)
    status, _, problem = process.send("POST", "/api/v2/models/toy/reload")
    assert (status, problem["reason"], problem["where"]) == (422, "identity", "arm challenger")
    assert process.send("GET", "/api/v2/models/toy")[2]["task"] == "count"
