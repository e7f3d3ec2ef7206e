"""An approval counts for exactly the evidence it was given to, from exactly those who may give it."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pennant.gate.approval import Answer, Question, answer_of, is_open, settle
from pennant.gate.outcome import Reason, Verdict, strongest

ASKED = datetime(2024, 6, 1, 12, tzinfo=UTC)
SEEN, OTHER = "a" * 64, "b" * 64


def question(**changes: Any) -> Question:
    base = {
        "evidence_sha256": SEEN,
        "outcome": "promote",
        "author": "ana@example.org",
        "approvers": ["ben", "cleo@example.org"],
        "asked_at": ASKED,
        "timeout_hours": 24.0,
    }
    return Question(**{**base, **changes})


def answer(**changes: Any) -> Answer:
    base = {"decision": "approve", "by": "ben", "evidence_sha256": SEEN, "at": ASKED + timedelta(hours=1)}
    return Answer(**{**base, **changes})


def test_an_approver_who_saw_this_evidence_and_is_not_the_author_approves() -> None:
    found = settle(question(), answer())
    assert (found.outcome, found.code, found.by, found.evidence_sha256) == (
        "promote",
        "approved",
        "ben",
        SEEN,
    )


def test_silence_means_hold() -> None:
    found = settle(question(), None)
    assert (found.outcome, found.code, found.by) == ("hold", "no_answer", None)


@pytest.mark.parametrize(
    ("given_answer", "code"),
    [
        (answer(evidence_sha256=OTHER), "other_evidence"),
        (answer(at=ASKED + timedelta(hours=24, seconds=1)), "answered_too_late"),
        (answer(decision="reject"), "rejected"),
        (answer(by="dora"), "not_an_approver"),
        (answer(by="ana@example.org"), "author_approves_own"),
        (answer(by=" Ana@Example.org "), "author_approves_own"),
        (answer(by="ana"), "author_approves_own"),
        (answer(by="cleo"), "not_an_approver"),
    ],
)
def test_every_other_answer_holds(given_answer: Answer, code: str) -> None:
    found = settle(question(approvers=["ben", "cleo@example.org", "ana@example.org", "ana"]), given_answer)
    assert (found.outcome, found.code) == ("hold", code)


@pytest.mark.parametrize("outcome", ["hold", "refuse"])
def test_a_person_cannot_overrule_the_gate(outcome: str) -> None:
    assert settle(question(outcome=outcome), answer()).code == "nothing_to_approve"


def test_without_approvers_nobody_can_approve() -> None:
    assert settle(question(approvers=[]), answer()).code == "not_an_approver"


@given(
    st.builds(
        Answer,
        decision=st.sampled_from(["approve", "reject"]),
        by=st.sampled_from(["ben", "BEN", "ana", "ana@example.org", "dora", ""]),
        evidence_sha256=st.sampled_from([SEEN, OTHER, ""]),
        at=st.datetimes(datetime(2024, 5, 30), datetime(2024, 6, 4), timezones=st.just(UTC)),  # noqa: DTZ001
    ),
    st.sampled_from(["promote", "hold", "refuse"]),
)
def test_only_one_kind_of_answer_ever_promotes(given_answer: Answer, outcome: str) -> None:
    asked = question(outcome=outcome)
    promoted = settle(asked, given_answer).outcome == "promote"
    assert promoted == (
        outcome == "promote"
        and given_answer.decision == "approve"
        and given_answer.by.lower() == "ben"
        and given_answer.evidence_sha256 == SEEN
        and given_answer.at <= asked.deadline
    )


def test_airflows_answer_is_read_and_an_unclear_one_refused() -> None:
    read = answer_of(
        {"chosen_options": ["Approve"], "responded_by_user": {"id": "7", "name": "ben"}}, SEEN, ASKED
    )
    assert (read.decision, read.by, read.evidence_sha256) == ("approve", "ben", SEEN)
    for unclear in (
        {"chosen_options": [], "responded_by_user": {"name": "ben"}},
        {"chosen_options": ["Approve", "Reject"], "responded_by_user": {"name": "ben"}},
        {"chosen_options": ["Perhaps"], "responded_by_user": {"name": "ben"}},
        {"chosen_options": ["Approve"], "responded_by_user": None},
        {},
    ):
        with pytest.raises(ValueError, match="answer"):
            answer_of(unclear, SEEN, ASKED)


def verdict(*reasons: tuple[str, str]) -> Verdict:
    found = tuple(Reason(code, argues_for, code, {}) for code, argues_for in reasons)  # type: ignore[arg-type]
    return Verdict(strongest(found), found, "log_loss", 0.05)


UNSCORABLE = ("champion_unscorable", "hold")


@pytest.mark.parametrize(
    ("reasons", "opened"),
    [
        ([UNSCORABLE, ("beats_baseline", "promote")], True),
        ([UNSCORABLE, ("badly_calibrated", "hold")], False),
        ([UNSCORABLE, ("new_leak", "refuse")], False),
        ([("not_better_than_champion", "hold")], False),
        ([("beats_champion", "promote")], False),
    ],
)
def test_a_person_may_end_a_hold_only_if_nothing_but_the_champion_stands_in_the_way(
    reasons: list[tuple[str, str]], opened: bool
) -> None:
    assert is_open(verdict(*reasons)) is opened


def test_an_open_hold_becomes_a_promotion_by_an_answer_and_by_nothing_else() -> None:
    asked = question(outcome="hold", open=True)
    assert settle(asked, answer()).outcome == "promote"
    for other in (None, answer(decision="reject"), answer(evidence_sha256=OTHER), answer(by="ana")):
        assert settle(asked, other).outcome == "hold"
    assert settle(question(outcome="hold"), answer()).code == "nothing_to_approve"
    assert settle(question(outcome="refuse", open=True), answer()).code == "nothing_to_approve"
