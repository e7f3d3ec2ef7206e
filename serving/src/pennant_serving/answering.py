"""From rows to logged answers: choose the arm, check the contract, score, write the log, then answer."""

import asyncio
import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from starlette.concurrency import run_in_threadpool

from pennant_serving.answers import Said, said
from pennant_serving.bundle import Bundle
from pennant_serving.contract import Finding, line_findings, matrix, refuse
from pennant_serving.errors import ExplanationUnavailable
from pennant_serving.follower import Follower, Served
from pennant_serving.metrics import Metrics
from pennant_serving.policy import Arm
from pennant_serving.problems import Problem
from pennant_serving.schemas import ExplainRequest, Row
from pennant_serving.scorer import Explanation
from pennant_serving.spool import Entry, IdTaken, Spool, SpoolError, record_text

_INLINE_ROWS = 16
"""So few rows are scored faster on the event loop than in a thread of their own."""

_WHICH, _NUMBERS, _WHO = (
    ("prediction_id", "use_case", "entity"), ("prediction", "low", "high"), ("version", "arm", "policy_id"),
)  # fmt: skip


@dataclass(frozen=True)
class _Part:
    """The rows of one request that one arm answers."""

    arm: Arm
    bundle: Bundle
    indices: list[int]


class Answering:
    """Answers predictions from the state of the follower, through the spool."""

    def __init__(self, follower: Follower, spool: Spool, metrics: Metrics) -> None:
        self._follower, self._spool, self._metrics = follower, spool, metrics

    async def predict(self, use_case: str, rows: Sequence[Row]) -> list[dict[str, Any]]:
        """One answer per row, in order, each already in the log.

        Raises:
            Problem: unknown use case, a row outside the contract, a taken id, or no room in the log.
        """
        served = self._served(use_case)
        if len(rows) <= _INLINE_ROWS:
            records = self._score(served, rows)
        else:
            records = await run_in_threadpool(self._score, served, rows)
        return await self._logged(rows, records)

    def explain(self, request: ExplainRequest) -> dict[str, Any]:
        """The additive terms of one prediction. Nothing is logged: an explanation is no new prediction."""
        served = self._served(request.use_case)
        arm, bundle = served.choose(request.entity)
        values, findings = matrix([(0, request.features)], bundle.inputs, served.inputs)
        refuse(findings)
        try:
            explained = bundle.explain(values)
        except ExplanationUnavailable as error:
            raise Problem("explanation-unavailable", str(error), member_kind=error.kind) from error
        return {
            "use_case": request.use_case,
            "entity": request.entity,
            "version": arm.version,
            "arm": arm.arm,
            "policy_id": served.policy.id,
            **said(bundle, values, explained.scores)[0].payload,
            **_terms(bundle, request, explained),
        }

    def _served(self, use_case: str) -> Served:
        state = self._follower.state
        if use_case not in state.served:
            raise Problem(
                "unknown-use-case",
                f"No model of use case {use_case!r} is served; served are {sorted(state.served)}.",
                served=sorted(state.served),
            )
        return state.served[use_case]

    def _score(self, served: Served, rows: Sequence[Row]) -> list[dict[str, Any]]:
        parts: dict[str, _Part] = {}
        for index, row in enumerate(rows):
            arm, bundle = served.choose(row.entity)
            parts.setdefault(arm.arm, _Part(arm, bundle, [])).indices.append(index)
        records: list[dict[str, Any]] = [{}] * len(rows)
        findings: list[Finding] = []
        answered_at = datetime.now(UTC)
        for part in parts.values():
            given = [(index, rows[index].features) for index in part.indices]
            values, wrong = matrix(given, part.bundle.inputs, served.inputs)
            lines = [rows[index].line for index in part.indices]
            findings.extend([*wrong, *line_findings(part.indices, lines, part.bundle)])
            if findings:
                continue
            answers = said(part.bundle, values, part.bundle.predict(values), lines)
            for index, each in zip(part.indices, answers, strict=True):
                records[index] = _record(served, part, rows[index], each, answered_at)
        refuse(sorted(findings, key=lambda each: each.row))
        return records

    async def _logged(self, rows: Sequence[Row], records: list[dict[str, Any]]) -> list[dict[str, Any]]:
        entries = [
            Entry(
                prediction_id=record["prediction_id"],
                owner=f"{record['use_case']}\n{record['entity']}",
                chosen=row.prediction_id is not None,
                answered_at=record["answered_at"],
                record=record_text(record),
            )
            for row, record in zip(rows, records, strict=True)
        ]
        try:
            written = await asyncio.shield(asyncio.wrap_future(self._spool.append(entries)))
        except IdTaken as error:
            raise Problem(
                "id-taken",
                f"prediction_id {error.prediction_id!r} was answered before for another entity or use case; "
                "choose an id of its own for each prediction.",
                prediction_id=error.prediction_id,
            ) from error
        except SpoolError as error:
            self._metrics.spool_failures.inc()
            kind = "log-full" if error.full else "log-unavailable"
            text = "Nothing was answered, because it could not be logged; free disk space or raise the limit."
            raise Problem(kind, text, headers={"Retry-After": "5"}) from error
        answers = []
        for entry, record, text in zip(entries, records, written, strict=True):
            first = text is entry.record
            row = record if first else json.loads(text)
            answers.append(_answer(row))
            if first:
                self._metrics.predictions.labels(row["use_case"], row["version"], row["arm"]).inc()
        return answers


def _record(served: Served, part: _Part, row: Row, answer: Said, answered_at: datetime) -> dict[str, Any]:
    """One row of `predictions`; features are logged as the arm read them.

    Where three numbers are not the whole answer, `extra.answer` holds it, with the keys of the API's.
    """
    prediction, low, high = answer.numbers
    return {
        "day": answered_at.date().isoformat(),
        "prediction_id": row.prediction_id or str(uuid.uuid4()),
        "use_case": served.policy.use_case,
        "entity": row.entity,
        "event_time": None if row.event_time is None else row.event_time.isoformat(),
        "as_of": None if row.as_of is None else row.as_of.isoformat(),
        "version": part.arm.version,
        "arm": part.arm.arm,
        "policy_id": served.policy.id,
        "features": {each.name: row.features[each.name] for each in part.bundle.inputs},
        "prediction": prediction,
        "low": low,
        "high": high,
        "extra": {
            "bundle_sha256": part.bundle.sha256,
            **({} if answer.plain else {"answer": answer.payload}),
        },
        "answered_at": answered_at.isoformat(),
    }


def _answer(record: dict[str, Any]) -> dict[str, Any]:
    """The answer that a record of the log tells."""
    payload = record["extra"].get("answer") or {name: record[name] for name in _NUMBERS}
    which, who = ({name: record[name] for name in names} for names in (_WHICH, _WHO))
    return {**which, **payload, **who}


def _terms(bundle: Bundle, request: ExplainRequest, explained: Explanation) -> dict[str, Any]:
    """Baseline and terms, the largest first; one list of them for each output where there are several."""

    def of(baseline: float, contributions: list[float]) -> dict[str, Any]:
        terms = [
            {"feature": each.name, "value": request.features[each.name], "contribution": term}
            for each, term in zip(bundle.inputs, contributions, strict=True)
        ]
        ordered = sorted(terms, key=lambda term: -abs(term["contribution"]))
        return {"baseline": baseline, "contributions": ordered}

    baselines, contributions = explained.baseline[0].tolist(), explained.contributions[0].tolist()
    if bundle.task == "binary":
        return {"unit": explained.unit, **of(baselines, contributions)}
    outputs = zip(explained.outputs, baselines, contributions, strict=True)
    return {
        "terms_unit": explained.unit,
        "outputs": [{"output": name, **of(baseline, terms)} for name, baseline, terms in outputs],
    }
