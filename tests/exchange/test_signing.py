"""Signatures: the exchange's published example, and keys made here verified with the public half."""

from base64 import b64decode
from urllib.parse import parse_qs

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from pipeline.errors import UsageError
from pipeline.exchange.signing import Credentials, HmacSigner, query_string, signed_query, signer_for

SECRET = "2b5eb11e18796d12d88f13dc27dbbd02c2cc51ff7059765ed9821957d82bb4d9"
ORDER = {
    "symbol": "BTCUSDT",
    "side": "BUY",
    "type": "LIMIT",
    "quantity": 1,
    "price": 9000,
    "timeInForce": "GTC",
    "recvWindow": 5000,
    "timestamp": 1591702613943,
}


def pem(key: rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def test_hmac_gives_the_published_signature() -> None:
    assert signed_query(ORDER, signer_for(SECRET)).endswith(
        "&timestamp=1591702613943&signature=3c661234138461fcc7a7d8746c6558c9842d4e10870d2ecbedf7777cad694af9"
    )


def test_rsa_signature_verifies_over_the_query_before_it() -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    query, signature = split(signed_query(ORDER, signer_for(pem(key))))
    key.public_key().verify(signature, query, padding.PKCS1v15(), hashes.SHA256())


def test_ed25519_signature_verifies_over_the_query_before_it() -> None:
    key = ed25519.Ed25519PrivateKey.generate()
    query, signature = split(signed_query(ORDER, signer_for(f"\n{pem(key)}\n")))
    key.public_key().verify(signature, query)


def split(signed: str) -> tuple[bytes, bytes]:
    query, _, signature = signed.rpartition("&signature=")
    assert not set("+/=") & set(signature), "base64 must be percent-encoded"
    return query.encode(), b64decode(parse_qs(f"s={signature}")["s"][0])


@pytest.mark.parametrize(
    ("parameters", "query"),
    [
        ({"symbol": "币安人生USDT"}, "symbol=%E5%B8%81%E5%AE%89%E4%BA%BA%E7%94%9FUSDT"),
        ({"reduceOnly": True, "closePosition": False}, "reduceOnly=true&closePosition=false"),
        ({"a": "x y/z&b=+", "b": None}, "a=x%20y%2Fz%26b%3D%2B"),
        ({}, ""),
    ],
)
def test_the_query_is_percent_encoded_utf8(parameters: dict[str, object], query: str) -> None:
    assert query_string(parameters) == query


@pytest.mark.parametrize(
    ("secret", "said"),
    [
        (pem(ec.generate_private_key(ec.SECP256R1())), "takes HMAC, RSA and Ed25519"),
        ("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----", "cannot be read"),
    ],
)
def test_a_key_that_cannot_sign_is_refused_without_showing_it(secret: str, said: str) -> None:
    with pytest.raises(UsageError, match=said) as caught:
        signer_for(secret)
    assert secret.splitlines()[1] not in str(caught.value)


def test_no_text_of_credentials_holds_a_secret() -> None:
    credentials = Credentials("my-key", HmacSigner(SECRET.encode()))
    assert "my-key" not in f"{credentials!r} {credentials}"
    assert SECRET not in f"{credentials!r} {credentials}"
