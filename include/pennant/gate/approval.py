"""A person's approval, bound to exactly the evidence the person saw. Silence means hold.

Pure functions: who asks, waits and delivers the answer is the caller's business.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Literal

from pennant.gate.outcome import Outcome, Verdict
from pennant.gate.sentences import UNSCORABLE_CHAMPION

Decision = Literal["approve", "reject"]
Code = Literal[
    "approved",
    "rejected",
    "no_answer",
    "answered_too_late",
    "other_evidence",
    "author_approves_own",
    "not_an_approver",
    "nothing_to_approve",
]


@dataclass(frozen=True)
class Question:
    """What was put before the approvers, and until when.

    Attributes:
        evidence_sha256: hash of the evidence the person saw; the answer has to repeat it.
        outcome: what the gate said; a `promote` can be approved.
        author: who answers for the model.
        approvers: who may approve.
        asked_at: when it was asked, UTC.
        timeout_hours: from then on silence means hold.
        open: a `hold` that a person may end, because all that is missing is the comparison with a champion
            that cannot be scored; see `is_open`.
    """

    evidence_sha256: str
    outcome: Outcome
    author: str
    approvers: Sequence[str]
    asked_at: datetime
    timeout_hours: float
    open: bool = False

    @property
    def deadline(self) -> datetime:
        return self.asked_at + timedelta(hours=self.timeout_hours)


@dataclass(frozen=True)
class Answer:
    """What a person answered, to which evidence, and when (UTC)."""

    decision: Decision
    by: str
    evidence_sha256: str
    at: datetime


@dataclass(frozen=True)
class Approval:
    """What the answer amounts to. `outcome` is promote only for `approved`."""

    outcome: Literal["promote", "hold"]
    code: Code
    text: str
    evidence_sha256: str
    author: str
    by: str | None
    answered_at: str | None

    def to_json(self) -> dict[str, str | None]:
        """For the ledger and the model version's tags."""
        return asdict(self)


def is_open(verdict: Verdict) -> bool:
    """Whether a person may end a hold: everything that was judged speaks for it, and nobody could judge more.

    That is so only where the champion could not be scored, and nothing else argues for holding. Nothing but a
    person's answer to exactly this evidence makes a promotion of it.
    """
    return verdict.outcome == "hold" and {each.code for each in verdict.deciding()} == {UNSCORABLE_CHAMPION}


def settle(question: Question, answer: Answer | None) -> Approval:
    """Decide what an answer, or none, means. Everything but a valid approval holds."""
    code, text = _finding(question, answer)
    return Approval(
        outcome="promote" if code == "approved" else "hold",
        code=code,
        text=text,
        evidence_sha256=question.evidence_sha256,
        author=question.author,
        by=None if answer is None else answer.by,
        answered_at=None if answer is None else answer.at.isoformat(),
    )


def _finding(question: Question, answer: Answer | None) -> tuple[Code, str]:
    if question.outcome != "promote" and not (question.outcome == "hold" and question.open):
        return "nothing_to_approve", f"The gate says {question.outcome}: an approval cannot overrule it."
    if answer is None:
        return "no_answer", f"Nobody answered by {question.deadline.isoformat()}; silence means hold."
    asked, given = question.evidence_sha256[:12], answer.evidence_sha256[:12]
    obstacles: list[tuple[bool, Code, str]] = [
        (
            answer.evidence_sha256 != question.evidence_sha256,
            "other_evidence",
            f"{answer.by} answered to evidence {given}, the question is about {asked}.",
        ),
        (
            answer.at > question.deadline,
            "answered_too_late",
            f"{answer.by} answered at {answer.at.isoformat()}, after {question.deadline.isoformat()}.",
        ),
        (answer.decision != "approve", "rejected", f"{answer.by} rejected it."),
        (
            may_be_one_person(answer.by, question.author),
            "author_approves_own",
            f"{answer.by} is the author; author and approver have to differ.",
        ),
        (
            _plain(answer.by) not in {_plain(each) for each in question.approvers},
            "not_an_approver",
            f"{answer.by} may not approve; allowed are {', '.join(question.approvers) or 'nobody'}.",
        ),
    ]
    for stands, code, text in obstacles:
        if stands:
            return code, text
    return "approved", f"{answer.by} approved evidence {asked}."


def may_be_one_person(left: str, right: str) -> bool:
    """Whether two names may mean one person; case and surrounding blanks do not count.

    An e-mail address and the bare name before its @ may be one person: nobody approves their own
    model under a shorter name.
    """
    first, second = _plain(left), _plain(right)
    if ("@" in first) == ("@" in second):
        return first == second
    return first.partition("@")[0] == second.partition("@")[0]


def _plain(name: str) -> str:
    return name.strip().casefold()


def answer_of(value: Mapping[str, object], evidence_sha256: str, at: datetime) -> Answer:
    """Read a human-in-the-loop answer: its chosen options and the user who responded.

    Raises:
        ValueError: not exactly one of the options Approve and Reject, or no user.
    """
    chosen, user = value.get("chosen_options"), value.get("responded_by_user")
    options = [str(each) for each in chosen] if isinstance(chosen, Sequence) else []
    decisions: dict[str, Decision] = {"Approve": "approve", "Reject": "reject"}
    if len(options) != 1 or options[0] not in decisions:
        raise ValueError(f"answer: found options {options}; allowed is exactly one of Approve, Reject")
    name = str(user.get("name") or user.get("id") or "") if isinstance(user, Mapping) else str(user or "")
    if not name:
        raise ValueError("answer: nobody is named as the one who responded")
    return Answer(decisions[options[0]], name, evidence_sha256, at)
