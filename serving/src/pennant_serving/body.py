"""Reads a request's body within its limit and parses it strictly."""

from typing import Any

from pydantic import BaseModel, ValidationError
from starlette.requests import Request

from pennant_serving.problems import Problem, shown

_MOST_ERRORS = 25


async def parse[B: BaseModel](request: Request, kind: type[B], most_bytes: int) -> B:
    """The body as a `kind`.

    Raises:
        Problem: 400 (not JSON), 413 (too many bytes), 415 (another media type), 422 (breaks the schema).
    """
    media = request.headers.get("content-type", "application/json").partition(";")[0].strip().lower()
    if media != "application/json":
        raise Problem("not-json-media", f"Found content type {shown(media)}; allowed is application/json.")
    content = await _read(request, most_bytes)
    try:
        return kind.model_validate_json(content)
    except ValidationError as error:
        raise _problem(error) from error


async def _read(request: Request, most_bytes: int) -> bytes:
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > most_bytes:
        raise _too_large(int(declared), most_bytes)
    parts: list[bytes] = []
    size = 0
    async for part in request.stream():  # a chunked body declares no length
        size += len(part)
        if size > most_bytes:
            raise _too_large(size, most_bytes)
        parts.append(part)
    return b"".join(parts)


def _too_large(found: int, most_bytes: int) -> Problem:
    detail = f"The body has {found} bytes or more; allowed are {most_bytes}. Send several smaller batches."
    return Problem("too-large", detail, headers={"Connection": "close"}, found=found, allowed=most_bytes)


def _problem(error: ValidationError) -> Problem:
    found = error.errors(include_url=False, include_context=False)
    if found[0]["type"] == "json_invalid":
        return Problem("bad-json", found[0]["msg"])
    errors = [
        _document(each["loc"], each["type"], each["input"], each["msg"]) for each in found[:_MOST_ERRORS]
    ]
    first = errors[0]
    place = f"Row {first['row']}, {first['field']}" if "row" in first else first["field"]
    return Problem(
        "invalid-request", f"{place}: found {first['found']}; allowed is {first['allowed']}.", errors=errors
    )


def _document(loc: tuple[int | str, ...], kind: str, value: object, message: str) -> dict[str, Any]:
    row: dict[str, Any] = {}
    if len(loc) >= 2 and loc[0] == "rows" and isinstance(loc[1], int):
        row, loc = {"row": loc[1]}, loc[2:]
    field = ".".join(str(part) for part in loc) or "body"
    if kind == "missing":
        return {**row, "field": field, "found": "nothing", "allowed": "a value; this field is required"}
    if kind == "extra_forbidden":
        return {**row, "field": field, "found": "an unknown field", "allowed": "only the documented fields"}
    return {**row, "field": field, "found": shown(value), "allowed": message}
