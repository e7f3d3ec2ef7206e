"""`<name>__train`: from a snapshot to a judged challenger."""

from datetime import timedelta
from typing import Any

from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk import DAG, Param, TriggerRule
from airflow.sdk.exceptions import AirflowSkipException

from pennant.declaration.model import UseCase
from pennant.orchestration import training_steps
from pennant.orchestration.names import release_requested, retrain_requested
from pennant.orchestration.shape import time_or_asset, use_case_dag
from pennant.orchestration.steps import step
from pennant.settings import Settings

_DOC = """
Takes a snapshot of what was known, looks through it for leaks, searches hyper-parameters in mapped tasks
that share one study, fits the model, and lets the gate compare it with the champion on rows that neither
has seen.

The gate answers promote, hold or refuse, with numbers. Only promote asks for a release. A backfill of
this Dag over past dates is a walk-forward of models, because each run knows only what was known at its
`as_of`.
"""

_APPROVAL = """
The gate says **{{ ti.xcom_pull(task_ids='judge')['outcome'] }}** for version
**{{ ti.xcom_pull(task_ids='judge')['version'] }}**.

Evidence `{{ ti.xcom_pull(task_ids='judge')['evidence']['sha256'] }}`

{{ ti.xcom_pull(task_ids='judge')['summary'] }}

{% if ti.xcom_pull(task_ids='judge')['open'] %}
**The champion could not be scored: nobody knows whether this version is better than what is served.** It
beats what a first champion has to beat. May it take the champion's place all the same?
{% endif %}

Your answer is bound to exactly this evidence. No answer in time means hold.
"""


def _params(use_case: UseCase) -> dict[str, Param]:
    return {
        "overrides": Param(
            None,
            type=["null", "object"],
            title="Hyper-parameters by hand",
            description='For example {"trees": {"max_depth": 3}}; a member named here is not searched.',
        ),
        "author": Param(
            use_case.owner.email,
            type="string",
            title="Author",
            description="Who answers for this model. The approver has to be somebody else.",
        ),
    }


def build(use_case: UseCase, settings: Settings) -> DAG:
    """Build the Dag. It runs on its schedule, when a retrain is requested, or by hand."""
    name = use_case.name
    schedule = time_or_asset(use_case.schedules.train, retrain_requested(name), settings)
    with use_case_dag(
        use_case, settings, "train", schedule=schedule, doc=_DOC, params=_params(use_case)
    ) as dag:

        @step()
        def resolve(**context: Any) -> dict[str, Any]:
            return training_steps.resolve(name, context)

        @step()
        def snapshot(moment: dict[str, Any]) -> dict[str, Any]:
            return training_steps.snapshot(name, moment)

        @step()
        def examine(plan: dict[str, Any]) -> dict[str, Any]:
            return training_steps.examine(name, plan)

        @step(map_index_template="shard {{ task.op_kwargs['shard'] }}")
        def search(plan: dict[str, Any], shard: int) -> dict[str, Any]:
            return training_steps.search(name, plan, shard)

        @step()
        def fit(plan: dict[str, Any], **context: Any) -> dict[str, Any]:
            return training_steps.fit(name, plan, context["params"])

        @step()
        def judge(plan: dict[str, Any], fitted: dict[str, Any], examined: dict[str, Any]) -> dict[str, Any]:
            return training_steps.judge(name, plan, fitted, examined)

        @step(trigger_rule=TriggerRule.NONE_FAILED)
        def conclude(
            moment: dict[str, Any],
            judged: dict[str, Any],
            answer: dict[str, Any] | None = None,
            **context: Any,
        ) -> dict[str, Any]:
            return training_steps.conclude(name, moment, judged, answer, context["params"])

        @step(outlets=[release_requested(name)])
        def request_release(concluded: dict[str, Any]) -> dict[str, Any]:
            if concluded["outcome"] != "promote":
                raise AirflowSkipException(f"No release: the gate says {concluded['outcome']}.")
            return concluded

        moment = resolve()
        plan = snapshot(moment)
        shards = list(range(use_case.training.search.workers))
        fitted, examined = fit(plan), examine(plan)
        [examined, search.partial(plan=plan).expand(shard=shards)] >> fitted
        judged = judge(plan, fitted, examined)
        answer = _ask(use_case, judged) if use_case.gate.approval == "person" else None
        request_release(conclude(moment, judged, answer))
    return dag


def _ask(use_case: UseCase, judged: Any) -> Any:
    """The person's part: asked when the gate would promote, or holds for want of a champion to compare with.

    Rejecting or silence holds.
    """

    @step()
    def needs_person(judged: dict[str, Any], **context: Any) -> dict[str, str]:
        if not training_steps.asks_person(judged):
            raise AirflowSkipException(f"Nobody is asked: the gate says {judged['outcome']}.")
        return {
            "version": judged["version"],
            "evidence_sha256": judged["evidence"]["sha256"],
            "asked_at": context["ti"].start_date.isoformat(),
        }

    @step()
    def note_answer(answer: dict[str, Any], asked: dict[str, str]) -> dict[str, Any]:
        return {
            "chosen_options": answer["chosen_options"],
            "responded_by_user": answer["responded_by_user"],
            "responded_at": str(answer["responded_at"]),
            "asked_at": asked["asked_at"],
            "evidence_sha256": asked["evidence_sha256"],
        }

    approve = ApprovalOperator(
        task_id="approve",
        subject=f"Promote a new model of {use_case.title}?",
        body=_APPROVAL,
        defaults="Reject",
        response_timeout=timedelta(hours=use_case.gate.approval_timeout_hours),
        assigned_users=[{"id": each, "name": each} for each in use_case.gate.approvers],
    )
    asked = needs_person(judged)
    asked >> approve
    return note_answer(approve.output, asked)
