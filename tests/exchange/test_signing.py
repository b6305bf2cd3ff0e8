"""Signatures: the exchange's published example, and keys made here verified with the public half."""

from base64 import b64decode
from urllib.parse import parse_qs

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from pipeline.errors import UsageError
from pipeline.exchange.signing import Credentials, HmacSigner, query_string, signed_message, signed_query, signer_for

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


SPOT_SECRET = "NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP1e3UZjInClVN65XAbvqqM6A7H5fATj0j"
SPOT_KEY = "vmPUZE6mv9SD5VNHk4HlWFsOr6aKE2zvsw0MuIgwCIPy6utIco14y7Ju91duEh8A"


@pytest.mark.parametrize(
    ("symbol", "signature"),
    [
        ("LTCBTC", "c8db56825ae71d6d79447849e617115f4a920fa2acdcab2b053c4b2838bd6b71"),
        ("１２３４５６", "e1353ec6b14d888f1164ae9af8228a3dbd508bc82eb867db8ab6046442f33ef3"),
    ],
)
def test_what_is_signed_is_percent_encoded_first(symbol: str, signature: str) -> None:
    order = {
        "symbol": symbol, "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": 1, "price": "0.1",
        "recvWindow": 5000, "timestamp": 1499827319559,
    }  # fmt: skip
    assert signed_query(order, signer_for(SPOT_SECRET)).endswith(f"&signature={signature}")


MESSAGE = {
    "symbol": "BTCUSDT", "side": "SELL", "type": "LIMIT", "timeInForce": "GTC", "quantity": "0.01000000",
    "price": "52000.00", "recvWindow": 100, "timestamp": 1645423376532,
}  # fmt: skip
SIGNED_TEXT = (
    f"apiKey={SPOT_KEY}&price=52000.00&quantity=0.01000000&recvWindow=100&side=SELL&symbol=BTCUSDT&timeInForce=GTC"
    "&timestamp=1645423376532&type=LIMIT"
)


def test_a_message_has_the_published_signature_over_its_names_in_order() -> None:
    signed = signed_message(MESSAGE, SPOT_KEY, signer_for(SPOT_SECRET))
    assert signed["signature"] == "aa1b5712c094bc4e57c05a1a5c1fd8d88dcd628338ea863fec7b88e59fe2db24"
    assert (signed["apiKey"], signed["timestamp"]) == (SPOT_KEY, "1645423376532")


def test_rsa_and_ed25519_sign_a_message_over_the_same_text() -> None:
    small, large = ed25519.Ed25519PrivateKey.generate(), rsa.generate_private_key(public_exponent=65537, key_size=2048)
    by_small = signed_message(MESSAGE, SPOT_KEY, signer_for(pem(small)))["signature"]
    by_large = signed_message(MESSAGE, SPOT_KEY, signer_for(pem(large)))["signature"]
    small.public_key().verify(b64decode(by_small), SIGNED_TEXT.encode())
    large.public_key().verify(b64decode(by_large), SIGNED_TEXT.encode(), padding.PKCS1v15(), hashes.SHA256())


def test_a_message_is_not_percent_encoded() -> None:
    signed = signed_message({"symbol": "１２３"}, "k", HmacSigner(b"s"))
    assert signed["signature"] == HmacSigner(b"s").sign("apiKey=k&symbol=１２３".encode())
