"""Puts the parts together: one FastAPI app that loads, serves, logs and hands over."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from pathlib import Path

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from pennant_serving import docs, logs, routes
from pennant_serving.answering import Answering
from pennant_serving.drain import Drain
from pennant_serving.edge import Edge, request_id
from pennant_serving.follower import Follower
from pennant_serving.keys import Keys
from pennant_serving.metrics import Metrics
from pennant_serving.problems import Problem
from pennant_serving.settings import Settings, SettingsError
from pennant_serving.spool import Spool
from pennant_serving.warehouse import Warehouse

_DESCRIPTION = (
    "Predictions of Pennant's models. A version is verified before it answers, and an answer is logged "
    "before it leaves. Errors are RFC 9457 problem documents."
)


def build(settings: Settings, bundle: Path | None = None, *, allow_unsigned: bool = False) -> FastAPI:
    """The app for `settings`; with `bundle` it serves that one alone, as policy 0.

    Raises:
        SettingsError: a setting that is needed is absent.
        SpoolError: the state folder is in use, damaged or cannot be written.
        BundleRejected: the one bundle does not verify.
    """
    metrics = Metrics()
    public_key = _public_key(settings, needed=bundle is None or not allow_unsigned)
    if bundle is None and not settings.database_url:
        allowed = "the warehouse's postgresql:// URL, or a bundle to serve alone (run --bundle)"
        raise SettingsError("PENNANT_SERVING_DATABASE_URL", "nothing", allowed)
    warehouse = Warehouse(settings.database_url) if settings.database_url else None
    follower = Follower(
        None if bundle else warehouse, settings.state, public_key, metrics, settings.poll_seconds
    )
    if bundle is not None:
        follower.serve_alone(bundle, allow_unsigned=allow_unsigned)
    spool = Spool(settings.state, settings.spool_megabytes)
    drain = None if warehouse is None else Drain(spool, warehouse, metrics, settings.ids_kept_days)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        if bundle is None:
            follower.start()
        if drain is not None:
            drain.start()
        yield
        follower.stop()
        if drain is not None:
            drain.stop(settings.drain_seconds)
        logs.info("stopped", backlog=spool.backlog)
        spool.close()

    app = FastAPI(
        title="Pennant serving",
        version="2",
        description=_DESCRIPTION,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
    )
    parts = routes.Parts(
        settings=settings,
        keys=Keys(settings.keys_file),
        follower=follower,
        spool=spool,
        answering=Answering(follower, spool, metrics),
        metrics=metrics,
        follows=bundle is None,
    )
    app.include_router(routes.predictions(parts))
    app.include_router(routes.models(parts))
    app.include_router(routes.probes(parts, docs.page, lambda: docs.document(app, follower.state)))
    app.add_middleware(Edge, metrics=metrics, max_in_flight=settings.max_in_flight)
    app.add_exception_handler(Problem, _answer_problem)
    app.add_exception_handler(HTTPException, _answer_http)
    app.add_exception_handler(RequestValidationError, _answer_validation)
    app.state.parts = parts
    return app


def _public_key(settings: Settings, *, needed: bool) -> bytes | None:
    variable, allowed = "PENNANT_SERVING_PUBLIC_KEY", "a readable file with the Ed25519 public key"
    if settings.public_key is None:
        if needed:
            raise SettingsError(variable, "nothing", allowed)
        return None
    try:
        return settings.public_key.read_bytes()
    except OSError as error:
        raise SettingsError(variable, f"{settings.public_key}: {error.strerror}", allowed) from error


async def _answer_problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, Problem)  # noqa: S101 - registered for this type only
    return error.response(request.url.path, request_id(request.scope))


async def _answer_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for this type only
    kinds = {HTTPStatus.NOT_FOUND: "not-found", HTTPStatus.METHOD_NOT_ALLOWED: "method-not-allowed"}
    kind = kinds.get(HTTPStatus(error.status_code), "internal")
    problem = Problem(kind, f"{request.method} {request.url.path}", headers=dict(error.headers or {}))
    return await _answer_problem(request, problem)


async def _answer_validation(request: Request, _: Exception) -> Response:
    return await _answer_problem(request, Problem("invalid-request", "A parameter of the address is wrong."))
