"""Ed25519 (RFC 8032) by the library ``cryptography``, of the extra ``[audit]``; and the private key's file."""

from __future__ import annotations

import base64
import secrets
from typing import Any

import msgspec

from mdevreg.audit.notes import ED25519, KEY_BYTES, PublicKey, Sign, checked_name, strict_base64
from mdevreg.errors import AuditError, MissingExtraError

_PREFIX = "PRIVATE+KEY+"


class SigningKey(msgspec.Struct, frozen=True):
    """A log's key: who has it can sign checkpoints of the log."""

    public: PublicKey
    seed: bytes

    def __repr__(self) -> str:
        return f"SigningKey({self.public.text!r})"  # the seed must not reach a log

    def sign(self, message: bytes) -> bytes:
        """The signature of a message, 64 bytes."""
        signature: bytes = _private(self.seed).sign(message)
        return signature

    @property
    def signer(self) -> Sign:
        """``sign``."""
        return self.sign

    @property
    def text(self) -> str:
        """The key's file: one line, as Go's sumdb/note writes signer keys."""
        encoded = base64.b64encode(bytes([ED25519]) + self.seed).decode()
        return f"{_PREFIX}{self.public.name}+{self.public.id.hex()}+{encoded}\n"


def new_key(name: str) -> SigningKey:
    """A key of a name, new."""
    return _key(checked_name(name), secrets.token_bytes(KEY_BYTES))


def read_key(text: str) -> SigningKey:
    """A key from its file. Raises ``AuditError`` (AUDIT_KEY); the message never has the key."""
    name, _, rest = text.strip().removeprefix(_PREFIX).partition("+")
    identity, _, encoded = rest.partition("+")
    try:
        data = strict_base64(encoded)
    except ValueError:
        data = b""
    if not text.startswith(_PREFIX) or len(data) != 1 + KEY_BYTES or data[0] != ED25519:
        raise AuditError("this is no key file; make one with: mdevreg-server audit keygen FILE", code="AUDIT_KEY")
    found = _key(checked_name(name), data[1:])
    if found.public.id.hex() != identity:
        raise AuditError(f"the key file of {name} is damaged: its id is {found.public.id.hex()}", code="AUDIT_KEY")
    return found


def verify(key: bytes, signature: bytes, message: bytes) -> bool:
    """Whether a signature of a message is a public key's."""
    ed25519 = _library()
    from cryptography.exceptions import InvalidSignature

    try:
        ed25519.Ed25519PublicKey.from_public_bytes(key).verify(signature, message)
    except InvalidSignature:
        return False
    return True


def _key(name: str, seed: bytes) -> SigningKey:
    public: bytes = _private(seed).public_key().public_bytes_raw()
    return SigningKey(PublicKey(name, public), seed)


def _private(seed: bytes) -> Any:
    return _library().Ed25519PrivateKey.from_private_bytes(seed)


def _library() -> Any:
    try:
        from cryptography.hazmat.primitives.asymmetric import ed25519
    except ModuleNotFoundError as error:
        raise MissingExtraError("a signed checkpoint", "audit") from error
    return ed25519
