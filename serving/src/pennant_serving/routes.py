"""The addresses of the API, version 2, and the probes."""

import ipaddress
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

import psycopg
from fastapi import APIRouter, Path
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from pennant_serving import schemas
from pennant_serving.answering import Answering
from pennant_serving.body import parse
from pennant_serving.follower import Failure, Follower, Served
from pennant_serving.keys import Keys, Role
from pennant_serving.metrics import Metrics
from pennant_serving.problems import Problem
from pennant_serving.settings import Settings
from pennant_serving.spool import Spool
from pennant_serving.warehouse import plain

_ROOM_BYTES = 16_000_000
"""Less free disk than this and the app calls itself not ready, before the log is full."""

Name = Annotated[str, Path(description="The use case")]


@dataclass(frozen=True)
class Parts:
    """What the routes work with."""

    settings: Settings
    keys: Keys
    follower: Follower
    spool: Spool
    answering: Answering
    metrics: Metrics
    follows: bool
    """False when one bundle is served alone."""


def predictions(parts: Parts) -> APIRouter:
    """Predict, batch and explain."""
    router = APIRouter(prefix="/api/v2", tags=["predictions"])
    limit = parts.settings.max_body_bytes

    @router.post("/predict", response_model=schemas.Prediction)
    async def predict(request: Request) -> JSONResponse:
        """What the model says of one entity, written to the log before it is answered."""
        _require(parts, request, "predict")
        body = await parse(request, schemas.PredictRequest, limit)
        return JSONResponse((await parts.answering.predict(body.use_case, [body]))[0])

    @router.post("/predict/batch", response_model=schemas.BatchAnswer)
    async def predict_batch(request: Request) -> JSONResponse:
        """What the model says of many entities: all are answered and logged, or none."""
        _require(parts, request, "predict")
        body = await parse(request, schemas.BatchRequest, limit)
        if len(body.rows) > parts.settings.max_rows:
            found, allowed = len(body.rows), parts.settings.max_rows
            detail = f"{found} rows; allowed are {allowed}. Send several smaller batches."
            raise Problem("too-large", detail, found=found, allowed=allowed)
        return JSONResponse({"predictions": await parts.answering.predict(body.use_case, body.rows)})

    @router.post("/explain", response_model=schemas.ExplanationAnswer)
    async def explain(request: Request) -> JSONResponse:
        """What each feature adds to a prediction; baseline and terms sum to it. Not logged."""
        _require(parts, request, "predict")
        body = await parse(request, schemas.ExplainRequest, limit)
        return JSONResponse(await run_in_threadpool(parts.answering.explain, body))

    return router


def models(parts: Parts) -> APIRouter:
    """What is served, and putting the newest policy in force."""
    router = APIRouter(prefix="/api/v2/models", tags=["models"])

    @router.get("", response_model=schemas.ModelList)
    async def list_models(request: Request) -> dict[str, Any]:
        """Every use case that is served, with the versions of its arms."""
        _require(parts, request, "read")
        state = parts.follower.state
        return {
            "models": [_model(served, state.failures.get(name)) for name, served in state.served.items()],
            "failures": {name: _failure(each) for name, each in state.failures.items()},
        }

    @router.get("/{name}", response_model=schemas.ModelDetail)
    async def model_detail(request: Request, name: Name) -> dict[str, Any]:
        """One use case: policy, arms and the contract of its inputs."""
        _require(parts, request, "read")
        state = parts.follower.state
        if name not in state.served:
            raise _unknown(parts, name)
        return _detail(state.served[name], state.failures.get(name))

    @router.post("/{name}/reload", response_model=schemas.ModelDetail)
    async def reload(request: Request, name: Name) -> dict[str, Any]:
        """Put the newest policy in force now; when it cannot be, the old one stays and this says why."""
        _require(parts, request, "admin")
        if not parts.follows:
            raise Problem("policy-refused", "This app was started with one bundle and follows no policies.")
        try:
            served = await run_in_threadpool(parts.follower.refresh, name)
        except psycopg.Error as error:
            raise Problem("warehouse-down", plain(error), headers={"Retry-After": "5"}) from error
        if served is None:
            raise _unknown(parts, name)
        if isinstance(served, Failure):
            still = parts.follower.state.served.get(name)
            raise Problem(
                "policy-refused",
                served.detail,
                policy_id=served.policy_id,
                reason=served.reason,
                still_serving=None if still is None else still.policy.id,
                **served.members,
            )
        return _detail(served, None)

    return router


def probes(parts: Parts, docs_page: Callable[[], str], openapi: Callable[[], dict[str, Any]]) -> APIRouter:
    """Health, readiness, metrics and documentation."""
    router = APIRouter(tags=["probes"])

    @router.get("/health")
    async def health() -> dict[str, str]:
        """The process is alive."""
        return {"status": "alive"}

    @router.get("/ready")
    async def ready() -> dict[str, Any]:
        """A verified model is loaded, and predictions can be logged."""
        reasons = _not_ready(parts)
        if reasons:
            kind = "not-ready" if parts.keys.present() else "no-keys-file"
            raise Problem(kind, " ".join(reasons), headers={"Retry-After": "2"}, reasons=reasons)
        return {
            "status": "ready",
            "models": sorted(parts.follower.state.served),
            "backlog": parts.spool.backlog,
        }

    @router.get("/metrics", response_class=Response)
    async def metrics(request: Request) -> Response:
        """Prometheus metrics."""
        _require_unless_local(parts, request)
        parts.metrics.backlog.set(parts.spool.backlog)
        return Response(generate_latest(parts.metrics.registry), media_type=CONTENT_TYPE_LATEST)

    @router.get("/openapi.json", include_in_schema=False)
    async def openapi_document(request: Request) -> dict[str, Any]:
        _require_unless_local(parts, request)
        return openapi()

    @router.get("/docs", include_in_schema=False)
    async def docs(request: Request) -> Response:
        _require_unless_local(parts, request)
        return Response(docs_page(), media_type="text/html")

    return router


def _require(parts: Parts, request: Request, role: Role) -> None:
    caller = parts.keys.require(request.headers.get("authorization"), role)
    request.scope["state"]["caller"] = caller


def _require_unless_local(parts: Parts, request: Request) -> None:
    local = request.client is not None and _is_loopback(request.client.host)
    if not local or not parts.keys.present():
        _require(parts, request, "read")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _not_ready(parts: Parts) -> list[str]:
    reasons = []
    if not parts.keys.present():
        reasons.append("There is no usable keys file.")
    if not parts.follower.state.served:
        reasons.append("No verified model is loaded.")
    backlog, limit = parts.spool.backlog, parts.settings.backlog_limit
    if parts.settings.database_url and backlog > limit:
        reasons.append(f"{backlog} predictions wait for the warehouse; allowed are {limit}.")
    if shutil.disk_usage(parts.settings.state).free < _ROOM_BYTES:
        reasons.append(f"The disk of the prediction log has less than {_ROOM_BYTES} bytes free.")
    return reasons


def _unknown(parts: Parts, name: str) -> Problem:
    served = sorted(parts.follower.state.served)
    failure = parts.follower.state.failures.get(name)
    why = f"its newest policy was refused: {failure.detail}" if failure else "it has no traffic policy here"
    return Problem("unknown-use-case", f"{name!r} is not served; {why}; served are {served}.", served=served)


def _failure(failure: Failure) -> dict[str, Any]:
    return {"policy_id": failure.policy_id, "reason": failure.reason, "detail": failure.detail}


def _model(served: Served, failure: Failure | None) -> dict[str, Any]:
    return {
        "name": served.policy.use_case,
        "policy_id": served.policy.id,
        "arms": [
            {
                "arm": arm.arm,
                "version": arm.version,
                "weight": arm.weight,
                "bundle_sha256": arm.bundle_sha256,
                "loaded_at": served.bundles[arm.arm].loaded_at,
                "trained_until": served.bundles[arm.arm].bundle.trained_until,
                "golden": vars(served.bundles[arm.arm].bundle.golden),
            }
            for arm in served.policy.arms
        ],
        "failure": None if failure is None else _failure(failure),
    }


def _detail(served: Served, failure: Failure | None) -> dict[str, Any]:
    first = served.first
    return {
        **_model(served, failure),
        "task": first.task,
        "outcome": first.outcome.model_dump(),
        "contract": [each.model_dump() for each in served.inputs.values()],
    }
