"""The endpoints that report an account's money as COIN-M writes them: coin by coin, with no sum of them all."""
# ruff: noqa: ARG002 - every endpoint is called alike, whether or not it needs the time or the parameters

from dataclasses import dataclass

from pipeline.simulator.types import SymbolSpec
from pipeline.simulator.venue import formats
from pipeline.simulator.venue.account import Account, MarkOf, maintenance_of
from pipeline.simulator.venue.brackets import max_notional
from pipeline.simulator.venue.margin import Margins
from pipeline.simulator.venue.orders import ZERO
from pipeline.simulator.venue.params import Params
from pipeline.simulator.venue.payloads import Payload
from pipeline.simulator.venue.positions import Position
from pipeline.simulator.venue.report_desk import ReportDesk


@dataclass(frozen=True, slots=True)
class CoinReportDesk(ReportDesk):
    """Answers about coins."""

    def coin_balance(self, account: Account, params: Params, now: int) -> list[Payload]:
        """GET balance"""
        return [
            {
                "accountAlias": account.alias,
                "asset": row["asset"],
                "balance": row["walletBalance"],
                "withdrawAvailable": row["maxWithdrawAmount"],
                "crossWalletBalance": row["crossWalletBalance"],
                "crossUnPnl": row["crossUnPnl"],
                "availableBalance": row["availableBalance"],
                "updateTime": row["updateTime"],
            }
            for row in self._assets_of(account, now)
        ]

    def coin_account(self, account: Account, params: Params, now: int) -> Payload:
        """GET account: every coin and every contract."""
        mark = self.engine.marks(now)
        return {
            "assets": self._assets_of(account, now),
            "positions": [self._account_row(account, position, mark) for position in self._positions(account, now)],
            "canDeposit": True,
            "canTrade": True,
            "canWithdraw": True,
            "feeTier": 0,
            "updateTime": 0,
        }

    def coin_positions(self, account: Account, params: Params, now: int) -> list[Payload]:
        """GET positionRisk: every contract, or those of a margin asset or of a pair. There is no `symbol`."""
        asset, pair = params.text("marginAsset"), params.text("pair")
        mark = self.engine.marks(now)
        rows = ((self.engine.spec(position.symbol), position) for position in self._positions(account, now))
        return [
            self._risk_row(account, position, mark)
            for spec, position in rows
            if asset in {None, spec.worth.asset} and pair in {None, spec.pair}
        ]

    def _assets_of(self, account: Account, now: int) -> list[Payload]:
        mark, specs = self.engine.marks(now), self.engine.market.specs
        known = dict.fromkeys((*self.engine.terms.assets, *account.wallets))
        return [self.asset_row(account, asset, Margins.of(account, specs, mark, asset)) for asset in known]

    def _positions(self, account: Account, now: int) -> list[Position]:
        """Those of the contracts that trade, and whatever is held."""
        every = [account.position(*key) for key in self.every_key(account)]
        return [one for one in every if one.quantity or self.engine.spec(one.symbol).trades_at(now)]

    def _account_row(self, account: Account, position: Position, mark: MarkOf) -> Payload:
        own, orders = self.margins_of(account, position, mark)
        return self._row(account, position, mark) | {
            "initialMargin": formats.money(own + orders),
            "maintMargin": formats.money(maintenance_of(position, self.engine.market.specs, mark)),
            "unrealizedProfit": formats.money(self.profit_of(position, mark)),
            "positionInitialMargin": formats.money(own),
            "openOrderInitialMargin": formats.money(orders),
            "isolated": position.symbol in account.isolated,
        }

    def _risk_row(self, account: Account, position: Position, mark: MarkOf) -> Payload:
        return self._row(account, position, mark) | {
            "markPrice": formats.money(mark(position.symbol)),
            "unRealizedProfit": formats.money(self.profit_of(position, mark)),
            "liquidationPrice": self.liquidation_text(account, position, mark),
            "marginType": "isolated" if position.symbol in account.isolated else "cross",
            "isolatedMargin": formats.money(self.isolated_margin(account, position, mark)),
            "isAutoAddMargin": "false",
        }

    def _row(self, account: Account, position: Position, mark: MarkOf) -> Payload:
        spec: SymbolSpec = self.engine.spec(position.symbol)
        leverage = account.leverage(position.symbol)
        return {
            "symbol": position.symbol,
            "positionAmt": formats.quantity(spec, position.quantity),
            "entryPrice": formats.entry(position.entry),
            "breakEvenPrice": formats.entry(position.break_even),
            "leverage": str(leverage),
            "maxQty": formats.bare(max_notional(spec, leverage)),
            "positionSide": position.side,
            "notionalValue": formats.money(position.notional(mark(position.symbol)) if position.quantity else ZERO),
            "isolatedWallet": formats.money(position.isolated_wallet),
            "updateTime": position.updated,
        }
