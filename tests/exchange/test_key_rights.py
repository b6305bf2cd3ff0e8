"""What a key may do, asked of a real HTTP server."""

from typing import Any

import msgspec
import pytest

from pipeline.app import checks
from pipeline.app.trading_access import judge_key
from pipeline.errors import AttentionError
from pipeline.exchange.key_rights import KeyRights, key_rights
from pipeline.exchange.products.cm import CM
from pipeline.exchange.products.product import Product
from pipeline.exchange.products.spot import SPOT
from pipeline.exchange.products.um import UM
from pipeline.exchange.signing import Credentials, signer_for


def test_the_rights_are_read(exchange: Any, place: Any, reply: Any) -> None:
    said = {"ipRestrict": True, "enableWithdrawals": False, "enableFutures": True, "createTime": 1, "new": {}}
    exchange.script = [reply(msgspec.json.encode(said))]
    found = key_rights(place, Credentials("key", signer_for("secret")), exchange.url)
    assert found == KeyRights(ip_restrict=True, enable_withdrawals=False, enable_futures=True)
    (seen,) = exchange.seen
    assert seen.path == "/sapi/v1/account/apiRestrictions"
    assert {"timestamp", "signature"} <= set(seen.parameters)


@pytest.mark.parametrize(
    ("product", "rights", "words"),
    [
        (UM, KeyRights(ip_restrict=True, enable_futures=True), None),
        (UM, KeyRights(ip_restrict=False, enable_futures=True), "not restricted"),
        (UM, KeyRights(ip_restrict=True, enable_futures=True, enable_withdrawals=True), "may withdraw"),
        (UM, KeyRights(ip_restrict=True), "may not trade USD-M futures"),
        (CM, KeyRights(ip_restrict=True, enable_futures=True), None),
        (SPOT, KeyRights(ip_restrict=True, enable_spot_and_margin_trading=True), None),
        (SPOT, KeyRights(ip_restrict=True, enable_futures=True), "may not trade spot"),
    ],
)
def test_a_dangerous_key_is_refused_and_a_careless_one_is_told(
    product: Product, rights: KeyRights, words: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    if words in {None, "not restricted"}:
        judge_key(rights, product)
        assert words is None or words in caplog.text
    else:
        with pytest.raises(AttentionError, match=words):
            judge_key(rights, product)


@pytest.mark.parametrize(
    ("rights", "found"),
    [
        (
            {"ipRestrict": True, "enableFutures": True},
            ["good: may not withdraw", "good: works from your addresses only", "good: may trade USD-M futures"],
        ),
        (
            {"enableWithdrawals": True},
            [
                "problem: may withdraw money",
                "problem: works from any address",
                "note: may not trade USD-M futures: good for signal-only",
            ],
        ),
    ],
)
def test_the_doctor_shows_each_right(
    exchange: Any, place: Any, reply: Any, monkeypatch: pytest.MonkeyPatch, rights: Any, found: list[str]
) -> None:
    monkeypatch.setattr("pipeline.exchange.key_rights.ACCOUNT_URL", exchange.url)
    exchange.script = [reply(msgspec.json.encode(rights))]
    told = list(checks._rights(place, Credentials("key", signer_for("secret"))))
    assert [f"{one.state}: {one.found}" for one in told] == found
    assert all(one.mend for one in told if one.state == "problem")


def test_rights_that_cannot_be_asked_for_are_no_problem_of_the_key(
    exchange: Any, place: Any, reply: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.exchange.key_rights.ACCOUNT_URL", exchange.url)
    exchange.script = [reply(b"", status=403)]
    (told,) = checks._rights(place, Credentials("key", signer_for("secret")))
    assert (told.state, "could not be asked for" in told.found) == ("note", True)
