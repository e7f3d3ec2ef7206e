"""Ed25519 signatures over bundle manifests (RFC 8032).

It does not encrypt, and it does not manage trust: who holds `signing.pub` decides what is served.
"""

import base64
import binascii
import fcntl
import os
import stat
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from pennant.errors import PennantError

PRIVATE_NAME = "signing.key"
PUBLIC_NAME = "signing.pub"
_TOO_OPEN = 0o027  # others may do nothing, the group may read at most


class SigningKeyError(PennantError):
    """A key file that is missing, open to others, or no Ed25519 key.

    Attributes:
        path: the key file.
        found: what is wrong with it.
        allowed: what it has to be.
    """

    def __init__(self, path: Path, found: str, allowed: str) -> None:
        self.path = path
        self.found = found
        self.allowed = allowed
        super().__init__(f"signing key {path}: {found}; {allowed}")


class SignatureError(PennantError):
    """A signature that does not belong to this content and key.

    Attributes:
        found: what is wrong with it.
    """

    def __init__(self, found: str) -> None:
        self.found = found
        super().__init__(
            f"signature refused: {found}; it was changed after it was signed, or another key signed it"
        )


def ensure_keys(folder: Path) -> None:
    """Make the key pair in `folder` if there is none yet.

    `signing.key` (PEM, PKCS 8) is readable by its owner only, `signing.pub` (PEM) by all. Several
    processes may call this at once: one pair comes out.

    Raises:
        SigningKeyError: `signing.pub` without `signing.key`, or files that do not belong together.
        OSError: the folder cannot be written.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    private, public = folder / PRIVATE_NAME, folder / PUBLIC_NAME
    with (folder / ".signing.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not private.exists():
            if public.exists():
                # A fresh pair would silently make every released bundle unverifiable.
                raise SigningKeyError(
                    private,
                    "missing beside its public key",
                    f"restore it, or delete {PUBLIC_NAME} to start anew",
                )
            pem = Ed25519PrivateKey.generate().private_bytes(
                Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
            )
            _write(private, pem, 0o600)
        wanted = _public_pem(_private_key(private))
        if not public.exists():
            _write(public, wanted, 0o644)
        elif public.read_bytes() != wanted:
            raise SigningKeyError(public, f"not the public half of {PRIVATE_NAME}", "restore the pair")


def sign(key: Path, content: bytes) -> str:
    """Sign `content`.

    Args:
        key: the file `signing.key`, or the folder that holds it.
        content: the exact bytes to sign.

    Returns:
        The signature of 64 bytes in base64.

    Raises:
        SigningKeyError: the key is missing, open to others, or unreadable as Ed25519.
    """
    path = key / PRIVATE_NAME if key.is_dir() else key
    return base64.b64encode(_private_key(path).sign(content)).decode("ascii")


def verify(key: Path | bytes, content: bytes, signature: str) -> None:
    """Check that `signature` was made over `content` by the holder of the private key.

    Args:
        key: the file `signing.pub`, the folder that holds it, or the bytes of that file.
        content: the exact bytes that were signed.
        signature: base64, as `sign` returns it.

    Raises:
        SignatureError: it was not.
        SigningKeyError: the public key is missing or unreadable as Ed25519.
    """
    public = _public_key(key)
    try:
        raw = base64.b64decode(signature.strip(), validate=True)
    except (binascii.Error, ValueError):
        raise SignatureError("not base64") from None
    try:
        public.verify(raw, content)
    except InvalidSignature:
        raise SignatureError("it does not match the content and the key") from None


def _private_key(path: Path) -> Ed25519PrivateKey:
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        pem = path.read_bytes()
    except FileNotFoundError:
        raise SigningKeyError(path, "missing", "run `make setup`, which makes it") from None
    if mode & _TOO_OPEN:
        raise SigningKeyError(path, f"mode {mode:04o} is open to others", f"run: chmod 600 '{path}'")
    try:
        key = load_pem_private_key(pem, password=None)
    except (ValueError, TypeError):
        raise SigningKeyError(path, "not a private key", "a PEM file with an Ed25519 key") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise SigningKeyError(path, f"a {type(key).__name__}", "a PEM file with an Ed25519 key")
    return key


def _public_key(source: Path | bytes) -> Ed25519PublicKey:
    path = Path(PUBLIC_NAME) if isinstance(source, bytes) else source
    if isinstance(source, bytes):
        pem = source
    else:
        path = source / PUBLIC_NAME if source.is_dir() else source
        try:
            pem = path.read_bytes()
        except FileNotFoundError:
            raise SigningKeyError(path, "missing", "run `make setup`, which makes it") from None
    try:
        key = load_pem_public_key(pem)
    except ValueError:
        raise SigningKeyError(path, "not a public key", "a PEM file with an Ed25519 key") from None
    if not isinstance(key, Ed25519PublicKey):
        raise SigningKeyError(path, f"a {type(key).__name__}", "a PEM file with an Ed25519 key")
    return key


def _public_pem(key: Ed25519PrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def _write(path: Path, content: bytes, mode: int) -> None:
    """Write a whole file or none: a reader never sees half a key, nor an open mode."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    partial.unlink(missing_ok=True)
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(descriptor, mode)
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
