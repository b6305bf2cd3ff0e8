"""Signs a query string with the key the exchange gave: HMAC, RSA or Ed25519, told apart by the secret itself.

Never prints, logs or stores a secret: a signer's text says only of which kind it is.
"""

import hashlib
import hmac
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol
from urllib.parse import quote, urlencode

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from pipeline.errors import UsageError

Parameters = Mapping[str, object]


class Signer(Protocol):
    """Makes the value of `signature` for a payload, not yet percent-encoded."""

    def sign(self, payload: bytes) -> str:
        """The signature as text."""
        ...


@dataclass(frozen=True, slots=True)
class HmacSigner:
    """A shared secret; hexadecimal HMAC-SHA256."""

    secret: bytes = field(repr=False)

    def sign(self, payload: bytes) -> str:
        """The signature as text."""
        return hmac.new(self.secret, payload, hashlib.sha256).hexdigest()


@dataclass(frozen=True, slots=True)
class RsaSigner:
    """An RSA key; PKCS#1 v1.5 with SHA-256, base64."""

    key: RSAPrivateKey = field(repr=False)

    def sign(self, payload: bytes) -> str:
        """The signature as text."""
        return b64encode(self.key.sign(payload, PKCS1v15(), hashes.SHA256())).decode()


@dataclass(frozen=True, slots=True)
class Ed25519Signer:
    """An Ed25519 key; base64."""

    key: Ed25519PrivateKey = field(repr=False)

    def sign(self, payload: bytes) -> str:
        """The signature as text."""
        return b64encode(self.key.sign(payload)).decode()


@dataclass(frozen=True, slots=True)
class Credentials:
    """Who we are to the exchange."""

    api_key: str = field(repr=False)
    signer: Signer


def signer_for(secret: str) -> Signer:
    """A PEM private key signs by its own kind; any other text is an HMAC secret."""
    if not secret.strip().startswith("-----BEGIN"):
        return HmacSigner(secret.strip().encode())
    try:
        key = load_pem_private_key(secret.strip().encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise UsageError(
            "the API secret begins like a PEM private key but cannot be read as one; "
            "use the whole unencrypted PKCS#8 file, with its BEGIN and END lines"
        ) from None
    if isinstance(key, RSAPrivateKey):
        return RsaSigner(key)
    if isinstance(key, Ed25519PrivateKey):
        return Ed25519Signer(key)
    raise UsageError(f"the API secret is a {type(key).__name__}; the exchange takes HMAC, RSA and Ed25519 keys")


def query_string(parameters: Parameters) -> str:
    """Percent-encoded UTF-8 in the given order; None means "not sent"; booleans as the exchange writes them."""
    sent = {name: as_sent(value) for name, value in parameters.items() if value is not None}
    return urlencode(sent, quote_via=quote, safe="")


def signed_query(parameters: Parameters, signer: Signer) -> str:
    """The whole query string with its signature last."""
    query = query_string(parameters)
    return f"{query}&signature={quote(signer.sign(query.encode()), safe='')}"


def signed_message(parameters: Parameters, api_key: str, signer: Signer) -> dict[str, str]:
    """The parameters of a message on a websocket, with the key and the signature: over the names in their order, and
    nothing is percent-encoded."""
    sent = {name: as_sent(value) for name, value in parameters.items() if value is not None} | {"apiKey": api_key}
    payload = "&".join(f"{name}={sent[name]}" for name in sorted(sent))
    return sent | {"signature": signer.sign(payload.encode())}


def as_sent(value: object) -> str:
    """A parameter as the exchange reads it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
