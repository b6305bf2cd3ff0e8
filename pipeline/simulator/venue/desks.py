"""Which desk answers which endpoint, market by market."""

from collections.abc import Callable

from pipeline.simulator.venue.account import Account
from pipeline.simulator.venue.account_desk import AccountDesk
from pipeline.simulator.venue.algo_desk import AlgoDesk
from pipeline.simulator.venue.coin_report_desk import CoinReportDesk
from pipeline.simulator.venue.engine import Engine
from pipeline.simulator.venue.margin_desk import MarginDesk
from pipeline.simulator.venue.order_desk import OrderDesk
from pipeline.simulator.venue.params import Params
from pipeline.simulator.venue.report_desk import ReportDesk

Handler = Callable[[Account, Params, int], object]
Routes = dict[tuple[str, str], Handler]
Desks = Callable[[Engine], Routes]


def no_desks(engine: Engine) -> Routes:
    """Nobody answers: a market without trading."""
    del engine
    return {}


def usd_desks(engine: Engine) -> Routes:
    """Which desk of USD-M answers which endpoint."""
    orders, algos, margins = OrderDesk(engine), AlgoDesk(engine), MarginDesk(engine)
    settings, reports = AccountDesk(engine), ReportDesk(engine)
    return {
        ("POST", "/fapi/v1/order"): orders.place,
        ("PUT", "/fapi/v1/order"): orders.amend,
        ("DELETE", "/fapi/v1/order"): orders.cancel,
        ("GET", "/fapi/v1/order"): orders.query,
        ("GET", "/fapi/v1/openOrder"): orders.query_open,
        ("GET", "/fapi/v1/openOrders"): orders.list_open,
        ("GET", "/fapi/v1/allOrders"): orders.list_all,
        ("DELETE", "/fapi/v1/allOpenOrders"): orders.cancel_all,
        ("POST", "/fapi/v1/batchOrders"): orders.place_batch,
        ("PUT", "/fapi/v1/batchOrders"): orders.amend_batch,
        ("DELETE", "/fapi/v1/batchOrders"): orders.cancel_batch,
        ("GET", "/fapi/v1/forceOrders"): orders.list_forced,
        ("POST", "/fapi/v1/countdownCancelAll"): orders.count_down,
        ("POST", "/fapi/v1/positionMargin"): margins.move,
        ("GET", "/fapi/v1/positionMargin/history"): margins.moves,
        ("POST", "/fapi/v1/algoOrder"): algos.place,
        ("GET", "/fapi/v1/algoOrder"): algos.query,
        ("DELETE", "/fapi/v1/algoOrder"): algos.cancel,
        ("GET", "/fapi/v1/openAlgoOrders"): algos.list_open,
        ("GET", "/fapi/v1/allAlgoOrders"): algos.list_all,
        ("DELETE", "/fapi/v1/algoOpenOrders"): algos.cancel_all,
        ("POST", "/fapi/v1/leverage"): settings.set_leverage,
        ("POST", "/fapi/v1/marginType"): settings.set_margin_type,
        ("GET", "/fapi/v1/positionSide/dual"): settings.position_mode,
        ("POST", "/fapi/v1/positionSide/dual"): settings.set_position_mode,
        ("GET", "/fapi/v1/multiAssetsMargin"): settings.multi_assets,
        ("POST", "/fapi/v1/multiAssetsMargin"): settings.set_multi_assets,
        ("GET", "/fapi/v1/feeBurn"): settings.fee_burn,
        ("POST", "/fapi/v1/feeBurn"): settings.set_fee_burn,
        ("GET", "/fapi/v1/symbolConfig"): settings.symbol_config,
        ("GET", "/fapi/v1/accountConfig"): settings.account_config,
        ("GET", "/fapi/v1/leverageBracket"): settings.leverage_brackets,
        ("GET", "/fapi/v1/commissionRate"): settings.commission_rate,
        ("GET", "/fapi/v2/balance"): reports.balance,
        ("GET", "/fapi/v3/balance"): reports.balance,
        ("GET", "/fapi/v2/account"): reports.account_v2,
        ("GET", "/fapi/v3/account"): reports.account_v3,
        ("GET", "/fapi/v2/positionRisk"): reports.positions_v2,
        ("GET", "/fapi/v3/positionRisk"): reports.positions_v3,
        ("GET", "/fapi/v1/userTrades"): reports.trades,
        ("GET", "/fapi/v1/income"): reports.incomes,
        ("GET", "/fapi/v1/adlQuantile"): reports.adl_quantiles,
    }


def coin_desks(engine: Engine) -> Routes:
    """Which desk of COIN-M answers which endpoint."""
    orders, algos, margins = OrderDesk(engine), AlgoDesk(engine), MarginDesk(engine)
    settings, reports = AccountDesk(engine, largest="maxQty"), CoinReportDesk(engine)
    return {
        ("POST", "/dapi/v1/order"): orders.place,
        ("PUT", "/dapi/v1/order"): orders.amend,
        ("DELETE", "/dapi/v1/order"): orders.cancel,
        ("GET", "/dapi/v1/order"): orders.query,
        ("GET", "/dapi/v1/openOrder"): orders.query_open,
        ("GET", "/dapi/v1/openOrders"): orders.list_open,
        ("GET", "/dapi/v1/allOrders"): orders.list_all,
        ("DELETE", "/dapi/v1/allOpenOrders"): orders.cancel_all,
        ("POST", "/dapi/v1/batchOrders"): orders.place_batch,
        ("PUT", "/dapi/v1/batchOrders"): orders.amend_batch,
        ("DELETE", "/dapi/v1/batchOrders"): orders.cancel_batch,
        ("GET", "/dapi/v1/forceOrders"): orders.list_forced,
        ("POST", "/dapi/v1/countdownCancelAll"): orders.count_down,
        ("POST", "/dapi/v1/positionMargin"): margins.move,
        ("GET", "/dapi/v1/positionMargin/history"): margins.moves,
        ("POST", "/dapi/v1/algoOrder"): algos.place,
        ("GET", "/dapi/v1/algoOrder"): algos.query,
        ("DELETE", "/dapi/v1/algoOrder"): algos.cancel,
        ("GET", "/dapi/v1/openAlgoOrders"): algos.list_open,
        ("GET", "/dapi/v1/allAlgoOrders"): algos.list_all,
        ("DELETE", "/dapi/v1/algoOpenOrders"): algos.cancel_all,
        ("POST", "/dapi/v1/leverage"): settings.set_leverage,
        ("POST", "/dapi/v1/marginType"): settings.set_margin_type,
        ("GET", "/dapi/v1/positionSide/dual"): settings.position_mode,
        ("POST", "/dapi/v1/positionSide/dual"): settings.set_position_mode,
        ("GET", "/dapi/v1/leverageBracket"): settings.brackets_of_pairs,
        ("GET", "/dapi/v2/leverageBracket"): settings.brackets_of_coins,
        ("GET", "/dapi/v1/commissionRate"): settings.commission_rate,
        ("GET", "/dapi/v1/balance"): reports.coin_balance,
        ("GET", "/dapi/v1/account"): reports.coin_account,
        ("GET", "/dapi/v1/positionRisk"): reports.coin_positions,
        ("GET", "/dapi/v1/userTrades"): reports.trades,
        ("GET", "/dapi/v1/income"): reports.incomes,
        ("GET", "/dapi/v1/adlQuantile"): reports.adl_quantiles,
    }
