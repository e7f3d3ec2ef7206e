"""What every task of Pennant has in common: a small XCom, retries that know what is hopeless."""

import functools
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from airflow.sdk import ExceptionRetryPolicy, RetryAction, RetryRule, task

from pennant.errors import PennantError

XCOM_LIMIT_BYTES = 4096

# Errors that the same inputs would give again: retrying them only delays the message.
_HOPELESS = (
    "pennant.data.errors.BatchStopped",
    "pennant.data.errors.ExpectationBroken",
    "pennant.data.errors.LakeCorrupt",
    "pennant.declaration.problems.DeclarationError",
    "pennant.data.errors.PastUnavailable",
    "pennant.data.errors.RulesBroken",
    "pennant.data.errors.SourceMisdeclared",
    "pennant.data.asking.access.MissingConnection",
    "pennant.features.errors.ClockViolation",
    "pennant.features.errors.FeaturesMismatch",
    "pennant.features.errors.FeaturesModuleBroken",
    "pennant.features.errors.LeakFound",
    "pennant.features.errors.NoSnapshotRows",
    "pennant.features.errors.NotDiscoverable",
    "pennant.features.errors.UnknownColumns",
    "pennant.training.errors.TrainingRefused",
    "pennant.orchestration.clock.BadMoment",
    "pennant.orchestration.steps.XComTooLarge",
)


class XComTooLarge(PennantError):
    """A task returned more than a reference."""

    def __init__(self, task_name: str, found_bytes: int) -> None:
        self.task_name = task_name
        self.found_bytes = found_bytes
        super().__init__(
            f"Task {task_name} returned {found_bytes} bytes; an XCom holds at most {XCOM_LIMIT_BYTES}. "
            "Put the data in the lake and return its reference."
        )


def checked(name: str, value: object) -> object:
    """Give back `value` if it is JSON of at most `XCOM_LIMIT_BYTES`.

    Raises:
        XComTooLarge: the value is data, not a reference.
        TypeError: the value is not JSON.
    """
    size = len(json.dumps(value).encode())
    if size > XCOM_LIMIT_BYTES:
        raise XComTooLarge(name, size)
    return value


def retry_policy() -> ExceptionRetryPolicy:
    """Fail at once on errors that a retry cannot mend; retry everything else with backoff."""
    return ExceptionRetryPolicy(
        rules=[
            RetryRule(exception=name, action=RetryAction.FAIL, reason="the same inputs give the same error")
            for name in _HOPELESS
        ]
    )


def step(**given: Any) -> Callable[[Callable[..., Any]], Any]:
    """Make a Pennant task: `@step(...)` takes what Airflow's `@task` takes.

    Defaults: three retries with exponential backoff from five seconds, and an hour at most.
    """
    options = {
        "retries": 3,
        "retry_delay": timedelta(seconds=5),
        "retry_exponential_backoff": 2.0,
        "max_retry_delay": timedelta(minutes=5),
        "execution_timeout": timedelta(hours=1),
        "retry_policy": retry_policy(),
        **given,
    }

    def decorate(function: Callable[..., Any]) -> Any:
        @functools.wraps(function)
        def bounded(*args: Any, **kwargs: Any) -> Any:
            return checked(function.__name__, function(*args, **kwargs))

        return task(**options)(bounded)

    return decorate
