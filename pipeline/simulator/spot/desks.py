"""Which desk of spot answers which endpoint."""

from collections.abc import Callable

from pipeline.simulator.spot.account import Account
from pipeline.simulator.spot.engine import Engine
from pipeline.simulator.spot.list_desk import ListDesk
from pipeline.simulator.spot.order_desk import OrderDesk
from pipeline.simulator.spot.report_desk import ReportDesk
from pipeline.simulator.venue.params import Params

Handler = Callable[[Account, Params, int], object]
Routes = dict[tuple[str, str], Handler]


def spot_desks(engine: Engine) -> Routes:
    """All of them."""
    orders, reports = OrderDesk(engine), ReportDesk(engine)
    lists = ListDesk(engine, orders)
    return {
        ("POST", "/api/v3/order"): orders.place,
        ("POST", "/api/v3/order/test"): orders.attempt,
        ("GET", "/api/v3/order"): orders.query,
        ("DELETE", "/api/v3/order"): orders.cancel,
        ("POST", "/api/v3/order/cancelReplace"): orders.replace,
        ("GET", "/api/v3/openOrders"): orders.list_open,
        ("DELETE", "/api/v3/openOrders"): orders.cancel_all,
        ("GET", "/api/v3/allOrders"): orders.list_all,
        ("POST", "/api/v3/orderList/oco"): lists.place_oco,
        ("POST", "/api/v3/orderList/oto"): lists.place_oto,
        ("POST", "/api/v3/orderList/otoco"): lists.place_otoco,
        ("GET", "/api/v3/orderList"): lists.query,
        ("DELETE", "/api/v3/orderList"): lists.cancel,
        ("GET", "/api/v3/openOrderList"): lists.list_open,
        ("GET", "/api/v3/allOrderList"): lists.list_all,
        ("GET", "/api/v3/account"): reports.account,
        ("GET", "/api/v3/account/commission"): reports.commission,
        ("GET", "/api/v3/myTrades"): reports.trades,
        ("GET", "/sapi/v1/bnbBurn"): reports.burn,
        ("POST", "/sapi/v1/bnbBurn"): reports.set_burn,
    }
