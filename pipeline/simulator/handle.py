"""The exchange in the hands of a test: started as a process of its own on a free port, told what to break, asked what
truly happened, and stopped.

    with Simulator.start(seed=7, speed=20) as simulator:
        simulator.faults.add("unknown_after", method="POST", path="/fapi/v1/order", next=1)
        ...
        assert simulator.ledger()["attempts"]
"""

import json
import selectors
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from types import TracebackType
from typing import IO, Any, Self

import msgspec

from pipeline.errors import TidemarkError
from pipeline.simulator.faults.rules import Fault, Kind
from pipeline.simulator.options import Options, Running

START_TIMEOUT = 30.0
STOP_TIMEOUT = 5.0
CALL_TIMEOUT = 30.0

Row = list[int | str]


class SimulatorError(TidemarkError):
    """The exchange's process did not start, died, or refused what the handle asked. The message carries its words."""


class _Wire:
    """The panel's endpoints, spoken from outside."""

    def __init__(self, url: str) -> None:
        self._url = url

    def call(self, method: str, path: str, body: bytes | None = None, **query: object) -> Any:
        """One request to the panel; its refusals are errors."""
        shown = {name: value for name, value in query.items() if value is not None}
        url = f"{self._url}/sim{path}" + (f"?{urllib.parse.urlencode(shown)}" if shown else "")
        request = urllib.request.Request(url, data=body, method=method)  # noqa: S310 - always our own http URL
        try:
            with urllib.request.urlopen(request, timeout=CALL_TIMEOUT) as answer:  # noqa: S310
                return json.load(answer)
        except urllib.error.HTTPError as refusal:
            raise SimulatorError(f"the simulator refused {method} /sim{path}: {refusal.read().decode()}") from refusal
        except OSError as failure:
            raise SimulatorError(f"the simulator at {self._url} does not answer: {failure}") from failure


class Faults:
    """The rules in force."""

    def __init__(self, wire: _Wire) -> None:
        self._wire = wire

    def add(self, kind: str, **fields: Any) -> int:
        """Put a rule in force: `docs/simulator.md` lists the kinds and the fields. Its number takes it out again."""
        fault = Fault(kind=Kind(kind), **fields).check()
        number: int = self._wire.call("POST", "/faults", msgspec.json.encode(fault))["number"]
        return number

    def remove(self, number: int) -> None:
        """Take one rule out."""
        self._wire.call("DELETE", f"/faults/{number}")

    def clear(self) -> None:
        """Take every rule out, set the clock right and list what was delisted."""
        self._wire.call("DELETE", "/faults")

    def rules(self) -> list[dict[str, Any]]:
        """Those in force or spent, oldest first: `number`, `struck`, `fault`."""
        found: list[dict[str, Any]] = self._wire.call("GET", "/faults")
        return found

    def struck(self, number: int) -> int:
        """How often that rule has struck."""
        count: int = next(rule["struck"] for rule in self.rules() if rule["number"] == number)
        return count


class RunningSimulator:
    """An exchange that somebody started and will end: `url` and `ws_url` say where. What is asked of a symbol is asked
    of the market whose address that is."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.ws_url = url.replace("http", "ws", 1)
        self._wire = _Wire(url)
        self.faults = Faults(self._wire)

    def at(self, market: str) -> "RunningSimulator":
        """The same exchange at the address of another of its markets."""
        addresses = self._wire.call("GET", "")["markets"]
        if market not in addresses:
            raise SimulatorError(f"the simulator has the markets {', '.join(addresses)}; not {market!r}")
        return RunningSimulator(addresses[market]["url"])

    def now(self) -> int:
        """The server's true time, whatever the skew."""
        now: int = self._wire.call("GET", "")["now"]
        return now

    def ledger(self) -> dict[str, Any]:
        """Everything that truly happened: `trading`, `attempts`, `requests`, `frames`."""
        found: dict[str, Any] = self._wire.call("GET", "/ledger")
        return found

    def truth_klines(self, symbol: str, interval: str, start: int, end: int) -> list[Row]:
        """The full candles that open in [start, end] as REST rows, untouched by any fault."""
        rows: list[Row] = self._wire.call("GET", "/klines", symbol=symbol, interval=interval, start=start, end=end)
        return rows

    def drop_connections(self, route: str | None = None, market: str | None = None) -> int:
        """Cut the websockets of that route or market, or all; how many there were."""
        dropped: int = self._wire.call("POST", "/connections/drop", route=route, market=market)["dropped"]
        return dropped

    def retire_connections(self, market: str | None = None) -> int:
        """Tell the websockets of that market, or all, that they will end soon; how many there were."""
        told: int = self._wire.call("POST", "/connections/retire", market=market)["told"]
        return told

    def freeze_connections(self, route: str | None = None, market: str | None = None) -> int:
        """Silence the websockets without cutting them; how many there were."""
        frozen: int = self._wire.call("POST", "/connections/freeze", route=route, market=market)["frozen"]
        return frozen

    def expire_listen_keys(self) -> None:
        """Let every listen key run out now."""
        self._wire.call("POST", "/listen-keys/expire")

    def skew_clock(self, milliseconds: int) -> None:
        """Let the clock that it shows and checks by be wrong."""
        self._wire.call("POST", "/clock/skew", milliseconds=milliseconds)

    def delist(self, symbol: str, status: str = "SETTLING") -> int:
        """End its trading with the current minute: "SETTLING", "CLOSE", or "UNLISTED", which names it no more. When it
        ends; `faults.clear` takes it back."""
        delivery: int = self._wire.call("POST", "/symbols/delist", symbol=symbol, status=status)["delivery"]
        return delivery

    def close_position(self, account: str, symbol: str, by: str) -> int:
        """Close by force what that account holds: by liquidation, adl or settlement; how many positions that were."""
        closed: int = self._wire.call("POST", "/positions/close", account=account, symbol=symbol, by=by)["closed"]
        return closed

    def deposit(self, account: str, asset: str, amount: str) -> None:
        """Let so much come into an account of this market from outside, or go out if it is less than nothing."""
        self._wire.call("POST", "/deposits", account=account, asset=asset, amount=amount)

    def forgive(self) -> None:
        """Forget used weights and bans."""
        self._wire.call("POST", "/limits/forgive")


class Simulator(RunningSimulator):
    """A running exchange that ends with whoever started it."""

    def __init__(self, process: "subprocess.Popen[bytes]", running: Running, complaints: IO[bytes]) -> None:
        super().__init__(running.url)
        self._process = process
        self._complaints = complaints

    @classmethod
    def start(cls, **chosen: Any) -> Self:
        """Start one with these `options.Options`, on a free port unless one is chosen, and wait until it answers."""
        options = Options(**{"port": 0, **chosen})
        complaints = tempfile.TemporaryFile()  # noqa: SIM115 - closed when the process has ended
        process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
            [sys.executable, "-m", "pipeline.simulator", msgspec.json.encode(options).decode()],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=complaints,
        )
        try:
            running = msgspec.json.decode(_first_line(process, START_TIMEOUT), type=Running)
        except msgspec.DecodeError:
            _kill(process)
            raise SimulatorError(f"the simulator did not start: {_read(complaints).strip() or 'no word'}") from None
        except BaseException:  # whoever waited was interrupted
            _kill(process)
            complaints.close()
            raise
        return cls(process, running, complaints)

    def stop(self) -> None:
        """End it, and wait until it is gone. What it complained of meanwhile goes to stderr."""
        self._process.terminate()
        try:
            self._process.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        if not self._complaints.closed:
            sys.stderr.write(_read(self._complaints))

    @property
    def alive(self) -> bool:
        """Whether its process runs."""
        return self._process.poll() is None

    @property
    def pid(self) -> int:
        """The number of its process, to measure what it uses."""
        return self._process.pid

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, failure: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def _kill(process: "subprocess.Popen[bytes]") -> None:
    process.kill()
    process.communicate()


def _read(complaints: IO[bytes]) -> str:
    with complaints:
        complaints.seek(0)
        return complaints.read().decode(errors="replace")


def _first_line(process: "subprocess.Popen[bytes]", timeout: float) -> bytes:
    """The line that says where it answers; nothing if the process ends or is silent for too long."""
    if process.stdout is None:
        return b""
    deadline = time.monotonic() + timeout
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while time.monotonic() < deadline:
            if selector.select(deadline - time.monotonic()):
                return process.stdout.readline()
    return b""
