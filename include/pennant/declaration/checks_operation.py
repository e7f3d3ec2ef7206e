"""Cross-field checks of watch, healing, alerts, schedules and replay."""

from collections.abc import Iterator
from typing import get_args

from pennant.declaration import cron
from pennant.declaration.document import Document
from pennant.declaration.model import DataUseCase, UseCase
from pennant.declaration.problems import Problem
from pennant.declaration.refusal import annotation

Problems = Iterator[Problem]


def check_watch(use_case: UseCase, document: Document) -> Problems:
    for part in ("drift", "performance"):
        given = getattr(use_case.watch, part)
        if given.violations > given.windows:
            message = "more violations than windows are never reached: the alert could not fire"
            allowed = f"at most windows ({given.windows})"
            yield document.problem(("watch", part, "violations"), message, allowed=allowed)


def check_healing(use_case: UseCase, document: Document) -> Problems:
    for name in _declared_keys("healing"):
        if name not in use_case.healing:
            message = "each class of failure has one declared action"
            allowed = f"{name}: with action, cooldown_hours and weekly_budget"
            yield document.problem(("healing", name), message, found="nothing", allowed=allowed)
    for name, given in use_case.healing.items():
        if given.action != "none" and given.weekly_budget == 0:
            message = f"a budget of none a week never lets {given.action} happen"
            allowed = "at least 1, or action: none"
            yield document.problem(("healing", name, "weekly_budget"), message, allowed=allowed)


def check_alerts(use_case: DataUseCase, document: Document) -> Problems:
    for severity in _declared_keys("alerts", "routes"):
        path = ("alerts", "routes", severity)
        channels = dict(use_case.alerts.routes).get(severity)  # type: ignore[call-overload]
        if not channels:
            found = "nothing" if channels is None else "an empty list"
            message = f"an alert of severity {severity} would reach nobody"
            yield document.problem(path, message, found=found, allowed="a list of slack, console")
        elif len(set(channels)) < len(channels):
            yield document.problem(path, "a channel is named twice", allowed="each channel once")


def cron_fields(use_case: DataUseCase) -> list[str]:
    """The fields of the schedules that hold a cron expression."""
    fields = type(use_case.schedules).model_fields
    return [name for name in fields if name not in {"start", "history_until"}]


def check_schedules(use_case: DataUseCase, document: Document) -> Problems:
    schedules, read = use_case.schedules, {}
    for name in cron_fields(use_case):
        try:
            read[name] = cron.parse(getattr(schedules, name))
        except cron.CronError as error:
            found = repr(error.found)
            yield document.problem(
                ("schedules", name), "the cron expression never fires", found=found, allowed=error.allowed
            )
    for name in ("ingest_history", "ingest"):
        if name in read and not read[name].matches(schedules.history_until):
            message = f"history and present meet at a tick of both; {name} does not fire then"
            allowed = f"a moment of {getattr(schedules, name)!r}"
            yield document.problem(("schedules", "history_until"), message, allowed=allowed)


def check_history(use_case: DataUseCase, document: Document) -> Problems:
    schedules = use_case.schedules
    if schedules.start >= schedules.history_until:
        message, allowed = "no history lies before it", f"after schedules.start ({schedules.start:%Y-%m-%d})"
        yield document.problem(("schedules", "history_until"), message, allowed=allowed)


def check_replay(use_case: UseCase, document: Document) -> Problems:
    schedules, replay = use_case.schedules, use_case.replay
    if replay.history_from < schedules.start:
        message = "a backfill reaches no further back than schedules.start"
        allowed = f"{schedules.start:%Y-%m-%dT%H:%M:%SZ} or later"
        yield document.problem(("replay", "history_from"), message, allowed=allowed)
    if replay.history_from >= schedules.history_until:
        message = "the replay would begin after its history"
        allowed = f"before schedules.history_until ({schedules.history_until:%Y-%m-%d})"
        yield document.problem(("replay", "history_from"), message, allowed=allowed)
    if replay.live_from < schedules.history_until:
        message = "a step of the replay would fall into the coarse history"
        allowed = f"{schedules.history_until:%Y-%m-%dT%H:%M:%SZ} (schedules.history_until) or later"
        yield document.problem(("replay", "live_from"), message, allowed=allowed)
    if replay.until <= replay.live_from:
        message = "the replay would end before its first step"
        allowed = f"after live_from ({replay.live_from:%Y-%m-%dT%H:%M:%SZ})"
        yield document.problem(("replay", "until"), message, allowed=allowed)


def _declared_keys(*path: str) -> list[str]:
    """The names that the model allows as keys of the mapping at `path`."""
    return list(get_args(get_args(annotation(path))[0]))


DATA_CHECKS = (check_alerts, check_schedules, check_history)
MODEL_CHECKS = (check_watch, check_healing, check_replay)
