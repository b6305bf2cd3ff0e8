"""What a key may do, asked of a real HTTP server."""

from typing import Any

import msgspec
import pytest

from pipeline.cli.trading_access import judge_key
from pipeline.errors import AttentionError
from pipeline.exchange.key_rights import KeyRights, key_rights
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
    ("rights", "words"),
    [
        (KeyRights(ip_restrict=True, enable_futures=True), None),
        (KeyRights(ip_restrict=False, enable_futures=True), "not restricted"),
        (KeyRights(ip_restrict=True, enable_futures=True, enable_withdrawals=True), "may withdraw"),
        (KeyRights(ip_restrict=True), "may not trade futures"),
    ],
)
def test_a_dangerous_key_is_refused_and_a_careless_one_is_told(
    rights: KeyRights, words: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    if words in {None, "not restricted"}:
        judge_key(rights)
        assert words is None or words in caplog.text
    else:
        with pytest.raises(AttentionError, match=words):
            judge_key(rights)
