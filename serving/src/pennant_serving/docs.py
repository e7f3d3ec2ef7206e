"""The OpenAPI document, with examples of what is served right now, so that each of them runs."""

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel

from pennant_serving import schemas
from pennant_serving.follower import State

_REF = "#/components/schemas/{model}"
_BODIES: dict[str, type[BaseModel]] = {
    "/api/v2/predict": schemas.PredictRequest,
    "/api/v2/predict/batch": schemas.BatchRequest,
    "/api/v2/explain": schemas.ExplainRequest,
}
_PROBLEM = {"application/problem+json": {"schema": {"$ref": _REF.format(model="ProblemDocument")}}}


@cache
def page() -> str:
    """The page at /docs: one file, nothing fetched from elsewhere."""
    return files("pennant_serving").joinpath("docs.html").read_text(encoding="utf-8")


def document(app: FastAPI, state: State) -> dict[str, Any]:
    """OpenAPI 3.1 of the app. Bodies are parsed by hand (see `body.py`), so their schemas are added here."""
    found = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
    components = found.setdefault("components", {})
    known = components.setdefault("schemas", {})
    components["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
    for path, kind in _BODIES.items():
        found["paths"][path]["post"]["requestBody"] = {
            "required": True,
            "content": {
                "application/json": {
                    "schema": _schema(kind, known),
                    "examples": _examples(path, state),
                }
            },
        }
    _schema(schemas.ProblemDocument, known)
    for path, operations in found["paths"].items():
        for operation in operations.values():
            operation["responses"].pop("422", None)
            operation["responses"]["default"] = {"description": "A problem document", "content": _PROBLEM}
            if path.startswith("/api/"):
                operation["security"] = [{"key": []}]
    return found


def _schema(kind: type[BaseModel], known: dict[str, Any]) -> dict[str, str]:
    schema = kind.model_json_schema(ref_template=_REF)
    known.update(schema.pop("$defs", {}))
    known[kind.__name__] = schema
    return {"$ref": _REF.format(model=kind.__name__)}


def _examples(path: str, state: State) -> dict[str, Any]:
    return {
        name: {
            "summary": f"{name}, the first golden row",
            "value": _example(path, name, served.inputs, state),
        }
        for name, served in sorted(state.served.items())
    }


def _example(path: str, use_case: str, inputs: Mapping[str, Any], state: State) -> dict[str, Any]:
    known: dict[str, float | None] = {}
    for loaded in state.served[use_case].bundles.values():
        for name, value in loaded.bundle.example.items():
            known.setdefault(name, value)
    row: dict[str, Any] = {"entity": "example", "features": {name: known[name] for name in inputs}}
    if state.served[use_case].first.task == "count" and not path.endswith("/explain"):
        row["line"] = 0.5
    if path.endswith("/batch"):
        return {"use_case": use_case, "rows": [row]}
    return {"use_case": use_case, **row}
