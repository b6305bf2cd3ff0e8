"""Who is asking, and may they: API keys, signatures (HMAC, RSA, Ed25519), time windows, permissions, addresses.

Written from the exchange's rules alone; it shares no line with the client that it judges.
"""

import base64
import hmac
import re
from dataclasses import dataclass, field
from typing import Literal

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from pipeline.errors import UsageError
from pipeline.simulator.errors import ApiError
from pipeline.simulator.venue.params import Params
from pipeline.simulator.venue.refusals import refuse

Permission = Literal["read", "trade"]
Secret = str | RSAPublicKey | Ed25519PublicKey

AHEAD = 1_000
DEFAULT_WINDOW = 5_000
LONGEST_WINDOW = 60_000

_KEY_FORM = re.compile(r"[A-Za-z0-9_-]{1,128}")


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key of an account. `secret` is the shared secret, or the public half of an RSA or Ed25519 pair."""

    key: str
    account: str
    secret: Secret = field(repr=False)
    permissions: frozenset[Permission] = frozenset(("read", "trade"))
    addresses: frozenset[str] = frozenset()  # empty: from anywhere

    def verifies(self, payload: bytes, signature: str) -> bool:
        """Whether the signature belongs to the payload."""
        if isinstance(self.secret, str):
            expected = hmac.digest(self.secret.encode(), payload, "sha256").hex()
            return hmac.compare_digest(expected.encode(), signature.lower().encode())
        try:
            raw = base64.b64decode(signature, validate=True)
            if isinstance(self.secret, RSAPublicKey):
                self.secret.verify(raw, payload, PKCS1v15(), SHA256())
            else:
                self.secret.verify(raw, payload)
        except (InvalidSignature, ValueError):  # ValueError: not base64
            return False
        return True


def read_secret(text: str) -> Secret:
    """A public key in PEM, or else the text itself as a shared secret."""
    if not text.lstrip().startswith("-----BEGIN"):
        return text
    try:
        public = load_pem_public_key(text.encode())
    except ValueError as failure:
        raise UsageError(f"the public key cannot be read ({failure}); give an RSA or Ed25519 one in PEM") from failure
    if not isinstance(public, RSAPublicKey | Ed25519PublicKey):
        raise UsageError(f"a key of type {type(public).__name__} signs nothing here; give RSA or Ed25519")
    return public


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a request brings to prove itself. `payload` is the query string and the body, without the signature."""

    key: str
    address: str
    params: Params
    payload: bytes


class Keyring:
    """The keys that exist."""

    def __init__(self) -> None:
        self._keys: dict[str, ApiKey] = {}

    def add(self, key: ApiKey) -> None:
        """Register a key. The same key twice would make two accounts one."""
        if key.key in self._keys:
            raise UsageError(f"the API key {key.key!r} exists already; give each account a key of its own")
        self._keys[key.key] = key

    def owner(self, key: str) -> str | None:
        """The account of a key, whoever holds it."""
        found = self._keys.get(key)
        return found.account if found else None

    def identify(self, credentials: Credentials, needs: Permission) -> ApiKey:
        """The key of the caller, if it exists and may do this from there: -2014 or -2015 else."""
        if not _KEY_FORM.fullmatch(credentials.key):
            raise ApiError(-2014, "API-key format invalid.", 401)
        key = self._keys.get(credentials.key)
        allowed = key and needs in key.permissions and (not key.addresses or credentials.address in key.addresses)
        if key is None or not allowed:
            raise ApiError(-2015, "Invalid API-key, IP, or permissions for action.", 401)
        return key

    def verify(self, credentials: Credentials, needs: Permission, now: int) -> ApiKey:
        """The key of a signed request: known, allowed, fresh, and its signature right."""
        key = self.identify(credentials, needs)
        check_time(credentials.params, now)
        signature = credentials.params.need("signature")
        if not key.verifies(credentials.payload, signature):
            raise ApiError(-1022, "Signature for this request is not valid.")
        return key

    def trust(self, credentials: Credentials, needs: Permission, now: int) -> ApiKey:
        """The key of a request that needs no signature: known, allowed, fresh."""
        key = self.identify(credentials, needs)
        check_time(credentials.params, now)
        return key

    def may_log_on(self, key: str) -> bool:
        """Whether one signature with that key may stand for all of a connection."""
        found = self._keys.get(key)
        return found is not None and isinstance(found.secret, Ed25519PublicKey)


def check_time(params: Params, now: int) -> None:
    """Accept iff `timestamp < now + 1000` and `now - timestamp <= recvWindow`."""
    timestamp = params.integer("timestamp")
    if timestamp is None:
        raise refuse(-1102, "timestamp")
    window = params.integer("recvWindow")
    window = DEFAULT_WINDOW if window is None else window
    if window > LONGEST_WINDOW:
        raise ApiError(-1131, f"recvWindow must be less than {LONGEST_WINDOW}")
    if timestamp >= now + AHEAD:
        raise ApiError(-1021, "Timestamp for this request was 1000ms ahead of the server's time.")
    if now - timestamp > window:
        raise ApiError(-1021, "Timestamp for this request is outside of the recvWindow.")
