"""What is signed verifies, and nothing else does."""

import multiprocessing
import os
import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import given, settings
from hypothesis import strategies as st

from pennant.security.signing import SignatureError, SigningKeyError, ensure_keys, sign, verify


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("home") / "secrets"
    ensure_keys(folder)
    return folder


@given(content=st.binary(max_size=500), other=st.binary(max_size=500))
@settings(max_examples=50, deadline=None)
def test_a_signature_holds_for_its_content_alone(keys: Path, content: bytes, other: bytes) -> None:
    signature = sign(keys / "signing.key", content)
    verify(keys / "signing.pub", content, signature)
    if other != content:
        with pytest.raises(SignatureError):
            verify(keys, other, signature)


@given(position=st.integers(0, 511))
@settings(max_examples=50, deadline=None)
def test_one_changed_bit_of_a_signature_is_refused(keys: Path, position: int) -> None:
    import base64

    raw = bytearray(base64.b64decode(sign(keys, b"manifest")))
    raw[position // 8] ^= 1 << position % 8
    with pytest.raises(SignatureError):
        verify(keys, b"manifest", base64.b64encode(raw).decode())


def test_a_signature_of_another_key_is_refused(keys: Path, tmp_path: Path) -> None:
    ensure_keys(tmp_path)
    with pytest.raises(SignatureError):
        verify((keys / "signing.pub").read_bytes(), b"manifest", sign(tmp_path, b"manifest"))


@pytest.mark.parametrize("signature", ["", "not base64 at all!", "AAAA", "é"])
def test_what_is_no_signature_is_refused(keys: Path, signature: str) -> None:
    with pytest.raises(SignatureError):
        verify(keys, b"manifest", signature)


def test_the_private_key_is_for_its_owner_alone(keys: Path) -> None:
    assert stat.S_IMODE((keys / "signing.key").stat().st_mode) == 0o600
    assert stat.S_IMODE(keys.stat().st_mode) == 0o700


def test_a_key_that_others_can_read_is_refused(tmp_path: Path) -> None:
    ensure_keys(tmp_path)
    (tmp_path / "signing.key").chmod(0o644)
    with pytest.raises(SigningKeyError) as caught:
        sign(tmp_path, b"manifest")
    assert caught.value.path == tmp_path / "signing.key"
    assert "0644" in caught.value.found


def test_making_keys_twice_keeps_the_first_pair(keys: Path) -> None:
    before = (keys / "signing.key").read_bytes(), (keys / "signing.pub").read_bytes()
    ensure_keys(keys)
    assert ((keys / "signing.key").read_bytes(), (keys / "signing.pub").read_bytes()) == before


def _make(folder: Path, barrier: object) -> None:
    barrier.wait()  # type: ignore[attr-defined]
    ensure_keys(folder)


def test_processes_that_make_keys_at_once_end_with_one_pair(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(4)
    workers = [context.Process(target=_make, args=(tmp_path / "secrets", barrier)) for _ in range(4)]
    for each in workers:
        each.start()
    for each in workers:
        each.join(60)
    assert [each.exitcode for each in workers] == [0, 0, 0, 0]
    verify(tmp_path / "secrets", b"manifest", sign(tmp_path / "secrets", b"manifest"))
    assert sorted(each.name for each in (tmp_path / "secrets").iterdir()) == [
        ".signing.lock",
        "signing.key",
        "signing.pub",
    ]


def test_a_lost_private_key_is_not_replaced_unseen(tmp_path: Path) -> None:
    ensure_keys(tmp_path)
    (tmp_path / "signing.key").unlink()
    with pytest.raises(SigningKeyError) as caught:
        ensure_keys(tmp_path)
    assert caught.value.path == tmp_path / "signing.key"


def test_a_lost_public_key_comes_back_from_the_private_one(tmp_path: Path) -> None:
    ensure_keys(tmp_path)
    before = (tmp_path / "signing.pub").read_bytes()
    (tmp_path / "signing.pub").unlink()
    ensure_keys(tmp_path)
    assert (tmp_path / "signing.pub").read_bytes() == before


def test_halves_of_two_pairs_are_refused(tmp_path: Path, keys: Path) -> None:
    ensure_keys(tmp_path)
    (tmp_path / "signing.pub").write_bytes((keys / "signing.pub").read_bytes())
    with pytest.raises(SigningKeyError) as caught:
        ensure_keys(tmp_path)
    assert caught.value.path == tmp_path / "signing.pub"


@pytest.mark.parametrize("name", ["signing.key", "signing.pub"])
def test_a_missing_key_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(SigningKeyError) as caught:
        sign(tmp_path, b"") if name == "signing.key" else verify(tmp_path, b"", "")
    assert (caught.value.path, caught.value.found) == (tmp_path / name, "missing")


def test_a_key_of_another_kind_is_refused(tmp_path: Path) -> None:
    pem = generate_private_key(SECP256R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    for content in (pem, b"nonsense"):
        path = tmp_path / "signing.key"
        path.write_bytes(content)
        path.chmod(0o600)
        with pytest.raises(SigningKeyError) as caught:
            sign(path, b"")
        assert caught.value.allowed == "a PEM file with an Ed25519 key"
    with pytest.raises(SigningKeyError):
        verify(b"nonsense", b"", "")


def test_a_key_is_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        ensure_keys(tmp_path / "secrets")
    assert [each.name for each in (tmp_path / "secrets").iterdir()] == [".signing.lock"]
