"""The live view of `demo` and `up`: what an overview holds, as tables for a terminal, or as one line for a log."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from rich.columns import Columns
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table as Pairs
from rich.text import Text

from pipeline.app.overview import Overview, Target
from pipeline.cli.beside import halt_words, standing_line
from pipeline.cli.figures import Ticks, amount, change, measured, moment, money, percent, price
from pipeline.cli.signals import planned, verdict_of
from pipeline.cli.table import Column, Table
from pipeline.exchange_names import decimals_of_money
from pipeline.supervise.supervisor import ServiceStatus, State
from schemas.accounts import Snapshot
from schemas.signals import Decision

_SIGNALS = (
    *(Column("closed (UTC)"), Column("symbol", 1), Column("interval", 6), Column("strategy", 4), Column("kind", 8)),
    *(Column("side", 2), Column("price", 7, right=True), Column("return", 5, right=True)),
    Column("executor", 3, long="cut", least=24),
)
_POSITIONS = (
    *(Column("symbol"), Column("side", 1), Column("quantity", 2, right=True), Column("entry", 5, right=True)),
    *(Column("unrealized", 3, right=True), Column("stop", 4, right=True)),
)
TARGET_NAMES = {
    "api_mean": "api latency, mean",
    "api_latency": "api latency, p99",
    "uptime": "uptime",
    "stream_uptime": "stream uptime",
    "order_success": "orders that succeed",
    "decision": "from signal to order",
    "slippage": "slippage",
    "naked": "without a stop",
    "state": "matches exchange",
    "mismatches": "mismatches",
    "stored_within": "stored within",
    "missing": "missing candles",
    "weight": "request weight",
    "backup": "age of the backup",
}
_STATE_STYLES = {
    State.RUNNING: "green", State.STARTING: "yellow", State.RESTARTING: "red", State.STOPPED: "red", State.DONE: "dim",
}  # fmt: skip


def live_view(
    seen: Overview, services: Sequence[ServiceStatus], addresses: Mapping[str, str], news: Sequence[str]
) -> Group:
    """Everything at once. `news`: the last lines of the processes that need attention."""
    parts: list[RenderableType] = [
        *([standing_line(seen.standing)] if seen.standing is not None else []),
        _headline(seen),
        Text(),
        signals_table(seen, "latest signals"),
        Text(),
        Columns([_positions(seen), _account(seen)], padding=(0, 3)),
        Text(),
        *([_targets(seen.targets)] if seen.targets else []),
        _services(services),
        *(Text(line, style="yellow", overflow="ellipsis", no_wrap=True) for line in news),
        _addresses(addresses),
    ]
    return Group(*parts)


def line(seen: Overview) -> str:
    """The figures in one line."""
    rate, lag = seen.candles_per_second, seen.figure("ingester", "lag_p50")
    equity = ", ".join(_equity(one) for one in seen.accounts) or "-"
    halted = f"{halt_words(seen.standing.halted)}; " if seen.standing and seen.standing.halted else ""
    return (
        f"{halted}{_number(rate, '{:,.0f}')} candles/s, lag {_number(lag, '{:.2f} s')}, "
        f"{seen.signals_stored:,} signals, {seen.taken:,} taken, {len(seen.positions)} open positions, equity {equity}"
    )


def signals_table(seen: Overview, title: str) -> Table:
    """The newest signals that were said live, what became of them, and when there may be more."""
    rows = [
        (
            moment(one["at"]),
            one["symbol"],
            one["interval"],
            one["strategy"],
            one["kind"],
            Text(one["side"], style="green" if one["side"] == "long" else "red"),
            price(one["price"], seen.ticks.get(one["symbol"])),
            percent(one.get("return_pct"), " %"),
            _verdict(one, seen.ticks),
        )
        for one in seen.signals
    ]
    return Table(
        _SIGNALS,
        rows,
        title=f"{title}{_next_close(seen)}",
        empty="none yet; those of the history: tidemark signals",
    )


def _next_close(seen: Overview) -> str:
    if seen.next_close is None:
        return ""
    minutes, seconds = divmod(max(0, round((seen.next_close - seen.at).total_seconds())), 60)
    return f"; next close in {minutes}:{seconds:02}"


def _headline(seen: Overview) -> Text:
    lag, stored = seen.figure("ingester", "lag_p50"), seen.figure("ingester", "stored_after_p50")
    figures = [
        ("candles/s", _number(seen.candles_per_second, "{:,.0f}")),
        ("lag", _number(lag, "{:.2f} s")),
        ("stored after", _number(None if stored is None else stored * 1_000, "{:.0f} ms")),
        ("series", _number(seen.figure("ingester", "series"), "{:.0f}")),
        ("missing", _number(seen.figure("ingester", "missing"), "{:.0f}")),
        ("signals", f"{seen.signals_stored:,}"),
        ("taken", f"{seen.taken:,}"),
    ]
    text = Text()
    for name, value in figures:
        text.append(f"{name} ", style="dim").append(f"{value}   ", style="bold")
    return text


def _positions(seen: Overview) -> Table:
    rows = [
        (
            one.symbol,
            one.side or ("long" if one.quantity > 0 else "short"),
            amount(abs(one.quantity)),
            price(one.entry_price, seen.ticks.get(one.symbol)),
            change(one.unrealized, decimals_of_money(one.environment)),
            price(one.stop_price, seen.ticks.get(one.symbol)),
        )
        for one in seen.positions
    ]
    return Table(_POSITIONS, rows, title="positions", empty="none")


def _account(seen: Overview) -> Pairs:
    if not seen.accounts:
        return _pairs({"equity": "not known yet"}, "account")
    if len(seen.accounts) > 1:
        of_each: dict[str, Text | str] = {one.asset: money(one.equity, _decimals(one)) for one in seen.accounts}
        return _pairs(of_each, "account", justify="right")
    (one,) = seen.accounts
    told: dict[str, Text | str] = {
        "equity": _equity(one),
        "available": money(one.available, _decimals(one)),
        "unrealized": change(one.unrealized, _decimals(one)),
        "today": percent(one.day_return_pct, " %"),
    }
    return _pairs(told, "account", justify="right")


def _equity(one: Snapshot) -> str:
    return f"{money(one.equity, _decimals(one))} {one.asset}"


def _decimals(one: Snapshot) -> int:
    return decimals_of_money(one.environment)


def _targets(targets: Sequence[Target]) -> Text:
    """What is measured, beside what it should be: as many lines as it needs."""
    text = Text("targets ", style="dim")
    for one in targets:
        goal, name = one.goal, TARGET_NAMES[one.goal.key]
        style = {True: "green", False: "red", None: "dim"}[one.met]
        said = measured(one.measured, goal.unit) or "no data yet"
        parts = (f"{name} ", (said, style), f" ({goal.text})")
        text.append_text(Text.assemble(*parts)).append("   ")
    return text


def _services(services: Sequence[ServiceStatus]) -> Text:
    text = Text("processes ", style="dim")
    for one in services:
        restarts = f" ({one.restarts} restarts)" if one.restarts else ""
        text.append(f"{one.name} {one.state}{restarts}   ", style=_STATE_STYLES[one.state])
    return text


def _addresses(addresses: Mapping[str, str]) -> Panel:
    pairs = _pairs(addresses)
    return Panel(pairs, subtitle="Ctrl-C ends it; the data stay", subtitle_align="left", border_style="dim")


def _pairs(
    told: Mapping[str, Text | str], title: str | None = None, justify: Literal["left", "right"] = "left"
) -> Pairs:
    """Names, and what belongs to each."""
    pairs = Pairs(title=title, title_justify="left", title_style="bold", show_header=False, box=None, pad_edge=False)
    pairs.add_column(style="dim")
    pairs.add_column(justify=justify)
    for name, value in told.items():
        pairs.add_row(name, value)
    return pairs


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else form.format(value)


def _verdict(one: Mapping[str, Any], ticks: Ticks) -> Text:
    decided = one.get("decision")
    plan = planned(decided and Decision.from_mongo(decided), ticks.get(one["symbol"]))
    style = {"taken": "bold green", "would-take": "green"}.get(one["verdict"], "dim")
    return Text(verdict_of(one["verdict"], plan or one.get("reason"), one["source"]), style=style)
