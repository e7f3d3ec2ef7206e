"""Pennant's own client of the serving API: predictions by batch, and what is served."""

import hashlib
import json
from typing import TYPE_CHECKING, Any

import httpx
from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_exponential_jitter

from pennant.errors import PennantError
from pennant.settings import Settings

if TYPE_CHECKING:
    import polars as pl

_BATCH_ROWS = 500
_BUSY = frozenset({httpx.codes.SERVICE_UNAVAILABLE, httpx.codes.TOO_MANY_REQUESTS})


class ServingRefused(PennantError):
    """The serving app answered with a problem document."""

    def __init__(self, url: str, status: int, problem: str) -> None:
        self.url = url
        self.status = status
        self.problem = problem
        super().__init__(f"{url} answered {status}: {problem}")


class ServingClient:
    """Speaks to one serving app with the orchestrator's key.

    A request is retried while the app is down or busy: ids are chosen here, so an answer that was lost on
    the way is given again and logged once.
    """

    def __init__(self, settings: Settings, attempts: int = 6) -> None:
        key = json.loads((settings.secrets / "serving.keys").read_text())["orchestrator"]
        self._http = httpx.Client(
            base_url=settings.serving, timeout=60, headers={"Authorization": f"Bearer {key}"}
        )
        self._retrying = Retrying(
            retry=retry_if_exception(_passing),
            wait=wait_exponential_jitter(initial=0.5, max=20),
            stop=stop_after_attempt(attempts),
            reraise=True,
        )

    def __enter__(self) -> "ServingClient":
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def predict(self, use_case: str, rows: "pl.DataFrame", features: list[str]) -> list[dict[str, Any]]:
        """Predict every row.

        Args:
            use_case: name of the use case.
            rows: columns `entity`, `event_time`, `moment` and every one of `features`.
            features: names of the model's inputs.

        Returns:
            One answer per row, in order, as the API gives it.

        Raises:
            ServingRefused: the app refused a batch; nothing of that batch was predicted.
        """
        asked = [_request(use_case, row, features) for row in rows.iter_rows(named=True)]
        answers: list[dict[str, Any]] = []
        for first in range(0, len(asked), _BATCH_ROWS):
            body = {"use_case": use_case, "rows": asked[first : first + _BATCH_ROWS]}
            answers += self.call("POST", "/api/v2/predict/batch", body)["predictions"]
        return answers

    def model(self, use_case: str) -> dict[str, Any]:
        """What is served for a use case: policy, arms with version and weight, contract."""
        return dict(self.call("GET", f"/api/v2/models/{use_case}"))

    def champion(self, use_case: str) -> str:
        """The version that serves as champion now."""
        arms = self.model(use_case)["arms"]
        return str(next(arm["version"] for arm in arms if arm["arm"] == "champion"))

    def call(self, method: str, path: str, body: object = None) -> Any:
        """Send one request, retried while the app is down or busy.

        Raises:
            ServingRefused: the app answered with an error.
        """
        return self._retrying(self._once, method, path, body)

    def _once(self, method: str, path: str, body: object) -> Any:
        answer = self._http.request(method, path, json=body)
        if answer.is_error:
            raise ServingRefused(str(answer.url), answer.status_code, answer.text[:2000])
        return answer.json()


def _passing(error: BaseException) -> bool:
    """True for what may be over in a moment."""
    return isinstance(error, httpx.TransportError) or (
        isinstance(error, ServingRefused) and error.status in _BUSY
    )


def _request(use_case: str, row: dict[str, Any], features: list[str]) -> dict[str, Any]:
    """One row of a batch; its id is made of the event and the moment, so that asking again is harmless."""
    moment = row["moment"].isoformat()
    content = json.dumps([use_case, row["entity"], moment]).encode()
    return {
        "prediction_id": hashlib.sha256(content).hexdigest()[:32],
        "entity": row["entity"],
        "event_time": row["event_time"].isoformat(),
        "as_of": moment,
        "features": {name: _number(row[name]) for name in features},
    }


def _number(value: object) -> float | None:
    """A missing value travels as null: JSON has no NaN."""
    if value is None or value != value:  # noqa: PLR0124  # NaN is the one value that differs from itself
        return None
    return float(value)  # type: ignore[arg-type]
