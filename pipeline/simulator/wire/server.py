"""The doors of a market: REST, websockets and the panel on one port, as each market of the real exchange has a host of
its own. It carries, and decides nothing.

Everything runs on one event loop; two tasks beside the requests poll the streams and move the accounts.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable
from dataclasses import replace
from typing import Never
from urllib.parse import unquote

import msgspec
from aiohttp import web

from pipeline.simulator.exchange import Answer, Exchange, Floor, Request
from pipeline.simulator.faults.rules import Facts, Kind, Stage
from pipeline.simulator.wire.api_session import ASKED_BY_MESSAGE, ApiSession
from pipeline.simulator.wire.api_socket import ApiConnection, ApiDesk
from pipeline.simulator.wire.feeds import Streamed, lateness_between
from pipeline.simulator.wire.hub import Hub, Ticker
from pipeline.simulator.wire.session import MOST_STREAMS, Session
from pipeline.simulator.wire.sockets import Connection, Manners
from pipeline.simulator.wire.streams import Route

JSON = "application/json;charset=UTF-8"
ACCOUNTS_MOVE_EVERY = 0.05  # seconds by the wall
_ROUTES = "{route:market|public|private}"


class Server:
    """One market of the exchange with its doors open."""

    def __init__(
        self,
        exchange: Exchange,
        floor: Floor,
        manners: Manners | None = None,
        lateness: tuple[int, int] = (20, 400),
        stream_period: int | None = None,
    ) -> None:
        product, rules = floor.product, floor.product.streams
        self._exchange = exchange
        self._floor = floor
        self._manners = manners or Manners(ping_every=rules.ping_every, patience=rules.patience)
        self._stream_period = stream_period or rules.period
        beside = [Streamed(other.market, other.product.streams) for other in exchange.beside(floor)]
        streamed = Streamed(floor.market, rules)
        self.hub = Hub(product.name, streamed, exchange.panel, lambda name: lateness_between(*lateness, name), beside)
        self.app = web.Application(client_max_size=1 << 20)
        self.tasks: list[asyncio.Task[None]] = []
        self.app.router.add_get("/data/{tail:.*}", self._archive)
        for prefix in ("", f"/{_ROUTES}") if rules.routed else ("",):
            self.app.router.add_get(prefix + "/ws", self._open_bare)
            self.app.router.add_get(prefix + "/ws/{streams:.+}", self._open_bare)
            self.app.router.add_get(prefix + "/stream", self._open_combined)
        if product.ws_api is not None:
            self.app.router.add_get(product.ws_api.path, self._open_api)
        for root in {path.split("/")[1] for method, path in product.endpoints if method != ASKED_BY_MESSAGE}:
            self.app.router.add_route("*", f"/{root}/{{tail:.*}}", self._rest)
        self.app.cleanup_ctx.append(self._background)

    async def _rest(self, http: web.Request) -> web.StreamResponse:
        path, _, query = http.raw_path.partition("?")
        request = Request(
            method=http.method,
            path=path,
            query=query,
            body=(await http.read()).decode("utf-8", "replace"),
            key=http.headers.get("X-MBX-APIKEY", ""),
            address=http.remote or "",
            market=self._floor.product.name,
        )
        answer = self._exchange.handle(request)
        self._deliver_events()
        return await _carry(answer, http)

    async def _archive(self, http: web.Request) -> web.StreamResponse:
        found = self._exchange.archive_file(self._floor, unquote(http.raw_path.partition("?")[0]))
        if found is None:
            raise web.HTTPNotFound(text="<Error><Code>NoSuchKey</Code></Error>", content_type="application/xml")
        return web.Response(body=found, content_type="application/octet-stream")

    async def _open_bare(self, http: web.Request) -> web.StreamResponse:
        return await self._open(http, [name for name in http.match_info.get("streams", "").split("/") if name], False)

    async def _open_combined(self, http: web.Request) -> web.StreamResponse:
        return await self._open(http, [name for name in http.query.get("streams", "").split("/") if name], True)

    async def _open(self, http: web.Request, names: list[str], combined: bool) -> web.StreamResponse:
        route = Route(http.match_info.get("route", Route.UNROUTED))
        if any("," in name for name in names) or len(names) > MOST_STREAMS:
            raise web.HTTPBadRequest(text="streams are separated by '/'")
        if self._exchange.panel.strike(Stage.HANDSHAKE, Facts(market=self._floor.product.name, route=route)):
            raise web.HTTPServiceUnavailable
        rules = self._floor.product.streams
        session = Session(route, combined, names=dict.fromkeys(map(unquote, names)), rules=rules)
        if "listenKey" in http.query:
            session.names[http.query["listenKey"]] = None
        if "events" in http.query:
            session.events = frozenset(http.query["events"].split("/"))
        socket = web.WebSocketResponse(autoping=False, compress=False)
        return await self._serve(Connection(socket, http, session), socket, http)

    async def _open_api(self, http: web.Request) -> web.StreamResponse:
        facts = Facts(market=self._floor.product.name, route=Route.PRIVATE)
        api = self._floor.product.ws_api
        desk = ApiDesk(self._exchange, self._floor, http.remote or "", self._deliver_events)
        if api is None or self._exchange.panel.strike(Stage.HANDSHAKE, facts):
            raise web.HTTPServiceUnavailable
        rules = replace(self._floor.product.streams, counts_pongs=False)
        session = ApiSession(route=Route.PRIVATE, combined=False, rules=rules, api=api, desk=desk, opened=desk.now())
        socket = web.WebSocketResponse(autoping=False, compress=False)
        return await self._serve(ApiConnection(socket, http, session), socket, http)

    async def _serve(
        self, connection: Connection, socket: web.WebSocketResponse, http: web.Request
    ) -> web.StreamResponse:
        await socket.prepare(http)
        self.hub.join(connection, self._exchange.clock.now())
        try:
            await connection.serve(self.hub, self._exchange.clock.now, self._manners)
        finally:
            self.hub.leave(connection)
        return socket

    async def _background(self, _: web.Application) -> AsyncIterator[None]:
        """Keep the streams and the accounts moving while the market is open."""
        ticker = Ticker(self.hub, self._exchange.clock, self._stream_period)
        self.tasks = [asyncio.create_task(ticker.run()), asyncio.create_task(self._move_accounts())]
        yield
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        for listener in list(self.hub.listeners):
            listener.drop()

    async def _move_accounts(self) -> None:
        while True:
            self._floor.venue.advance(self._exchange.clock.now())
            self._deliver_events()
            await asyncio.sleep(ACCOUNTS_MOVE_EVERY)

    def _deliver_events(self) -> None:
        for key, event in self._exchange.collect_events(self._floor):
            self.hub.publish_event(key, str(event["e"]), msgspec.json.encode(event))


async def until(servers: Iterable[Server], stopped: asyncio.Event) -> None:
    """Wait until told to stop. If something in the background fails, that is raised: no exchange goes on half."""
    waiting = asyncio.create_task(_wait(stopped))
    tasks = [task for server in servers for task in server.tasks]
    done, _ = await asyncio.wait({waiting, *tasks}, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    for task in done:
        task.result()


async def _wait(event: asyncio.Event) -> None:
    await event.wait()


async def _carry(answer: Answer, http: web.Request) -> web.StreamResponse:
    """Send the answer, or what the fault leaves of it."""
    kind = answer.fault.kind if answer.fault else None
    if kind in (Kind.HANG_BEFORE, Kind.HANG_AFTER):
        await asyncio.Future[Never]()  # until the client gives up
    if kind in (Kind.RESET_BEFORE, Kind.RESET_AFTER):
        return _cut(http)
    if kind is Kind.SLOW and answer.fault is not None:
        await asyncio.sleep((answer.fault.milliseconds or 0) / 1_000)
    headers = {**answer.headers, "Content-Type": JSON}
    if kind is not Kind.TRUNCATED:
        return web.Response(status=answer.status, body=answer.body, headers=headers)
    partial = web.StreamResponse(status=answer.status, headers={**headers, "Content-Length": str(len(answer.body))})
    await partial.prepare(http)
    await partial.write(answer.body[: len(answer.body) // 2])
    return _cut(http)


def _cut(http: web.Request) -> web.StreamResponse:
    """Close the line in the middle of whatever was said."""
    if http.transport is not None:
        http.transport.close()
    raise asyncio.CancelledError


@contextlib.asynccontextmanager
async def serving(server: Server, host: str, port: int) -> AsyncIterator[int]:
    """The server with its port open; yields the port, which was free if 0 was asked for."""
    runner = web.AppRunner(server.app, access_log=None, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port)
        await site.start()
        bound: tuple[str, int] = runner.addresses[0]
        yield bound[1]
    finally:
        await runner.cleanup()
