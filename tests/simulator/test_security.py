"""Who is let in: keys, signatures of three kinds, the time window, permissions and addresses."""

import base64
from contextlib import nullcontext
from urllib.parse import parse_qsl, unquote

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import UsageError
from pipeline.simulator.errors import ApiError
from pipeline.simulator.exchange import Request
from pipeline.simulator.venue.params import Params
from pipeline.simulator.wire.security import ApiKey, Credentials, Keyring, check_time, read_secret

NOW = 1_591_702_613_943
SECRET = "2b5eb11e18796d12d88f13dc27dbbd02c2cc51ff7059765ed9821957d82bb4d9"
PAYLOAD = (
    "symbol=BTCUSDT&side=BUY&type=LIMIT&quantity=1&price=9000&timeInForce=GTC&recvWindow=5000&timestamp=1591702613943"
)
SIGNATURE = "3c661234138461fcc7a7d8746c6558c9842d4e10870d2ecbedf7777cad694af9"

RSA_KEY = rsa.generate_private_key(65537, 2048)
ED25519_KEY = ed25519.Ed25519PrivateKey.from_private_bytes(bytes(range(32)))


def pem(public: rsa.RSAPublicKey | ed25519.Ed25519PublicKey | ec.EllipticCurvePublicKey) -> str:
    return public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def sign_rsa(payload: str) -> str:
    return base64.b64encode(RSA_KEY.sign(payload.encode(), padding.PKCS1v15(), hashes.SHA256())).decode()


def sign_ed25519(payload: str) -> str:
    return base64.b64encode(ED25519_KEY.sign(payload.encode())).decode()


KEYS = Keyring()
KEYS.add(ApiKey("hmac-key", "desk", SECRET))
KEYS.add(ApiKey("rsa-key", "desk", read_secret(pem(RSA_KEY.public_key()))))
KEYS.add(ApiKey("ed-key", "desk", read_secret(pem(ED25519_KEY.public_key()))))
KEYS.add(ApiKey("documented", "desk", "NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP1e3UZjInClVN65XAbvqqM6A7H5fATj0j"))
KEYS.add(ApiKey("reader", "desk", SECRET, permissions=frozenset(("read",))))
KEYS.add(ApiKey("homebody", "desk", SECRET, addresses=frozenset(("10.0.0.1",))))


def credentials(key: str, payload: str, signature: str, address: str = "127.0.0.1") -> Credentials:
    params = dict(parse_qsl(payload)) | ({"signature": signature} if signature else {})
    return Credentials(key, address, Params(params), payload.encode())


def code_of(attempt: Credentials, needs: str = "trade", now: int = NOW) -> int:
    """The code of the refusal, 0 where it is let in."""
    try:
        KEYS.verify(attempt, needs, now)  # type: ignore[arg-type]
    except ApiError as refusal:
        return refusal.code
    return 0


@pytest.mark.parametrize(
    ("symbol", "signature"),
    [
        ("LTCBTC", "c8db56825ae71d6d79447849e617115f4a920fa2acdcab2b053c4b2838bd6b71"),
        (
            "%EF%BC%91%EF%BC%92%EF%BC%93%EF%BC%94%EF%BC%95%EF%BC%96",
            "e1353ec6b14d888f1164ae9af8228a3dbd508bc82eb867db8ab6046442f33ef3",
        ),
    ],
)
def test_known_answers_are_over_what_is_sent_percent_encoded(symbol: str, signature: str) -> None:
    terms = "side=BUY&type=LIMIT&timeInForce=GTC&quantity=1&price=0.1&recvWindow=5000&timestamp=1499827319559"
    attempt = credentials("documented", f"symbol={symbol}&{terms}", signature)
    assert code_of(attempt, now=1_499_827_319_559) == 0
    other = credentials("documented", f"symbol={unquote(symbol)}x&{terms}", signature)
    assert code_of(other, now=1_499_827_319_559) == -1022


@pytest.mark.parametrize(
    ("key", "signature", "code"),
    [
        ("hmac-key", SIGNATURE, 0),
        ("hmac-key", SIGNATURE.upper(), 0),
        ("rsa-key", sign_rsa(PAYLOAD), 0),
        ("ed-key", sign_ed25519(PAYLOAD), 0),
        ("hmac-key", SIGNATURE[:-1] + "0", -1022),
        ("hmac-key", "é" * 64, -1022),
        ("hmac-key", sign_ed25519(PAYLOAD), -1022),
        ("rsa-key", sign_rsa(PAYLOAD + "&x=1"), -1022),
        ("rsa-key", SIGNATURE, -1022),
        ("rsa-key", "not base64!", -1022),
        ("ed-key", "é", -1022),
        ("ed-key", sign_ed25519(PAYLOAD[1:]), -1022),
        ("ed-key", sign_rsa(PAYLOAD), -1022),
        ("ed-key", "AAAA", -1022),
        ("hmac-key", "", -1102),
    ],
)
def test_a_signature_belongs_to_its_payload_and_its_key(key: str, signature: str, code: int) -> None:
    assert code_of(credentials(key, PAYLOAD, signature)) == code


@pytest.mark.parametrize(
    ("key", "needs", "address", "code"),
    [
        ("", "read", "127.0.0.1", -2014),
        ("not a key", "read", "127.0.0.1", -2014),
        ("unknown-key", "read", "127.0.0.1", -2015),
        ("reader", "read", "127.0.0.1", 0),
        ("reader", "trade", "127.0.0.1", -2015),
        ("homebody", "trade", "127.0.0.1", -2015),
        ("homebody", "trade", "10.0.0.1", 0),
    ],
)
def test_a_key_is_known_allowed_and_at_home(key: str, needs: str, address: str, code: int) -> None:
    assert code_of(credentials(key, PAYLOAD, SIGNATURE, address), needs) == code


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({"timestamp": str(NOW)}, 0),
        ({"timestamp": str(NOW + 999)}, 0),
        ({"timestamp": str(NOW + 1_000)}, -1021),
        ({"timestamp": str(NOW - 5_000)}, 0),
        ({"timestamp": str(NOW - 5_001)}, -1021),
        ({"timestamp": str(NOW - 50), "recvWindow": "50"}, 0),
        ({"timestamp": str(NOW - 51), "recvWindow": "50"}, -1021),
        ({"timestamp": str(NOW - 60_000), "recvWindow": "60000"}, 0),
        ({"timestamp": str(NOW), "recvWindow": "60001"}, -1131),
        ({}, -1102),
        ({"timestamp": ""}, -1102),
        ({"timestamp": "yesterday"}, -1102),
    ],
)
def test_a_request_is_fresh(params: dict[str, str], code: int) -> None:
    try:
        check_time(Params(params), NOW)
        found = 0
    except ApiError as refusal:
        found = refusal.code
    assert found == code


@given(timestamp=st.integers(NOW - 70_000, NOW + 2_000), window=st.integers(0, 60_000))
def test_the_time_rule_is_the_documented_one(timestamp: int, window: int) -> None:
    accepted = timestamp < NOW + 1_000 and NOW - timestamp <= window
    expected = nullcontext() if accepted else pytest.raises(ApiError, match="-1021")
    with expected:
        check_time(Params({"timestamp": str(timestamp), "recvWindow": str(window)}), NOW)


@pytest.mark.parametrize(
    ("query", "body", "payload"),
    [
        ("a=1&signature=x", "", b"a=1"),
        ("", "a=1&b=2&signature=x", b"a=1&b=2"),
        ("a=1", "b=2&signature=x", b"a=1b=2"),
        ("signature=x&a=%E5%B8%81", "", b"a=%E5%B8%81"),
        ("a=1", "", b"a=1"),
    ],
)
def test_what_is_signed_is_what_was_sent_without_the_signature(query: str, body: str, payload: bytes) -> None:
    request = Request("POST", "/fapi/v1/order", query, body, "key", "127.0.0.1")
    assert request.signed_payload() == payload


def test_the_query_wins_over_the_body() -> None:
    assert Request("POST", "/", "a=1", "a=2&b=3", "", "").params() == {"a": "1", "b": "3"}


@pytest.mark.parametrize(("query", "code"), [("a=1&a=2", -1101), ("a=%FF", -1100)])
def test_what_cannot_be_read_is_refused(query: str, code: int) -> None:
    with pytest.raises(ApiError) as refusal:
        Request("GET", "/", query, "", "", "").params()
    assert refusal.value.code == code


def test_the_same_key_twice_is_refused() -> None:
    with pytest.raises(UsageError, match="'hmac-key' exists already"):
        KEYS.add(ApiKey("hmac-key", "other", "secret"))


def test_a_public_key_of_another_kind_is_refused() -> None:
    with pytest.raises(UsageError, match="give RSA or Ed25519"):
        read_secret(pem(ec.generate_private_key(ec.SECP256R1()).public_key()))
    with pytest.raises(UsageError, match="cannot be read"):
        read_secret("-----BEGIN PUBLIC KEY-----\nnonsense\n-----END PUBLIC KEY-----")


def test_a_secret_is_never_shown() -> None:
    assert SECRET not in repr(ApiKey("hmac-key", "desk", SECRET))
