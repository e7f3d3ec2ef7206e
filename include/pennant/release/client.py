"""A client of the serving API, with the key that this installation made for itself."""

import hashlib
import json
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import httpx
from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception_type,
    retry_if_result,
    stop_after_attempt,
    wait_exponential_jitter,
)

from pennant.release.errors import PredictionsMissing, ServingDown, ServingKeyMissing, ServingRefused
from pennant.settings import Settings

if TYPE_CHECKING:
    import polars as pl

CLIENT = "orchestrator"
BATCH_ROWS = 500
_ATTEMPTS = 4
# A reload loads bundles and answers their golden rows before it returns.
_TIMEOUT = httpx.Timeout(60.0, connect=5.0)


class ServingClient:
    """Talks to the serving app at `settings.serving`; a context manager."""

    def __init__(self, settings: Settings) -> None:
        self.url = settings.serving.rstrip("/")
        self._http = httpx.Client(
            base_url=self.url, headers={"Authorization": f"Bearer {_key(settings)}"}, timeout=_TIMEOUT
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def model(self, use_case: str) -> dict[str, Any] | None:
        """What is served for a use case, as `GET /api/v2/models/{name}` says; None when nothing is.

        Raises:
            ServingDown: the app did not answer.
            ServingRefused: the app said no.
        """
        return self._asked("GET", f"/api/v2/models/{use_case}", absent_is_none=True)

    def reload(self, use_case: str) -> dict[str, Any]:
        """Make the app follow the newest policy now, and say what it serves then.

        Raises:
            ServingDown: the app did not answer.
            ServingRefused: the app said no, for example because a bundle does not verify.
        """
        return self._asked("POST", f"/api/v2/models/{use_case}/reload") or {}

    def predict(self, use_case: str, rows: "pl.DataFrame", features: Sequence[str]) -> list[dict[str, Any]]:
        """Ask for predictions in batches; asking again for the same rows gives the first answers.

        Args:
            use_case: name of the use case.
            rows: columns `entity`, `event_time`, `moment` and the features; n rows.
            features: names of the feature columns.

        Returns:
            n answers in the order of the rows.

        Raises:
            ServingDown: the app did not answer; what was answered is logged and is given again next time.
            ServingRefused: the app said no.
            PredictionsMissing: the app answered for fewer rows.
        """
        asked = [_row(use_case, each, features) for each in rows.iter_rows(named=True)]
        answers: list[dict[str, Any]] = []
        for start in range(0, len(asked), BATCH_ROWS):
            batch = asked[start : start + BATCH_ROWS]
            found = self._asked("POST", "/api/v2/predict/batch", {"use_case": use_case, "rows": batch}) or {}
            by_id = {each["prediction_id"]: each for each in found.get("predictions", [])}
            missing = [each["entity"] for each in batch if each["prediction_id"] not in by_id]
            if missing:
                raise PredictionsMissing(use_case, missing)
            answers.extend(by_id[each["prediction_id"]] for each in batch)
        return answers

    def _asked(
        self, method: str, path: str, body: object = None, *, absent_is_none: bool = False
    ) -> dict[str, Any] | None:
        response = self._answer(method, path, body)
        if absent_is_none and response.status_code == httpx.codes.NOT_FOUND:
            return None
        if not response.is_success:
            raise ServingRefused(self.url + path, response.status_code, _problem(response))
        answer: dict[str, Any] = response.json()
        return answer

    def _answer(self, method: str, path: str, body: object) -> httpx.Response:
        """One answer; what did not get one is asked again, which every route allows."""
        tries = Retrying(
            retry=retry_if_exception_type(httpx.TransportError) | retry_if_result(_busy),
            stop=stop_after_attempt(_ATTEMPTS),
            wait=wait_exponential_jitter(multiplier=0.2, max=5),
            # The last answer, or the last error, as it is.
            retry_error_callback=_last,
        )
        try:
            return tries(self._http.request, method, path, json=body)
        except httpx.TransportError as error:
            raise ServingDown(self.url + path, f"{type(error).__name__}: {error}") from error


def _busy(response: httpx.Response) -> bool:
    return response.status_code in {429, 502, 503, 504}


def _last(state: RetryCallState) -> httpx.Response:
    assert state.outcome is not None  # noqa: S101 - tenacity calls this after an attempt
    response: httpx.Response = state.outcome.result()
    return response


def prediction_id(use_case: str, entity: str, event_time: str, moment: str) -> str:
    """The name of one scheduled prediction: the same question always has the same one."""
    question = json.dumps([use_case, entity, event_time, moment])
    return hashlib.sha256(question.encode()).hexdigest()[:32]


def _row(use_case: str, row: dict[str, Any], features: Sequence[str]) -> dict[str, Any]:
    event_time, moment = row["event_time"].isoformat(), row["moment"].isoformat()
    return {
        "entity": str(row["entity"]),
        "event_time": event_time,
        "as_of": moment,
        "features": {name: _number(row[name]) for name in features},
        "prediction_id": prediction_id(use_case, str(row["entity"]), event_time, moment),
    }


def _number(value: float | None) -> float | None:
    # JSON has no NaN; to the contract both mean missing.
    return None if value is None or value != value else float(value)  # noqa: PLR0124


def _problem(response: httpx.Response) -> str:
    try:
        document = response.json()
        return ": ".join(str(document[key]) for key in ("title", "detail") if document.get(key))
    except (ValueError, AttributeError, TypeError):
        return response.text[:200]


def _key(settings: Settings) -> str:
    path = settings.secrets / "serving.keys"
    try:
        found = json.loads(path.read_text())
    except OSError as error:
        raise ServingKeyMissing(str(path), error.strerror or str(error)) from error
    except ValueError as error:
        raise ServingKeyMissing(str(path), "it is not JSON") from error
    key = found.get(CLIENT) if isinstance(found, dict) else None
    if not isinstance(key, str) or not key:
        raise ServingKeyMissing(str(path), f"it has no key {CLIENT!r}")
    return key
