"""Every error of the API as an RFC 9457 problem document."""

import json
from typing import Any

from starlette.responses import Response

MEDIA_TYPE = "application/problem+json"

KINDS: dict[str, tuple[int, str]] = {
    "bad-json": (400, "The body is not JSON"),
    "no-key": (401, "No valid API key"),
    "role-too-low": (403, "This API key may not do that"),
    "not-found": (404, "There is nothing here"),
    "unknown-use-case": (404, "This use case is not served"),
    "method-not-allowed": (405, "This address takes another method"),
    "id-taken": (409, "This prediction_id belongs to another prediction"),
    "too-large": (413, "The request is too large"),
    "not-json-media": (415, "The body must be application/json"),
    "invalid-request": (422, "The request breaks the contract"),
    "policy-refused": (422, "The newest traffic policy is not served"),
    "internal": (500, "An error of the serving app"),
    "explanation-unavailable": (501, "This model has no exact explanation"),
    "no-keys-file": (503, "The serving app has no API keys"),
    "not-ready": (503, "The serving app is not ready"),
    "overloaded": (503, "Too many requests at once"),
    "warehouse-down": (503, "The warehouse does not answer"),
    "log-unavailable": (503, "The prediction log cannot be written"),
    "log-full": (507, "The prediction log has no room"),
}


class Problem(Exception):
    """Raised anywhere while a request is answered; becomes a problem document.

    Attributes:
        kind: a key of KINDS; the last part of the document's `type`.
        status: HTTP status.
        detail: what happened, for a person.
        members: further members of the document, for a program.
        headers: further response headers.
    """

    def __init__(
        self, kind: str, detail: str, *, headers: dict[str, str] | None = None, **members: Any
    ) -> None:
        self.kind = kind
        self.status, self.title = KINDS[kind]
        self.detail, self.members, self.headers = detail, members, headers or {}
        super().__init__(detail)

    def document(self, instance: str, request_id: str) -> dict[str, Any]:
        return {
            "type": f"urn:pennant:problem:{self.kind}",
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            "instance": instance,
            "request_id": request_id,
            **self.members,
        }

    def response(self, instance: str, request_id: str) -> Response:
        body = json.dumps(self.document(instance, request_id)).encode()
        return Response(body, self.status, headers=self.headers, media_type=MEDIA_TYPE)


def shown(value: object) -> str:
    """A found value, short enough for a message."""
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
