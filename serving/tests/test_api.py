"""What the API answers, and how it refuses."""

import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from serving_bundles import Signer, write_bundle
from serving_process import environment
from starlette.testclient import TestClient

from pennant_serving import keys, logs
from pennant_serving.app import build
from pennant_serving.bundle import load
from pennant_serving.settings import Settings, SettingsError

GOOD = {"rating": 12.5, "rest": 3, "heat": None}
Opener = Callable[..., TestClient]


@pytest.fixture
def opened(tmp_path: Path, signer: Signer, bundles: dict[str, tuple[Path, str]]) -> Iterator[Opener]:
    """Opens the app on bundle 1 alone: opened(client_host=..., MAX_ROWS="3")."""
    clients: list[TestClient] = []

    def start(host: str = "127.0.0.1", **given: str) -> TestClient:
        found = environment(tmp_path / "installation", signer.public, "")
        found |= {f"PENNANT_SERVING_{name}": value for name, value in given.items()}
        settings = Settings.load(found)
        client = TestClient(build(settings, bundles["1"][0]), client=(host, 5), raise_server_exceptions=False)
        client.headers["Authorization"] = "Bearer admin-key"
        clients.append(client.__enter__())
        return client

    yield start
    for each in clients:
        each.__exit__(None, None, None)


@pytest.fixture
def client(opened: Opener) -> TestClient:
    return opened()


def row(**features: Any) -> dict[str, Any]:
    return {"use_case": "toy", "entity": "a", "features": GOOD | features}


def problem(answer: Any, status: int, kind: str) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    document = answer.json()
    assert document["type"] == f"urn:pennant:problem:{kind}"
    assert document["status"] == status
    assert document["request_id"] == answer.headers["x-request-id"]
    assert {"title", "detail", "instance"} <= document.keys()
    return dict(document)


def test_a_prediction_is_what_the_bundle_says(client: TestClient, bundles: Any, signer: Signer) -> None:
    answer = client.post("/api/v2/predict", json=row()).json()
    scores = load(bundles["1"][0], signer.public).predict(np.array([[12.5, 3, np.nan]]))
    assert (answer["prediction"], answer["low"], answer["high"]) == (
        scores.prediction[0],
        scores.low[0],
        scores.high[0],
    )
    assert (answer["version"], answer["arm"], answer["policy_id"]) == (bundles["1"][1][:12], "champion", 0)


@pytest.mark.parametrize("count", [1, 16, 17, 300])
def test_a_batch_answers_each_row_as_if_alone_and_in_order(client: TestClient, count: int) -> None:
    rows = [
        {"entity": f"e{n}", "features": GOOD | {"rating": n}, "prediction_id": f"{n}"} for n in range(count)
    ]
    answers = client.post("/api/v2/predict/batch", json={"use_case": "toy", "rows": rows}).json()[
        "predictions"
    ]
    assert [each["prediction_id"] for each in answers] == [str(n) for n in range(count)]
    alone = client.post("/api/v2/predict", json=row(rating=count - 1)).json()
    assert answers[-1]["prediction"] == alone["prediction"]


def test_an_explanation_adds_up_and_is_not_logged(client: TestClient) -> None:
    answer = client.post("/api/v2/explain", json=row()).json()
    total = answer["baseline"] + sum(each["contribution"] for each in answer["contributions"])
    assert 1 / (1 + np.exp(-total)) == pytest.approx(answer["prediction"], abs=1e-9)
    assert {each["feature"] for each in answer["contributions"]} == set(GOOD)
    assert client.get("/ready").json()["backlog"] == 0


@pytest.mark.parametrize(
    ("features", "field", "found", "allowed"),
    [
        ({"rating": 1001}, "features.rating", "1001", "a number from -1000 to 1000 (points)"),
        ({"rating": "5"}, "features.rating", "'5'", "a JSON number or null (points)"),
        ({"rating": True}, "features.rating", "True", "a JSON number or null (points)"),
        ({"rating": [1]}, "features.rating", "[1]", "a JSON number or null (points)"),
        ({"rest": None}, "features.rest", "null", "a number (days); this input may not be missing"),
        ({"rating": 10**400}, "features.rating", None, "a number from -1000 to 1000 (points)"),
        ({"ratng": 1}, "features.ratng", "an unknown field", None),
    ],
)
def test_a_value_outside_the_contract_is_named(
    client: TestClient, features: dict[str, Any], field: str, found: str | None, allowed: str | None
) -> None:
    bad = {"entity": "b", "features": GOOD | features}
    body = {"use_case": "toy", "rows": [{"entity": "a", "features": GOOD}, bad]}
    error = problem(client.post("/api/v2/predict/batch", json=body), 422, "invalid-request")["errors"][0]
    assert (error["row"], error["field"]) == (1, field)
    assert found is None or error["found"] == found
    assert allowed is None or error["allowed"] == allowed
    assert client.get("/ready").json()["backlog"] == 0


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_numbers_that_are_none_are_refused(client: TestClient, number: str) -> None:
    text = json.dumps(row()).replace("12.5", number)
    answer = client.post("/api/v2/predict", content=text, headers={"content-type": "application/json"})
    assert problem(answer, 422, "invalid-request")["errors"][0]["field"] == "features.rating"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"entity": ""}, "entity"),
        ({"entity": 5}, "entity"),
        ({"entity": "a\x00b"}, "entity"),
        ({"entity": "x" * 201}, "entity"),
        ({"features": [1]}, "features"),
        ({"event_time": "2024-01-01T00:00:00"}, "event_time"),
        ({"as_of": "soon"}, "as_of"),
        ({"prediction_id": "a\nb"}, "prediction_id"),
        ({"modle": 1}, "modle"),
    ],
)
def test_a_body_outside_the_schema_is_refused_by_field(client: TestClient, change: Any, field: str) -> None:
    document = problem(client.post("/api/v2/predict", json=row() | change), 422, "invalid-request")
    assert document["errors"][0]["field"] == field


def test_a_missing_field_and_a_missing_input_are_named(client: TestClient) -> None:
    document = problem(client.post("/api/v2/predict", json={"use_case": "toy"}), 422, "invalid-request")
    assert {each["field"] for each in document["errors"]} == {"entity", "features"}
    body = {"use_case": "toy", "entity": "a", "features": {"rating": 1, "rest": 1}}
    error = problem(client.post("/api/v2/predict", json=body), 422, "invalid-request")["errors"][0]
    assert (error["field"], error["found"]) == ("features.heat", "nothing")


def test_what_is_no_json_is_refused(client: TestClient) -> None:
    for content in (b"", b"{", b"\xff\xfe", b'{"entity": "\\ud800"}'):
        answer = client.post("/api/v2/predict", content=content)
        problem(answer, 400, "bad-json")
    answer = client.post("/api/v2/predict", content=b"a=1", headers={"content-type": "text/plain"})
    problem(answer, 415, "not-json-media")


def test_addresses_and_methods_that_are_not_there_are_problems(client: TestClient) -> None:
    problem(client.get("/api/v1/predict"), 404, "not-found")
    problem(client.get("/api/v2/predict"), 405, "method-not-allowed")
    problem(client.get("/api/v2/models/other"), 404, "unknown-use-case")
    document = problem(
        client.post("/api/v2/predict", json=row() | {"use_case": "x"}), 404, "unknown-use-case"
    )
    assert document["served"] == ["toy"]


def test_a_body_or_batch_over_the_limit_is_refused(opened: Opener) -> None:
    client = opened(MAX_ROWS="3", MAX_BODY_BYTES="2000")
    rows = [{"entity": str(n), "features": GOOD} for n in range(4)]
    document = problem(
        client.post("/api/v2/predict/batch", json={"use_case": "toy", "rows": rows}), 413, "too-large"
    )
    assert (document["found"], document["allowed"]) == (4, 3)
    problem(client.post("/api/v2/predict", content=b" " * 2001), 413, "too-large")
    chunks = (b" " * 500 for _ in range(9))
    problem(client.post("/api/v2/predict", content=chunks), 413, "too-large")


@pytest.mark.parametrize(
    ("method", "path", "role"),
    [
        ("GET", "/api/v2/models", "read"),
        ("GET", "/api/v2/models/toy", "read"),
        ("POST", "/api/v2/predict", "predict"),
        ("POST", "/api/v2/predict/batch", "predict"),
        ("POST", "/api/v2/explain", "predict"),
        ("POST", "/api/v2/models/toy/reload", "admin"),
    ],
)
def test_each_address_asks_for_its_role(client: TestClient, method: str, path: str, role: str) -> None:
    ranks = ["read", "predict", "admin"]
    for each in ranks:
        answer = client.request(method, path, headers={"Authorization": f"Bearer {each}-key"}, json={})
        if ranks.index(each) < ranks.index(role):
            problem(answer, 403, "role-too-low")
        else:
            assert answer.status_code not in {401, 403, 503}
    for wrong in ("", "Bearer", "Bearer ", "Bearer no", "Basic admin-key", "admin-key", "Bearer admin-key2"):
        answer = client.request(method, path, headers={"Authorization": wrong}, json={})
        problem(answer, 401, "no-key")
        assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("content", [None, "", "{}", "[]", '{"a": {"sha256": "x", "role": "admin"}}'])
def test_without_a_keys_file_only_health_answers(opened: Opener, tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "other.json"
    if content is not None:
        path.write_text(content)
    client = opened(KEYS_FILE=str(path))
    assert client.get("/health").status_code == 200
    for address in ("/ready", "/metrics", "/docs", "/openapi.json", "/api/v2/models"):
        problem(client.get(address), 503, "no-keys-file")
    problem(client.post("/api/v2/predict", json=row()), 503, "no-keys-file")


def test_a_key_is_added_and_withdrawn_while_serving(opened: Opener, tmp_path: Path) -> None:
    path = tmp_path / "live.json"
    client = opened(KEYS_FILE=str(path))
    problem(client.get("/api/v2/models"), 503, "no-keys-file")
    keys.add(path, "me", "read", "secret")
    client.headers["Authorization"] = "Bearer secret"
    assert client.get("/api/v2/models").status_code == 200
    assert "secret" not in path.read_text()
    keys.add(path, "me", "read", "other")
    problem(client.get("/api/v2/models"), 401, "no-key")


def test_probes_and_docs_are_open_on_loopback_only(opened: Opener) -> None:
    away = opened(host="10.0.0.7")
    del away.headers["Authorization"]
    for address in ("/metrics", "/docs", "/openapi.json"):
        problem(away.get(address), 401, "no-key")
    assert away.get("/health").status_code == away.get("/ready").status_code == 200
    assert away.get("/metrics", headers={"Authorization": "Bearer read-key"}).status_code == 200


def test_probes_and_docs_need_no_key_on_loopback(client: TestClient) -> None:
    del client.headers["Authorization"]
    for address in ("/health", "/ready", "/metrics", "/docs", "/openapi.json"):
        assert client.get(address).status_code == 200


def test_every_example_of_the_documentation_runs(client: TestClient) -> None:
    document = client.get("/openapi.json").json()
    ran = 0
    for path, operations in document["paths"].items():
        body = operations.get("post", {}).get("requestBody")
        for example in (body or {"content": {"application/json": {"examples": {}}}})["content"][
            "application/json"
        ]["examples"].values():
            assert client.post(path, json=example["value"]).status_code == 200
            ran += 1
    assert ran == 3


def test_the_docs_page_fetches_nothing_from_elsewhere(client: TestClient) -> None:
    page = client.get("/docs").text
    assert "openapi.json" in page
    assert "http://" not in page
    assert "https://" not in page


def test_every_reference_of_the_document_is_there(client: TestClient) -> None:
    text = client.get("/openapi.json").text
    known = json.loads(text)["components"]["schemas"]
    named = {part.split('"')[0] for part in text.split("#/components/schemas/")[1:]}
    assert named <= known.keys()
    assert "$defs" not in text


def test_overload_is_said_with_a_time_to_come_back(opened: Opener) -> None:
    import asyncio

    import httpx

    client = opened(MAX_IN_FLIGHT="1")
    started, go_on = asyncio.Event(), asyncio.Event()

    async def slow_body() -> Any:
        started.set()
        await go_on.wait()
        yield json.dumps(row()).encode()

    async def both() -> tuple[httpx.Response, httpx.Response, httpx.Response]:
        transport = httpx.ASGITransport(client.app)  # type: ignore[arg-type]
        headers = {"Authorization": "Bearer admin-key"}
        async with httpx.AsyncClient(transport=transport, base_url="http://t", headers=headers) as inside:
            # Straight at the app: its own in-process transport reads the body before it is asked to.
            first = asyncio.create_task(inside.post("/api/v2/predict", content=slow_body()))
            await started.wait()
            refused = await inside.get("/api/v2/models")
            alive = await inside.get("/health")
            go_on.set()
            return await first, refused, alive

    first, refused, alive = asyncio.run(both())
    problem(refused, 503, "overloaded")
    assert refused.headers["retry-after"] == "1"
    assert (first.status_code, alive.status_code) == (200, 200)


def test_logs_name_the_request_and_hold_no_secret(
    client: TestClient, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, logger="pennant_serving"):
        client.post("/api/v2/predict", json=row(rating=123.456), headers={"X-Request-ID": "my-id.7"})
        client.post("/api/v2/predict", json=row(), headers={"X-Request-ID": "bad id\t"})
    lines = [json.loads(logs._Lines().format(each)) for each in caplog.records]
    requests = [each for each in lines if each["event"] == "request"]
    assert requests[0]["request_id"] == "my-id.7"
    assert (requests[0]["route"], requests[0]["status"], requests[0]["caller"]) == (
        "/api/v2/predict",
        200,
        "admin",
    )
    assert "bad id" not in str(requests[1])
    assert "admin-key" not in str(lines)
    assert "123.456" not in str(lines)


def test_an_error_of_the_app_tells_the_caller_nothing_but_its_id(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(_: object) -> None:
        raise RuntimeError("the inside of the app")

    monkeypatch.setattr(client.app.state.parts.answering, "explain", broken)  # type: ignore[attr-defined]
    answer = client.post("/api/v2/explain", json=row())
    document = problem(answer, 500, "internal")
    assert "inside" not in answer.text
    assert document["request_id"] in str([vars(each) for each in caplog.records])


def test_one_bundle_alone_follows_no_policy(client: TestClient) -> None:
    problem(client.post("/api/v2/models/toy/reload"), 422, "policy-refused")


def test_metrics_count_predictions_by_version(client: TestClient, bundles: Any) -> None:
    client.post("/api/v2/predict", json=row())
    text = client.get("/metrics").text
    version = bundles["1"][1][:12]
    assert f'predictions_total{{arm="champion",use_case="toy",version="{version}"}} 1.0' in text
    assert 'requests_total{method="POST",route="/api/v2/predict",status="200"} 1.0' in text


def test_readiness_says_why_not(opened: Opener) -> None:
    client = opened(
        DATABASE_URL="postgresql://nobody@127.0.0.1:1/none", BACKLOG_LIMIT="2", DRAIN_SECONDS="0.1"
    )
    assert client.get("/ready").status_code == 200
    for _ in range(3):
        assert client.post("/api/v2/predict", json=row()).status_code == 200
    document = problem(client.get("/ready"), 503, "not-ready")
    assert "3 predictions wait" in document["reasons"][0]


@pytest.mark.parametrize(
    ("name", "value"),
    [("PORT", "70000"), ("PORT", "x"), ("MAX_ROWS", "0"), ("POLL_SECONDS", "nan"), ("POLL_SECONDS", "-1")],
)
def test_a_setting_that_cannot_be_used_is_named(name: str, value: str) -> None:
    with pytest.raises(SettingsError) as caught:
        Settings.load({f"PENNANT_SERVING_{name}": value})
    assert (caught.value.variable, caught.value.found) == (f"PENNANT_SERVING_{name}", repr(value))


def test_the_password_is_in_no_print_of_the_settings() -> None:
    assert "hidden" not in repr(Settings(database_url="postgresql://u:hidden@h/d"))


def test_the_app_does_not_start_without_what_it_needs(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as no_key:
        build(Settings(state=tmp_path, database_url="postgresql://x"))
    assert no_key.value.variable == "PENNANT_SERVING_PUBLIC_KEY"
    (tmp_path / "key").write_bytes(b"x")
    with pytest.raises(SettingsError) as no_warehouse:
        build(Settings(state=tmp_path, public_key=tmp_path / "key"))
    assert no_warehouse.value.variable == "PENNANT_SERVING_DATABASE_URL"


def test_an_unsigned_bundle_is_served_alone_only_when_allowed(tmp_path: Path) -> None:
    write_bundle(tmp_path / "b", None)
    app = build(Settings(state=tmp_path / "state"), tmp_path / "b", allow_unsigned=True)
    with TestClient(app):
        assert "toy" in app.state.parts.follower.state.served
    with pytest.raises(SettingsError):
        build(Settings(state=tmp_path / "state2"), tmp_path / "b")
