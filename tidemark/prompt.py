"""What `tidemark shell` begins with: `tm` is open, and a refusal is said in one line. Python goes on at its prompt."""

import sys
from types import TracebackType

import tidemark
from pipeline.errors import TidemarkError

tm = tidemark.open()


def say(kind: type[BaseException], failure: BaseException, trace: TracebackType | None) -> None:
    """What Tidemark refuses says what to do; anything else is shown as Python shows it."""
    if isinstance(failure, TidemarkError):
        sys.stderr.write(f"{failure}\n")
    else:
        sys.__excepthook__(kind, failure, trace)


sys.excepthook = say
sys.stdout.write(f'{tm!r} is open as `tm`: tm.signals(), tm.candles("BTCUSDT", "1h"), help(tm). Ctrl-D ends.\n')
