"""Laws 10 and 11: a bundle is served only when every byte, its maker and its golden numbers are proven."""

import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import xgboost
from hypothesis import given, settings
from hypothesis import strategies as st
from serving_bundles import Signer, new_signer, reference_predict, seal, write_bundle

from pennant_serving.bundle import Bundle, BundleRejected, fetch, load
from pennant_serving.flavor import _load_pyfunc

CALIBRATIONS = {
    "none": {"method": "none"},
    "platt": {"method": "platt", "slope": 0.8, "intercept": 0.3},
    "isotonic": {"method": "isotonic", "x": [0.0, 0.3, 0.3, 0.7, 1.0], "y": [0.05, 0.2, 0.4, 0.6, 0.97]},
}

value = st.one_of(st.just(np.nan), st.floats(-50, 50))
matrices = st.lists(st.tuples(value, value, value), min_size=1, max_size=40).map(
    lambda rows: np.array(rows, dtype=np.float64)
)


@pytest.fixture
def copy(bundles: dict[str, tuple[Path, str]], tmp_path: Path) -> Path:
    return Path(shutil.copytree(bundles["1"][0], tmp_path / "copy"))


@pytest.fixture(scope="module")
def loaded(bundles: dict[str, tuple[Path, str]], signer: Signer) -> Bundle:
    return load(bundles["1"][0], signer.public)


def refused(folder: Path, signer: Signer) -> BundleRejected:
    with pytest.raises(BundleRejected) as caught:
        load(folder, signer.public)
    return caught.value


@pytest.mark.parametrize("name", CALIBRATIONS)
def test_scores_are_the_formula_of_the_format(tmp_path: Path, signer: Signer, name: str) -> None:
    write_bundle(tmp_path / "b", signer, calibration=CALIBRATIONS[name])
    bundle = load(tmp_path / "b", signer.public)
    booster = xgboost.Booster(model_file=tmp_path / "b" / "members" / "trees.ubj")
    booster.feature_names = None
    linear = json.loads((tmp_path / "b" / "members" / "linear.json").read_text())
    rows = np.random.default_rng(5).normal(size=(500, 3)) * 300
    rows[::7, 0] = np.nan
    expected = reference_predict(bundle.manifest, booster, linear, rows)
    scores = bundle.predict(rows)
    for found, wanted in zip((scores.prediction, scores.low, scores.high), expected, strict=True):
        np.testing.assert_allclose(found, wanted, atol=1e-9)
    assert np.all(scores.low <= scores.prediction)
    assert np.all(scores.prediction <= scores.high)


@given(rows=matrices)
@settings(max_examples=40, deadline=None)
def test_a_row_scores_the_same_bits_alone_and_in_a_batch(loaded: Bundle, rows: np.ndarray) -> None:
    together = loaded.predict(rows).prediction
    alone = [loaded.predict(rows[index : index + 1]).prediction[0] for index in range(len(rows))]
    assert together.tolist() == alone


@pytest.mark.parametrize("name", CALIBRATIONS)
def test_an_explanation_adds_up_to_the_prediction(tmp_path: Path, signer: Signer, name: str) -> None:
    write_bundle(tmp_path / "b", signer, calibration=CALIBRATIONS[name])
    bundle = load(tmp_path / "b", signer.public)
    rows = np.random.default_rng(6).normal(size=(300, 3)) * [300, 5, 20]
    rows[::5, 2] = np.nan
    explained = bundle.explain(rows)
    total = explained.baseline + explained.contributions.sum(axis=1)
    prediction = bundle.predict(rows).prediction
    np.testing.assert_allclose(1 / (1 + np.exp(-total)), prediction, atol=1e-9)
    assert np.abs(explained.contributions[:, 0]).mean() > np.abs(explained.contributions[:, 1]).mean()


def test_an_explanation_of_one_linear_member_is_its_linear_terms(tmp_path: Path, signer: Signer) -> None:
    def only_linear(manifest: dict[str, object]) -> None:
        manifest["members"][0]["weight"], manifest["members"][1]["weight"] = 0.0, 1.0  # type: ignore[index]

    write_bundle(tmp_path / "b", signer, calibration={"method": "none"}, change=only_linear)
    linear = json.loads((tmp_path / "b" / "members" / "linear.json").read_text())
    rows = np.array([[100.0, 2.0, -5.0], [-300.0, 0.0, 12.0]])
    explained = load(tmp_path / "b", signer.public).explain(rows)
    terms = np.array(linear["coef"]) * (rows - linear["mean"]) / np.array(linear["scale"])
    np.testing.assert_allclose(explained.contributions, terms, atol=1e-9)
    np.testing.assert_allclose(explained.baseline, linear["intercept"], atol=1e-9)


def test_one_changed_byte_anywhere_refuses_the_bundle(copy: Path, signer: Signer) -> None:
    for path in sorted(each for each in copy.rglob("*") if each.is_file()):
        original = path.read_bytes()
        for position in {0, len(original) // 2, len(original) - 1}:
            changed = bytearray(original)
            changed[position] ^= 1
            path.write_bytes(changed)
            assert refused(copy, signer).reason in {"hash", "signature", "unlisted"}, (path.name, position)
        path.write_bytes(original)
    assert load(copy, signer.public).golden.rows == 20


def test_one_missing_byte_or_file_refuses_the_bundle(copy: Path, signer: Signer) -> None:
    for path in sorted(each for each in copy.rglob("*") if each.is_file()):
        original = path.read_bytes()
        path.write_bytes(original[:-1])
        refused(copy, signer)
        path.unlink()
        refused(copy, signer)
        path.write_bytes(original)


@pytest.mark.parametrize("column", ["expected", "expected_low", "expected_high"])
def test_a_wrong_golden_number_refuses_even_a_well_signed_bundle(
    copy: Path, signer: Signer, column: str
) -> None:
    table = pq.read_table(copy / "golden.parquet")
    numbers = table.column(column).to_numpy().copy()
    numbers[7] += 1e-5
    pq.write_table(
        table.set_column(table.column_names.index(column), column, pa.array(numbers)), copy / "golden.parquet"
    )
    seal(copy, signer)
    error = refused(copy, signer)
    assert error.reason == "golden"
    assert error.where == "golden.parquet row 7"


def test_golden_rows_that_are_none_or_not_numbers_refuse_the_bundle(copy: Path, signer: Signer) -> None:
    table = pq.read_table(copy / "golden.parquet")
    for broken in (
        table.slice(0, 0),
        table.drop_columns(["expected"]),
        table.set_column(3, "expected", pa.array([float("nan")] * 20)),
    ):
        pq.write_table(broken, copy / "golden.parquet")
        seal(copy, signer)
        assert refused(copy, signer).reason == "golden"


def test_another_signer_refuses_the_bundle(copy: Path) -> None:
    assert refused(copy, new_signer()).reason == "signature"


def test_a_bundle_without_signature_or_key_is_refused_unless_allowed(copy: Path, signer: Signer) -> None:
    with pytest.raises(BundleRejected) as caught:
        load(copy, None)
    assert caught.value.reason == "unsigned"
    (copy / "signature").unlink()
    assert refused(copy, signer).reason == "unreadable"
    assert not load(copy, None, allow_unsigned=True).signed


def test_allowing_unsigned_does_not_excuse_a_wrong_signature(copy: Path) -> None:
    with pytest.raises(BundleRejected) as caught:
        load(copy, new_signer().public, allow_unsigned=True)
    assert caught.value.reason == "signature"


def test_files_that_nobody_signed_refuse_the_bundle(copy: Path, signer: Signer) -> None:
    (copy / "members" / "extra.pkl").write_bytes(b"x")
    error = refused(copy, signer)
    assert (error.reason, error.where) == ("unlisted", "members/extra.pkl")


def test_a_listed_path_cannot_leave_the_bundle(copy: Path, signer: Signer) -> None:
    (copy.parent / "outside").write_bytes(b"")
    for path in ("../outside", "/etc/hostname"):
        lines = (copy / "SHA256SUMS").read_text() + f"{'0' * 64}  {path}\n"
        (copy / "SHA256SUMS").write_text(lines)
        import base64

        (copy / "signature").write_bytes(base64.b64encode(signer.private.sign(lines.encode())))
        assert refused(copy, signer).reason == "unlisted"


def test_a_symbolic_link_is_no_file_of_a_bundle(copy: Path, signer: Signer) -> None:
    original = copy.parent / "elsewhere.json"
    (copy / "explain.json").rename(original)
    (copy / "explain.json").symlink_to(original)
    assert refused(copy, signer).reason == "unlisted"


@pytest.mark.parametrize(
    ("change", "where"),
    [
        (lambda m: m.update(format=2), "format"),
        (lambda m: m["members"][0].update(weight=0.9), "bundle.json"),
        (lambda m: m["members"][0].update(file="../golden.parquet"), "file"),
        (lambda m: m["inputs"][0].update(dtype="float32"), "dtype"),
        (lambda m: m["inputs"][0].update(low=2000), "inputs"),
        (lambda m: m.update(calibration={"method": "isotonic", "x": [0, 1], "y": [1, 0]}), "calibration"),
        (lambda m: m.update(calibration={"method": "beta"}), "calibration"),
        (lambda m: m["inputs"].append(dict(m["inputs"][0])), "bundle.json"),
    ],
)
def test_a_contract_that_says_nonsense_refuses_the_bundle(
    copy: Path, signer: Signer, change: object, where: str
) -> None:
    manifest = json.loads((copy / "bundle.json").read_text())
    change(manifest)  # type: ignore[operator]
    (copy / "bundle.json").write_text(json.dumps(manifest))
    seal(copy, signer)
    error = refused(copy, signer)
    assert error.reason == "manifest"
    assert where in error.where


def test_a_model_file_with_other_inputs_refuses_the_bundle(copy: Path, signer: Signer) -> None:
    manifest = json.loads((copy / "bundle.json").read_text())
    manifest["inputs"][0], manifest["inputs"][1] = manifest["inputs"][1], manifest["inputs"][0]
    (copy / "bundle.json").write_text(json.dumps(manifest))
    seal(copy, signer)
    assert refused(copy, signer).reason == "member"


def test_a_model_file_that_is_no_model_refuses_the_bundle(copy: Path, signer: Signer) -> None:
    for content in (b"", b"not a model", b"{}", b"\x80\x04."):
        (copy / "members" / "trees.ubj").write_bytes(content)
        seal(copy, signer)
        assert refused(copy, signer).reason == "member"


def test_every_form_of_the_public_key_verifies(bundles: dict[str, tuple[Path, str]], signer: Signer) -> None:
    import base64

    raw = signer.private.public_key().public_bytes_raw()
    for key in (signer.public, raw, base64.b64encode(raw), base64.b64encode(raw) + b"\n"):
        assert load(bundles["1"][0], key).signed
    with pytest.raises(BundleRejected):
        load(bundles["1"][0], b"not a key")


def test_fetch_gives_the_named_bundle_or_nothing(
    bundles: dict[str, tuple[Path, str]], copy: Path, tmp_path: Path, signer: Signer
) -> None:
    cache = tmp_path / "cache"
    folder = fetch(copy.as_uri(), cache, bundles["1"][1])
    assert load(folder, signer.public).sha256 == bundles["1"][1] == folder.name
    with pytest.raises(BundleRejected) as other:
        fetch(copy.as_uri(), cache, bundles["2"][1])
    assert other.value.reason == "identity"
    with pytest.raises(BundleRejected) as absent:
        fetch((tmp_path / "nowhere").as_uri(), cache, bundles["2"][1])
    assert absent.value.reason == "unreadable"
    assert [each.name for each in cache.iterdir()] == [bundles["1"][1]]


def test_fetch_refuses_a_damaged_source_and_mends_a_damaged_cache(
    bundles: dict[str, tuple[Path, str]], copy: Path, tmp_path: Path
) -> None:
    cache = tmp_path / "cache"
    folder = fetch(copy.as_uri(), cache, bundles["1"][1])
    (folder / "explain.json").write_text("{}")
    fetch(copy.as_uri(), cache, bundles["1"][1])
    assert "importances" in (folder / "explain.json").read_text()
    shutil.rmtree(folder)
    (copy / "members" / "linear.json").write_text("{}")
    with pytest.raises(BundleRejected) as caught:
        fetch(copy.as_uri(), cache, bundles["1"][1])
    assert (caught.value.reason, caught.value.where) == ("hash", "members/linear.json")
    assert not folder.exists()


def test_mlflow_scores_the_same_numbers(
    bundles: dict[str, tuple[Path, str]], signer: Signer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pandas as pd

    (tmp_path / "key.pub").write_bytes(signer.public)
    monkeypatch.setenv("PENNANT_SERVING_PUBLIC_KEY", str(tmp_path / "key.pub"))
    model = _load_pyfunc(str(bundles["1"][0]))
    frame = pd.DataFrame(
        {"heat": [1.0, 2], "other": [0, 0], "rest": [1, 2], "rating": [None, 5.0]}, index=[7, 9]
    )
    found = model.predict(frame)
    rows = np.array([[np.nan, 1, 1], [5, 2, 2]])
    assert found["prediction"].tolist() == model.bundle.predict(rows).prediction.tolist()
    assert list(found.columns) == ["prediction", "low", "high"]
    assert list(found.index) == [7, 9]
    with pytest.raises(ValueError, match="rating"):
        model.predict(frame.drop(columns="rating"))
    monkeypatch.delenv("PENNANT_SERVING_PUBLIC_KEY")
    with pytest.raises(BundleRejected):
        _load_pyfunc(str(bundles["1"][0]))


def test_serving_imports_no_training_library(bundles: dict[str, tuple[Path, str]]) -> None:
    import subprocess
    import sys

    code = (
        "import sys, numpy, pathlib, pennant_serving.app; from pennant_serving.bundle import load; "
        "b = load(pathlib.Path(sys.argv[1]), None, allow_unsigned=True); b.explain(numpy.zeros((2, 3))); "
        "heavy = ('xgboost', 'pandas', 'sklearn', 'scipy', 'mlflow', 'pennant', 'pyarrow.dataset'); "
        "print([each for each in heavy if each in sys.modules])"
    )
    command = [sys.executable, "-c", code, str(bundles["1"][0])]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip() == "[]"
