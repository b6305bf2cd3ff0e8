"""The endpoints that report on an account of spot: balances, trades, what trading costs."""
# ruff: noqa: ARG002 - every endpoint is called alike, whether or not it needs the time or the parameters

from dataclasses import dataclass
from zlib import crc32

from pipeline.simulator.spot import payloads
from pipeline.simulator.spot.account import Account
from pipeline.simulator.spot.engine import DISCOUNT, FEE, Engine
from pipeline.simulator.spot.intake import find_spec
from pipeline.simulator.spot.payloads import Payload
from pipeline.simulator.venue.formats import money
from pipeline.simulator.venue.history import page
from pipeline.simulator.venue.orders import ZERO
from pipeline.simulator.venue.params import Params
from pipeline.timeline import DAY

_BASIS_POINTS = 10_000


@dataclass(frozen=True, slots=True)
class ReportDesk:
    """Answers about balances, trades and fees."""

    engine: Engine

    def account(self, account: Account, params: Params, now: int) -> Payload:
        """GET account"""
        shown = sorted(account.balances.items())
        if params.flag("omitZeroBalances"):
            shown = [(asset, held) for asset, held in shown if held.free or held.locked]
        points = int(FEE * _BASIS_POINTS)
        return {
            "makerCommission": points,
            "takerCommission": points,
            "buyerCommission": 0,
            "sellerCommission": 0,
            "commissionRates": {"maker": money(FEE), "taker": money(FEE), "buyer": money(ZERO), "seller": money(ZERO)},
            "canTrade": True,
            "canWithdraw": True,
            "canDeposit": True,
            "brokered": False,
            "requireSelfTradePrevention": False,
            "preventSor": False,
            "updateTime": account.updated,
            "accountType": "SPOT",
            "balances": [
                {"asset": asset, "free": money(held.free), "locked": money(held.locked)} for asset, held in shown
            ],
            "permissions": ["SPOT"],
            "uid": crc32(account.name.encode()),
        }

    def commission(self, account: Account, params: Params, now: int) -> Payload:
        """GET account/commission"""
        spec = find_spec(self.engine, params, now)
        symbol, fee = spec.symbol, FEE if spec.taker is None else spec.taker
        rates = {"maker": money(fee), "taker": money(fee), "buyer": money(ZERO), "seller": money(ZERO)}
        nothing = dict.fromkeys(rates, money(ZERO))
        return {
            "symbol": symbol,
            "standardCommission": rates,
            "specialCommission": nothing,
            "taxCommission": nothing,
            "discount": {
                "enabledForAccount": account.burns,
                "enabledForSymbol": True,
                "discountAsset": "BNB",
                "discount": money(1 - DISCOUNT),
            },
        }

    def trades(self, account: Account, params: Params, now: int) -> list[Payload]:
        """GET myTrades: of a pair, of a day at most."""
        symbol = find_spec(self.engine, params, now).symbol
        order_id = params.integer("orderId")
        rows = [t for t in account.trades if t.symbol == symbol and order_id in {None, t.order_id}]
        found = page(
            rows, params, now, number=lambda t: t.id, time=lambda t: t.time, first="fromId", default=500, longest=DAY,
            recent=None,
        )  # fmt: skip
        return [payloads.trade_row(trade) for trade in found]

    def burn(self, account: Account, params: Params, now: int) -> Payload:
        """GET bnbBurn: whether fees are paid in BNB"""
        return {"spotBNBBurn": account.burns, "interestBNBBurn": False}

    def set_burn(self, account: Account, params: Params, now: int) -> Payload:
        """POST bnbBurn"""
        account.burns = params.need_flag("spotBNBBurn")
        return self.burn(account, params, now)
