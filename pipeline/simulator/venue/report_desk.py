"""The endpoints that report an account's money: balance, account, positions, trades, incomes; as USD-M writes them."""
# ruff: noqa: ARG002 - every endpoint is called alike, whether or not it needs the time or the parameters

from bisect import bisect_left
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from itertools import islice
from typing import Final

from pipeline.simulator.types import SymbolSpec
from pipeline.simulator.venue import formats
from pipeline.simulator.venue.account import MARGIN_ASSET, Account, MarkOf, maintenance_of
from pipeline.simulator.venue.brackets import max_notional
from pipeline.simulator.venue.engine import Engine
from pipeline.simulator.venue.history import page
from pipeline.simulator.venue.intake import asked_specs, optional_spec
from pipeline.simulator.venue.margin import Margins, liquidation_price
from pipeline.simulator.venue.orders import ZERO, PositionSide
from pipeline.simulator.venue.params import Params
from pipeline.simulator.venue.payloads import Payload
from pipeline.simulator.venue.positions import Position


class IncomeType(StrEnum):
    TRANSFER = "TRANSFER"
    REALIZED_PNL = "REALIZED_PNL"
    FUNDING_FEE = "FUNDING_FEE"
    COMMISSION = "COMMISSION"
    INSURANCE_CLEAR = "INSURANCE_CLEAR"
    DELIVERED_SETTELMENT = "DELIVERED_SETTELMENT"


_FREE: Final = ("walletBalance", "marginBalance", "crossWalletBalance", "availableBalance", "maxWithdrawAmount")
"""Of an asset that no position is margined in, these are all its wallet; the rest is zero."""


@dataclass(frozen=True, slots=True)
class ReportDesk:
    """Answers about money."""

    engine: Engine

    def balance(self, account: Account, params: Params, now: int) -> list[Payload]:
        """GET balance v2 and v3"""
        rows = self._assets(account, Margins.of(account, self.engine.market.specs, self.engine.marks(now)))
        return [
            {
                "accountAlias": account.alias,
                "asset": row["asset"],
                "balance": row["walletBalance"],
                "crossWalletBalance": row["crossWalletBalance"],
                "crossUnPnl": row["crossUnPnl"],
                "availableBalance": row["availableBalance"],
                "maxWithdrawAmount": row["maxWithdrawAmount"],
                "marginAvailable": True,
                "updateTime": row["updateTime"],
            }
            for row in rows
        ]

    def account_v3(self, account: Account, params: Params, now: int) -> Payload:
        """GET account v3: only the symbols with a position or an open order."""
        mark = self.engine.marks(now)
        margins = Margins.of(account, self.engine.market.specs, mark)
        keys = sorted({(p.symbol, p.side) for p in account.held()} | account.order_keys())
        return self._totals(account, margins, now) | {
            "assets": self._assets(account, margins),
            "positions": [self._account_row_v3(account, account.position(*key), mark) for key in keys],
        }

    def account_v2(self, account: Account, params: Params, now: int) -> Payload:
        """GET account v2: every symbol there is."""
        mark = self.engine.marks(now)
        margins = Margins.of(account, self.engine.market.specs, mark)
        header: Payload = {
            "feeTier": 0,
            "feeBurn": account.burns,
            "canTrade": True,
            "canDeposit": True,
            "canWithdraw": True,
            "updateTime": 0,
            "multiAssetsMargin": account.multi_assets,
            "tradeGroupId": -1,
        }
        rows = [self._account_row_v2(account, account.position(*key), mark) for key in self.every_key(account)]
        assets = [row | {"marginAvailable": True} for row in self._assets(account, margins)]
        return header | self._totals(account, margins, now) | {"assets": assets, "positions": rows}

    def positions_v3(self, account: Account, params: Params, now: int) -> list[Payload]:
        """GET positionRisk v3: only the symbols with a position or an open order."""
        spec = optional_spec(self.engine, params, now)
        mark = self.engine.marks(now)
        keys = sorted({(p.symbol, p.side) for p in account.held()} | account.order_keys())
        return [
            self._risk_row_v3(account, account.position(*key), mark)
            for key in keys
            if spec is None or key[0] == spec.symbol
        ]

    def positions_v2(self, account: Account, params: Params, now: int) -> list[Payload]:
        """GET positionRisk v2: every symbol there is, or the one asked for."""
        spec = optional_spec(self.engine, params, now)
        mark = self.engine.marks(now)
        return [
            self._risk_row_v2(account, account.position(*key), mark)
            for key in self.every_key(account)
            if spec is None or key[0] == spec.symbol
        ]

    def trades(self, account: Account, params: Params, now: int) -> list[Payload]:
        """GET userTrades: of a symbol or of a pair"""
        specs = {spec.symbol: spec for spec in asked_specs(self.engine, params, now)}
        order_id = params.integer("orderId")
        since = params.integer("startTime") or 0
        told = islice(account.trades, bisect_left(account.trades, since, key=lambda t: t.time), None)
        rows = [t for t in told if t.symbol in specs and order_id in {None, t.order_id}]
        found = page(rows, params, now, number=lambda t: t.id, time=lambda t: t.time, first="fromId", default=500)
        return [self.engine.terms.forms.trade_row(specs[trade.symbol], trade) for trade in found]

    def incomes(self, account: Account, params: Params, now: int) -> list[Payload]:
        """GET income"""
        spec = optional_spec(self.engine, params, now)
        kind = params.word("incomeType", IncomeType, -1130)
        rows = [
            income
            for income in account.incomes
            if (spec is None or income.symbol == spec.symbol) and (kind is None or income.kind == kind)
        ]
        found = page(rows, params, now, number=lambda i: i.id, time=lambda i: i.time, first=None, default=100)
        return [self.engine.terms.forms.income_row(income) for income in found]

    def adl_quantiles(self, account: Account, params: Params, now: int) -> list[Payload]:
        """GET adlQuantile: of what is held, the lowest."""
        spec = optional_spec(self.engine, params, now)
        found: dict[str, dict[str, int]] = {}
        for position in account.held():
            if spec is None or position.symbol == spec.symbol:
                found.setdefault(position.symbol, {})[position.side] = 1
        return [{"symbol": symbol, "adlQuantile": sides} for symbol, sides in found.items()]

    def every_key(self, account: Account) -> list[tuple[str, PositionSide]]:
        """Every position that there could be."""
        sides = (PositionSide.BOTH, PositionSide.LONG, PositionSide.SHORT) if account.dual else account.sides()
        return [(symbol, side) for symbol in self.engine.market.specs for side in sides]

    def _touched(self, account: Account) -> int:
        return account.incomes[-1].time if account.incomes else account.opened

    def _totals(self, account: Account, margins: Margins, now: int) -> Payload:
        others = self._worth_of_others(account, now)
        return {
            "totalInitialMargin": formats.money(margins.initial),
            "totalMaintMargin": formats.money(margins.maintenance),
            "totalWalletBalance": formats.money(account.wallet + others),
            "totalUnrealizedProfit": formats.money(margins.unrealised),
            "totalMarginBalance": formats.money(account.wallet + margins.unrealised + others),
            "totalPositionInitialMargin": formats.money(margins.positions),
            "totalOpenOrderInitialMargin": formats.money(margins.orders),
            "totalCrossWalletBalance": formats.money(account.cross_wallet(MARGIN_ASSET)),
            "totalCrossUnPnl": formats.money(margins.cross_unrealised),
            "availableBalance": formats.money(margins.available + others),
            "maxWithdrawAmount": formats.money(margins.withdrawable),
        }

    def _worth_of_others(self, account: Account, now: int) -> Decimal:
        """What the other assets add to the totals: in multi-assets mode alone, and then they are in dollars."""
        if not account.multi_assets:
            return ZERO
        pairs = ((f"{asset}{MARGIN_ASSET}", amount) for asset, amount in _others(account).items())
        known = self.engine.market.specs
        return sum((amount * (self.engine.mark(one, now) if one in known else 1) for one, amount in pairs), ZERO)

    def _assets(self, account: Account, margins: Margins) -> list[Payload]:
        own = self.asset_row(account, MARGIN_ASSET, margins)
        nothing: Payload = dict.fromkeys(own, formats.money(ZERO))
        others: list[Payload] = [
            nothing | dict.fromkeys(_FREE, formats.money(held)) | {"asset": asset, "updateTime": own["updateTime"]}
            for asset, held in _others(account).items()
        ]
        return [own, *others]

    def asset_row(self, account: Account, asset: str, margins: Margins) -> Payload:
        """An asset of an account, and the margin in it."""
        wallet = account.wallets.get(asset, ZERO)
        return {
            "asset": asset,
            "walletBalance": formats.money(wallet),
            "unrealizedProfit": formats.money(margins.unrealised),
            "marginBalance": formats.money(wallet + margins.unrealised),
            "maintMargin": formats.money(margins.maintenance),
            "initialMargin": formats.money(margins.initial),
            "positionInitialMargin": formats.money(margins.positions),
            "openOrderInitialMargin": formats.money(margins.orders),
            "crossWalletBalance": formats.money(account.cross_wallet(asset)),
            "crossUnPnl": formats.money(margins.cross_unrealised),
            "availableBalance": formats.money(margins.available),
            "maxWithdrawAmount": formats.money(margins.withdrawable),
            "updateTime": self._touched(account),
        }

    def _account_row_v3(self, account: Account, position: Position, mark: MarkOf) -> Payload:
        spec = self.engine.spec(position.symbol)
        own, orders = self.margins_of(account, position, mark)
        return {
            "symbol": position.symbol,
            "positionSide": position.side,
            "positionAmt": formats.quantity(spec, position.quantity),
            "unrealizedProfit": formats.money(self.profit_of(position, mark)),
            "isolatedMargin": formats.money(self.isolated_margin(account, position, mark)),
            "notional": formats.money(self._notional(position, mark)),
            "isolatedWallet": formats.money(position.isolated_wallet),
            "initialMargin": formats.money(own + orders),
            "maintMargin": formats.money(maintenance_of(position, self.engine.market.specs, mark)),
            "updateTime": position.updated,
        }

    def _account_row_v2(self, account: Account, position: Position, mark: MarkOf) -> Payload:
        spec = self.engine.spec(position.symbol)
        own, orders = self.margins_of(account, position, mark)
        bids, asks = account.order_notionals(position.symbol, position.side)
        return {
            "symbol": position.symbol,
            "initialMargin": formats.money(own + orders),
            "maintMargin": formats.money(maintenance_of(position, self.engine.market.specs, mark)),
            "unrealizedProfit": formats.money(self.profit_of(position, mark)),
            "positionInitialMargin": formats.money(own),
            "openOrderInitialMargin": formats.money(orders),
            "leverage": str(account.leverage(position.symbol)),
            "isolated": position.symbol in account.isolated,
            "entryPrice": formats.entry(position.entry),
            "maxNotional": formats.bare(max_notional(spec, account.leverage(position.symbol))),
            "bidNotional": formats.bare(bids),
            "askNotional": formats.bare(asks),
            "positionSide": position.side,
            "positionAmt": formats.quantity(spec, position.quantity),
            "updateTime": position.updated,
        }

    def _risk_row_v3(self, account: Account, position: Position, mark: MarkOf) -> Payload:
        spec = self.engine.spec(position.symbol)
        own, orders = self.margins_of(account, position, mark)
        bids, asks = account.order_notionals(position.symbol, position.side)
        return {
            "symbol": position.symbol,
            "positionSide": position.side,
            "positionAmt": formats.quantity(spec, position.quantity),
            "entryPrice": formats.entry(position.entry),
            "breakEvenPrice": formats.entry(position.break_even),
            "markPrice": formats.money(mark(position.symbol)),
            "unRealizedProfit": formats.money(self.profit_of(position, mark)),
            "liquidationPrice": self.liquidation_text(account, position, mark),
            "isolatedMargin": formats.money(self.isolated_margin(account, position, mark)),
            "notional": formats.money(self._notional(position, mark)),
            "marginAsset": spec.worth.asset,
            "isolatedWallet": formats.money(position.isolated_wallet),
            "initialMargin": formats.money(own + orders),
            "maintMargin": formats.money(maintenance_of(position, self.engine.market.specs, mark)),
            "positionInitialMargin": formats.money(own),
            "openOrderInitialMargin": formats.money(orders),
            "adl": 1 if position.quantity else 0,
            "bidNotional": formats.bare(bids),
            "askNotional": formats.bare(asks),
            "updateTime": position.updated,
        }

    def _risk_row_v2(self, account: Account, position: Position, mark: MarkOf) -> Payload:
        spec = self.engine.spec(position.symbol)
        return {
            "symbol": position.symbol,
            "positionAmt": formats.quantity(spec, position.quantity),
            "entryPrice": formats.entry(position.entry),
            "breakEvenPrice": formats.entry(position.break_even),
            "markPrice": formats.money(mark(position.symbol) if spec.status == "TRADING" else ZERO),
            "unRealizedProfit": formats.money(self.profit_of(position, mark)),
            "liquidationPrice": self.liquidation_text(account, position, mark),
            "leverage": str(account.leverage(position.symbol)),
            "maxNotionalValue": formats.bare(max_notional(spec, account.leverage(position.symbol))),
            "marginType": "isolated" if position.symbol in account.isolated else "cross",
            "isolatedMargin": formats.money(self.isolated_margin(account, position, mark)),
            "isAutoAddMargin": "false",
            "positionSide": position.side,
            "notional": formats.money(self._notional(position, mark)),
            "isolatedWallet": formats.money(position.isolated_wallet),
            "updateTime": position.updated,
        }

    def margins_of(self, account: Account, position: Position, mark: MarkOf) -> tuple[Decimal, Decimal]:
        """The initial margin of a position, and of the orders that could enlarge it."""
        own = account.position_margin(position, mark)
        return own, account.order_margin(position.symbol, position.side, mark)

    def profit_of(self, position: Position, mark: MarkOf) -> Decimal:
        """What it would realise."""
        return position.unrealised(mark(position.symbol)) if position.quantity else ZERO

    def _notional(self, position: Position, mark: MarkOf) -> Decimal:
        return position.notional(mark(position.symbol)) if position.quantity else ZERO

    def isolated_margin(self, account: Account, position: Position, mark: MarkOf) -> Decimal:
        """What is set aside for it, with its profit; nothing in cross margin."""
        if position.symbol not in account.isolated:
            return ZERO
        return position.isolated_wallet + self.profit_of(position, mark)

    def liquidation_text(self, account: Account, position: Position, mark: MarkOf) -> str:
        """The price at which it is liquidated; 0 where there is none."""
        spec: SymbolSpec = self.engine.spec(position.symbol)
        price = liquidation_price(account, position, self.engine.market.specs, mark)
        return formats.fixed(price, max(8, spec.price_precision)) if price > 0 else "0"


def _others(account: Account) -> dict[str, Decimal]:
    """What an account of USD-M holds besides the asset that everything is margined in."""
    return {asset: held for asset, held in account.wallets.items() if asset != MARGIN_ASSET}
