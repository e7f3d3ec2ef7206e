"""The bodies of the training Dag's tasks: they call the rooms and pass references on."""

import hashlib
import json
import tempfile
from datetime import datetime
from pathlib import Path
from typing import Any

from airflow.sdk.exceptions import AirflowSkipException

from pennant.orchestration import clock
from pennant.orchestration.channels import open_channels
from pennant.orchestration.workplace import Workplace, workplace
from pennant.reference import Reference

_SUMMARY_BYTES = 1500
"""Of the summary as JSON, in which a letter beyond ASCII takes six: an XCom holds a few thousand in all."""
_OF_THE_CHAMPION = {"champion_unscorable", "leak_in_champion"}
"""What the gate finds wrong with the model that is in service."""


def resolve(name: str, context: dict[str, Any]) -> dict[str, Any]:
    """The run's moment: the parameter, else the pending retrain request's, else the interval's end.

    Raises:
        AirflowSkipException: an asset event woke the run and no request is pending (it was coalesced
            with one that is already served).
    """
    from pennant.watch.healing import pending_retrains

    place = workplace(name)
    waiting = pending_retrains(place.warehouse, name)
    woken = context["dag_run"].run_type == "asset_triggered"
    if woken and not waiting:
        raise AirflowSkipException("No retrain is pending: another run has served the request.")
    if woken and not context["params"].get("as_of"):
        as_of = max(each.as_of for each in waiting)
    else:
        as_of = clock.window(context, place.use_case.schedules.train).as_of
    return {
        "as_of": as_of.isoformat(),
        "requests": [each.id for each in waiting if each.as_of <= as_of],
        "overrides": context["params"].get("overrides"),
    }


def snapshot(name: str, moment: dict[str, Any]) -> dict[str, Any]:
    """Take the snapshot and lay out the search."""
    from pennant.features.snapshot import build_snapshot
    from pennant.training.search import prepare

    place = workplace(name)
    taken = build_snapshot(
        place.use_case, place.lake, place.settings, datetime.fromisoformat(moment["as_of"])
    )
    plan = prepare(place.use_case, taken, place.lake, _storage(place), moment["overrides"])
    return {"snapshot": taken.to_json(), "study": plan.study, "shards": plan.shards, **moment}


def search(name: str, plan: dict[str, Any], shard: int) -> dict[str, Any]:
    from pennant.training.search import run_shard

    place = workplace(name)
    taken = Reference.from_json(plan["snapshot"])
    return run_shard(place.use_case, taken, place.lake, _storage(place), plan["study"], shard)


def fit(name: str, plan: dict[str, Any], params: dict[str, Any]) -> dict[str, Any]:
    """Fit, sign and register. The same inputs give the same bundle, and the same bundle one version."""
    from pennant.training.fit import fit as fit_bundle

    place = workplace(name)
    taken = Reference.from_json(plan["snapshot"])
    with tempfile.TemporaryDirectory(prefix="pennant-bundle-") as folder:
        bundle = fit_bundle(
            place.use_case,
            taken,
            place.lake,
            _storage(place),
            plan["study"],
            Path(folder) / "bundle",
            place.settings,
            params["author"],
            plan["overrides"],
        )
        tags = {"as_of": plan["as_of"], "snapshot": taken.sha256, "author": params["author"]}
        version = place.models.register(bundle.folder, name, bundle.metrics, tags, taken.sha256)
    return {"version": version.version, "bundle_sha256": version.bundle_sha256}


def examine(name: str, plan: dict[str, Any]) -> dict[str, Any]:
    """Look for leaks in the snapshot; a new one ends the run before anything is fitted.

    A leak that the champion has, too, is for the gate to hold on and for a person to look at.

    Raises:
        LeakFound: a feature that the champion does not take, or a baseline, read what was not yet known.
    """
    from dataclasses import replace

    from pennant.features.leak_report import examine as look
    from pennant.features.leak_report import raise_if_leaking
    from pennant.gate.contender import enter
    from pennant.gate.contract import LeakReport

    place = workplace(name)
    as_of, taken = datetime.fromisoformat(plan["as_of"]), Reference.from_json(plan["snapshot"])
    found = look(place.use_case, place.lake, place.settings, as_of, taken)
    champion = place.models.alias(name, "champion") if found.leaks else None
    inputs = None if champion is None else enter(champion, "champion", place.settings).inputs
    old = {each.name for each in inputs or ()}
    raise_if_leaking(
        place.use_case, replace(found, leaks=[each for each in found.leaks if each.feature not in old])
    )
    report = LeakReport(tuple(sorted({each.feature for each in found.leaks})), found.reference)
    content = json.dumps(report.to_json(), sort_keys=True).encode()
    path = f"reports/leaks/{name}/{hashlib.sha256(content).hexdigest()}.json"
    kept = place.lake.put(path, content)
    return {"found": kept.to_json(), "leaks": len(report.features), "signs": len(found.signs)}


def judge(
    name: str, plan: dict[str, Any], fitted: dict[str, Any], examined: dict[str, Any]
) -> dict[str, Any]:
    """Compare with the champion and the baselines on fresh rows; the evidence goes to lake and MLflow."""
    from pennant.gate.approval import is_open
    from pennant.gate.contract import LeakReport
    from pennant.gate.evidence import evaluate

    place = workplace(name)
    champion = place.models.alias(name, "champion")
    leaks = LeakReport.from_json(json.loads(place.lake.get(Reference.from_json(examined["found"]))))
    evidence = evaluate(
        place.use_case,
        Reference.from_json(plan["snapshot"]),
        place.models.version(name, fitted["version"]),
        champion,
        place.lake,
        place.models,
        place.settings,
        place.warehouse,
        leaks,
    )
    verdict = evidence.verdict
    return {
        "version": fitted["version"],
        "champion": champion.version if champion else None,
        "outcome": verdict.outcome,
        "codes": sorted({each.code for each in verdict.deciding()}),
        "open": is_open(verdict),
        "evidence": evidence.reference.to_json(),
        "summary": _cut(evidence.summary()),
    }


def _cut(text: str) -> str:
    """The beginning of a text that fits into an XCom."""
    kept = text[:_SUMMARY_BYTES]
    while len(json.dumps(kept)) > _SUMMARY_BYTES:
        kept = kept[: len(kept) * 9 // 10]
    return kept


def conclude(
    name: str,
    moment: dict[str, Any],
    judged: dict[str, Any],
    answer: dict[str, Any] | None,
    params: dict[str, Any],
) -> dict[str, Any]:
    """Write the verdict down once; on promote, ask for the release."""
    from pennant.watch.healing import complete

    place = workplace(name)
    outcome, why = _outcome(place, judged, answer, params["author"])
    as_of = datetime.fromisoformat(moment["as_of"])
    _write_down(place, judged, outcome, why, as_of, params["author"])
    _tell(place, judged, outcome, why, as_of)
    concluded = {"version": judged["version"], "outcome": outcome, "why": why}
    for request in moment["requests"]:
        complete(place.warehouse, request, concluded)
    return concluded


def _outcome(
    place: Workplace, judged: dict[str, Any], answer: dict[str, Any] | None, author: str
) -> tuple[str, str]:
    """The gate's outcome, or what the person's answer makes of a promote or of an open hold."""
    from pennant.gate.approval import Question, answer_of, settle

    why = judged["summary"].splitlines()[0]
    gate = place.use_case.gate
    if not asks_person(judged) or gate.approval == "none":
        return judged["outcome"], why
    if answer is None:
        silent = "Nobody approved it in time, or it was rejected; silence means hold."
        return "hold", f"{why} {silent}" if judged["open"] else silent
    question = Question(
        evidence_sha256=judged["evidence"]["sha256"],
        outcome=judged["outcome"],
        author=author,
        approvers=gate.approvers,
        asked_at=datetime.fromisoformat(answer["asked_at"]),
        timeout_hours=gate.approval_timeout_hours,
        open=judged["open"],
    )
    given = answer_of(answer, answer["evidence_sha256"], datetime.fromisoformat(answer["responded_at"]))
    settled = settle(question, given)
    return settled.outcome, settled.text


def asks_person(judged: dict[str, Any]) -> bool:
    """Whether an answer can decide anything: a promote, or a hold because the champion cannot be scored."""
    return judged["outcome"] == "promote" or bool(judged["open"])


def _write_down(
    place: Workplace, judged: dict[str, Any], outcome: str, why: str, as_of: datetime, author: str
) -> None:
    from pennant.registry import aliases
    from pennant.release import rollout

    evidence = judged["evidence"]["sha256"]
    if outcome == "promote":
        rollout.request(
            place.warehouse,
            place.name,
            judged["version"],
            as_of,
            judged_against=judged["champion"],
            evidence_sha256=evidence,
            why=why,
            actor=author,
        )
        return
    aliases.move(
        place.models,
        place.warehouse,
        place.name,
        {},
        {},
        f"gate_{outcome}",
        why,
        author,
        evidence,
        request_key=f"gate:{judged['version']}:{evidence}",
        details={"version": judged["version"], "champion": judged["champion"]},
    )


def _tell(place: Workplace, judged: dict[str, Any], outcome: str, why: str, as_of: datetime) -> None:
    from pennant.watch.alerts import AlertEvent, raise_alert

    action = "A release is requested." if outcome == "promote" else "The champion stays."
    # What is in service cannot be judged any more, or reads the future: somebody has to look now.
    champions = [] if outcome == "promote" else sorted(_OF_THE_CHAMPION & set(judged["codes"]))
    if champions:
        action += " A person has to look at it: nothing is promoted in its place without one."
    event = AlertEvent(
        use_case=place.name,
        class_=champions[0] if champions else f"gate_{outcome}",
        severity="critical" if champions else "warning" if outcome == "refuse" else "info",
        what=f"The gate says {outcome} for version {judged['version']}.",
        action=action,
        as_of=as_of,
        evidence={"why": why, "champion": judged["champion"] or "none yet"},
        links={"Training Dag": f"{place.settings.airflow}/dags/{place.name}__train"},
    )
    raise_alert(event, place.use_case, place.warehouse, open_channels(place.use_case))


def _storage(place: Workplace) -> str:
    return str(place.warehouse.url.render_as_string(hide_password=False))
