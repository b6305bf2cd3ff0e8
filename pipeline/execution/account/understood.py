"""What an account must be like for the executor to count in it. Anything else is refused at the start, in a sentence:
a balance that is misread is a position of the wrong size.
"""

from collections.abc import Iterable
from typing import Final

from pipeline.errors import AttentionError
from pipeline.exchange.reports import Account
from pipeline.exchange.trading import Trading

FEES_IN: Final = "BNB"
"""The one other asset that may lie there: fees are paid in it, and counted at its price."""


def require_understood(account: Trading, asset: str | None) -> None:
    """One-way mode, and margin in that asset alone, or in each contract's own coin. Where nothing is margined, whatever
    lies there is understood."""
    if not account.client.environment.product.arithmetic.is_borrowed:
        return
    if account.hedge_mode():
        raise AttentionError(
            "the account holds long and short apart (hedge mode); the executor trades in one-way mode. Close what is "
            "open and switch the position mode in the exchange's preferences"
        )
    if account.multi_assets_mode():
        raise AttentionError(
            f"the account is in multi-assets mode, where other assets are margin too; the executor counts in {asset} "
            "alone. Switch to single-asset mode in the exchange's preferences"
        )
    if asset is not None and (held := other_assets(account.account())):
        raise AttentionError(
            f"the futures account holds {', '.join(held)}; the executor counts in {asset} (and fees in {FEES_IN}) "
            "alone. Transfer it to another wallet, or convert it"
        )


def other_assets(account: Account) -> list[str]:
    """What lies in the account that is neither margin nor pays fees."""
    others: Iterable[str] = (
        f"{one.wallet_balance.normalize():f} {one.asset}" for one in account.others if one.asset != FEES_IN
    )
    return sorted(others)
