"""The whole gate on real bundles: evidence under its hash, report, card, MLflow and the warehouse."""

import base64
import hashlib
import io
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from sqlalchemy import select

from pennant.gate.contender import enter
from pennant.gate.evidence import Evidence, canonical, evaluate, load_evidence
from pennant.gate.possible import impossible_predictions
from pennant.gate.report import render
from pennant.gate.report_shown import Shown
from pennant.gate.score import ContractMismatch, fresh_rows, score_table
from pennant.gate.tables import BINARY, Unscorable
from pennant.reference import Reference
from pennant.training.metrics import by_row
from pennant.warehouse.tables import model_performance

Stage = Any


def judged(
    stage: Stage, challenger: Any, champion: Any, use_case: Any = None, snapshot: Any = None
) -> Evidence:
    return evaluate(
        use_case or stage.use_case,
        snapshot or stage.snapshot,
        challenger,
        champion,
        stage.lake,
        stage.models,
        stage.settings,
        stage.warehouse,
    )


@pytest.fixture(scope="module")
def promoted(stage: Stage) -> Evidence:
    return judged(stage, stage.good, stage.poor)


def test_a_better_model_is_promoted_over_a_poor_champion_and_not_the_other_way_round(
    stage: Stage, promoted: Evidence
) -> None:
    back = judged(stage, stage.poor, stage.good)
    assert (promoted.verdict.outcome, back.verdict.outcome) == ("promote", "hold")
    assert "worse_than_champion" in back.verdict.codes
    assert back.summary().splitlines()[0] == back.verdict.deciding()[0].text


def test_the_first_champion_is_judged_against_the_baselines(stage: Stage) -> None:
    assert judged(stage, stage.good, None).verdict.outcome == "promote"
    poor = judged(stage, stage.poor, None)
    assert (poor.verdict.outcome, "baseline_not_beaten" in poor.verdict.codes) == ("hold", True)


def test_a_model_judged_against_itself_holds(stage: Stage) -> None:
    found = judged(stage, stage.good, stage.good)
    assert (found.verdict.outcome, found.verdict.deciding()[0].code) == ("hold", "challenger_is_champion")


def test_the_evidence_is_named_by_its_hash_and_reads_back(stage: Stage, promoted: Evidence) -> None:
    content = stage.lake.get(promoted.reference)
    assert hashlib.sha256(content).hexdigest() == promoted.sha256 == promoted.reference.sha256
    assert canonical(json.loads(content)) == content
    assert promoted.reference.uri.endswith(f"reports/league_demo/gate/{promoted.sha256}.json")
    data, verdict = load_evidence(stage.lake, promoted.reference)
    assert verdict == promoted.verdict
    assert data["challenger"]["author"] == "ana@example.org"
    assert data["champion"]["bundle_sha256"] == stage.poor.bundle_sha256


def test_judging_twice_changes_nothing(stage: Stage, promoted: Evidence) -> None:
    before = stage.lake.list("reports")
    again = judged(stage, stage.good, stage.poor)
    assert (again.reference, again.report, again.card) == (promoted.reference, promoted.report, promoted.card)
    assert stage.lake.list("reports") == before


def test_the_kept_scores_give_the_verdicts_numbers_again(stage: Stage, promoted: Evidence) -> None:
    kept = Reference.from_json(promoted.data["scores"])
    scores = pl.read_parquet(io.BytesIO(stage.lake.get(kept)))
    label = scores["label"].to_numpy()
    ours = by_row("log_loss", BINARY, label, scores["challenger"].to_numpy())
    theirs = by_row("log_loss", BINARY, label, scores["champion"].to_numpy())
    assert promoted.verdict.challenger_loss == pytest.approx(ours.mean(), abs=1e-12)
    assert promoted.verdict.comparisons[0].mean == pytest.approx((theirs - ours).mean(), abs=1e-12)


def test_what_was_promised_is_a_row_that_the_watch_can_read(stage: Stage, promoted: Evidence) -> None:
    judged(stage, stage.good, stage.poor)
    query = select(model_performance).where(
        model_performance.c.source == "gate", model_performance.c.version == stage.good.version
    )
    with stage.warehouse.connect() as connection:
        rows = {row["metric"]: row for row in connection.execute(query).mappings()}
    assert rows["log_loss"]["value"] == promoted.verdict.challenger_loss
    assert rows["log_loss"]["details"]["evidence_sha256"] == promoted.sha256
    assert {"auc", "calibration_error", "gain_over:champion", "gain_over:base_rate"} <= set(rows)


def test_report_card_and_evidence_lie_beside_the_model_in_mlflow_and_its_tags_say_the_verdict(
    stage: Stage, promoted: Evidence, tmp_path: Path
) -> None:
    judged(stage, stage.good, stage.poor)
    tags = stage.models.version("league_demo", stage.good.version).tags
    assert (tags["gate.outcome"], tags["gate.evidence_sha256"]) == ("promote", promoted.sha256)
    with stage.models._asking() as client:
        run = client.get_model_version("league_demo", stage.good.version).run_id
        folder = Path(client.download_artifacts(run, "reports/gate", str(tmp_path)))
    assert (folder / "report.html").read_bytes() == stage.lake.get(promoted.report)
    assert (folder / "evidence.json").read_bytes() == stage.lake.get(promoted.reference)
    assert (folder / "model_card.md").read_bytes() == stage.lake.get(promoted.card)


def test_the_report_is_one_page_that_loads_nothing_and_says_the_verdict_first(
    stage: Stage, promoted: Evidence
) -> None:
    page = stage.lake.get(promoted.report).decode()
    pictures = re.findall(r'<img alt="([^"]+)" src="data:image/svg\+xml;base64,([^"]+)"', page)
    assert [name for name, _ in pictures] == [
        "Gain over champion and baselines",
        "Calibration",
        "Predictions by outcome",
        "Loss in each slice",
        "Importances",
        "How terms depend on values",
        "Interactions",
        "Do importances stand still",
        *(f"{which}: terms" for which in ("Largest gain", "Largest loss", "A typical row")),
    ]
    assert all(b"<svg" in base64.b64decode(content) for _, content in pictures)
    assert not re.search(r'(src|href)="(?!data:)', page)
    assert "<script" not in page
    assert page.index("PROMOTE") < page.index(promoted.verdict.deciding()[0].code) < page.index("<img")
    assert promoted.sha256 in page
    assert "trees by TreeSHAP of the shap library" in page


def test_what_comes_from_data_cannot_become_markup(stage: Stage, promoted: Evidence) -> None:
    hostile = "<script>alert(1)</script>"
    use_case = stage.use_case.model_copy(update={"title": hostile})
    data = {**promoted.data, "challenger": {**promoted.data["challenger"], "author": hostile}}
    assert b"<script" not in render(use_case, data, promoted.verdict, promoted.sha256, Shown())


def test_the_model_card_has_its_parts_and_its_numbers(stage: Stage, promoted: Evidence) -> None:
    card = stage.lake.get(promoted.card).decode()
    for part in (
        "Model details",
        "Intended use",
        "Training data",
        "Quantitative analyses",
        "Limits",
        "Reproduce",
    ):
        assert f"\n## {part}" in card
    assert f"{promoted.verdict.challenger_loss:.4f}" in card
    assert stage.good.bundle_sha256 in card


def test_a_bundle_scores_as_serving_does_and_says_which_input_is_missing(stage: Stage) -> None:
    found = enter(stage.good, "challenger", stage.settings).found
    assert not isinstance(found, Unscorable)
    frame = pl.read_parquet(io.BytesIO(stage.lake.get(stage.snapshot)))
    fresh = fresh_rows(stage.use_case, frame, frame["label_known_at"].max())
    table = score_table(stage.use_case, fresh, found.bundle, "challenger")
    assert len(table) == fresh.height
    assert impossible_predictions(table) == 0
    assert np.array_equal(table.label, fresh["label"].to_numpy())
    with pytest.raises(ContractMismatch) as caught:
        score_table(stage.use_case, fresh.drop("form"), found.bundle, "challenger")
    assert caught.value.missing == ["form"]


def test_a_champion_whose_inputs_are_gone_holds_and_such_a_challenger_is_refused(
    stage: Stage, frame: pl.DataFrame
) -> None:
    narrow = frame.drop("strength")
    content = io.BytesIO()
    narrow.write_parquet(content)
    digest = hashlib.sha256(content.getvalue()).hexdigest()
    moment = json.loads(stage.lake.get(stage.lake.uri(f"snapshots/{stage.snapshot.sha256}/snapshot.json")))
    stage.lake.put(f"snapshots/{digest}/snapshot.json", json.dumps(moment).encode())
    snapshot = stage.lake.put(f"snapshots/{digest}/data.parquet", content.getvalue())
    held = judged(stage, stage.poor, stage.good, snapshot=snapshot)
    assert (held.verdict.outcome, "champion_unscorable" in held.verdict.codes) == ("hold", True)
    refused = judged(stage, stage.good, stage.poor, snapshot=snapshot)
    assert (refused.verdict.outcome, refused.verdict.codes[0]) == ("refuse", "contract_mismatch")
    assert "strength" in refused.verdict.reasons[0].text
    assert b"REFUSE" in stage.lake.get(refused.report)


def test_a_bundle_signed_by_somebody_else_is_refused(stage: Stage, tmp_path: Path) -> None:
    from pennant.security.signing import ensure_keys

    strangers = replace(stage.settings, home=tmp_path)
    ensure_keys(strangers.secrets)
    found = enter(stage.good, "challenger", strangers).found
    assert isinstance(found, Unscorable)
    assert (found.code, "signature" in found.why) == ("bundle_rejected", True)
