"""A member read from its file is the member that training fitted: the same numbers, and terms that add up."""

import json

import numpy as np
import pytest
from member_cases import CASES, Case, fitted, inputs_of

from pennant.training.members.counts import CountTrees, LogLinear
from pennant.training.members.paths import CorrectedPaths
from pennant_serving.arrays import logit
from pennant_serving.errors import BundleRejected
from pennant_serving.explanation import link_of
from pennant_serving.manifest import Outcome
from pennant_serving.members.base import Sampling
from pennant_serving.members.kinds import LOADERS
from pennant_serving.scorer import load_member

TREES = {"xgboost", "trees_count", "path_residual"}
every = pytest.mark.parametrize("case", CASES, ids=str)


@every
def test_a_member_gives_the_numbers_that_training_gave(case: Case) -> None:
    found = fitted(case)
    wanted = found.trained.predict(found.rows)
    given = found.served.predict(found.rows)
    assert given.shape == wanted.shape
    np.testing.assert_allclose(given, wanted, rtol=0, atol=1e-6 if case.kind in TREES else 1e-9)


@every
def test_a_row_alone_gives_the_bits_that_it_gives_in_a_batch(case: Case) -> None:
    found = fitted(case)
    together = found.served.predict(found.rows)
    alone = np.concatenate([found.served.predict(found.rows[at : at + 1]) for at in range(len(found.rows))])
    assert together.tobytes() == alone.tobytes()


@every
def test_the_terms_of_a_member_add_up_to_its_link(case: Case) -> None:
    found = fitted(case)
    parts = found.served.contributions(found.rows)
    reached = parts.sum(axis=2)
    wanted = link_of(case.task, found.served.predict(found.rows))  # type: ignore[arg-type]
    assert parts.shape == (len(found.rows), reached.shape[1], len(found.inputs) + 1)
    if case.task == "multiclass":
        reached = logit(found.served.respond(reached))
    if case.task == "count":  # the mean of the distribution is cut at its last column
        reached = link_of("count", found.served.respond(reached))
    np.testing.assert_allclose(reached, wanted, atol=1e-5)


@every
def test_a_feature_that_a_member_does_not_use_has_no_term(case: Case) -> None:
    if case.kind == "column":
        found = fitted(case)
        used = {found.inputs.index(each) for each in found.inputs if each.name in found.problem.columns}
        parts = found.served.contributions(found.rows)
        idle = [at for at in range(len(found.inputs)) if at not in used]
        assert not parts[:, :, idle].any()


def test_the_cases_cover_every_kind_and_every_law_of_counts() -> None:
    assert {case.kind for case in CASES} >= set(LOADERS) - {"transformer"}
    members = [fitted(case).trained for case in CASES if case.task == "count"]
    laws = {each.law.name for each in members if isinstance(each, LogLinear | CountTrees)}
    assert laws == {"poisson", "negative_binomial", "conway_maxwell"}


def test_samples_of_paths_are_those_of_training_and_always_the_same() -> None:
    found = fitted(next(case for case in CASES if case.kind == "path_residual"))
    assert isinstance(found.trained, CorrectedPaths)
    assert isinstance(found.served, Sampling)
    for count in (1, 20):
        wanted = found.trained.samples(found.rows, count)
        np.testing.assert_allclose(found.served.samples(found.rows, count), wanted, atol=1e-6)
    alone = np.concatenate([found.served.samples(row[None], 20) for row in found.rows])
    assert alone.tobytes() == found.served.samples(found.rows, 20).tobytes()
    for count in (0, 21):
        with pytest.raises(ValueError, match="1 to 20"):
            found.served.samples(found.rows, count)


def refused(case: Case, content: bytes, **change: object) -> BundleRejected:
    found = fitted(case)
    given = {"task": case.task, "outcome": found.outcome, "inputs": found.inputs, **change}
    with pytest.raises(BundleRejected) as caught:
        load_member(case.kind, "members/it", content, **given)  # type: ignore[arg-type]
    assert caught.value.reason == "member"
    assert caught.value.where.startswith("members/it")
    return caught.value


@every
def test_a_member_of_other_inputs_is_refused(case: Case) -> None:
    found = fitted(case)
    if case.kind == "column":
        assert "column" in refused(case, found.content, inputs=[]).found
    else:
        refused(case, found.content, inputs=[*found.inputs, found.inputs[0]])


@every
def test_a_member_of_another_task_is_refused(case: Case) -> None:
    for task in ("binary", "multiclass", "count", "regression", "trajectory"):
        same_form = case.kind == "column" and {case.task, task} <= {"binary", "regression"}
        if task != case.task and not same_form:
            other = Case(case.kind, task)
            outcome = {
                "multiclass": Outcome(classes=["a", "b", "c", "d"]),
                "count": Outcome(most=9),
                "trajectory": Outcome(steps=5),
            }.get(task, Outcome())
            refused(case, fitted(case).content, task=other.task, outcome=outcome, inputs=inputs_of(case.task))


@pytest.mark.parametrize(
    ("kind", "outcome"),
    [
        ("poisson", Outcome(most=3)),
        ("trees_count", Outcome(most=3)),
        ("path_residual", Outcome(steps=12)),
        ("constant_velocity", Outcome(steps=12)),
        ("xgboost", Outcome(classes=["a", "b", "c", "d"])),
        ("logistic", Outcome(classes=["a", "b"])),
        ("column", Outcome(classes=["a", "b"])),
    ],
)
def test_a_member_of_another_size_is_refused(kind: str, outcome: Outcome) -> None:
    wanted = "multiclass" if outcome.classes else None
    case = next(each for each in CASES if each.kind == kind and wanted in {None, each.task})
    refused(case, fitted(case).content, outcome=outcome)


@every
def test_a_damaged_member_file_is_refused(case: Case) -> None:
    content = fitted(case).content
    broken = [b"", b"{}", b"not a model", b"\x80\x04."]
    if case.kind not in {"xgboost", "trees_count"}:
        broken += [json.dumps({**json.loads(content), "more": 1}).encode(), content[:-2]]
        first = next(name for name in ("coef", "instead", "names") if name in json.loads(content))
        broken.append(json.dumps({**json.loads(content), first: []}).encode())
    for each in broken:
        refused(case, each)


def test_an_unknown_kind_is_refused_with_those_that_are_known() -> None:
    with pytest.raises(BundleRejected) as caught:
        load_member("pickle", "members/it", b"", inputs_of("binary"))
    assert caught.value.found == "kind pickle"
    assert "path_residual" in caught.value.allowed
