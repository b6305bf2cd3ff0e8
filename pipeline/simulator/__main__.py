"""`python -m pipeline.simulator OPTIONS`: the exchange as a process of its own, for `handle`.

OPTIONS is `host.Options` as JSON. It prints where it answers, as one line of JSON, and runs until SIGTERM.
"""

import asyncio
import sys

import msgspec

from pipeline.errors import TidemarkError
from pipeline.simulator.host import Options, Running, serve


def main() -> int:
    """Run; the exit code is that of the error, if one ends it."""
    try:
        asyncio.run(serve(msgspec.json.decode(sys.argv[1], type=Options), _announce))
    except TidemarkError as failure:
        sys.stderr.write(f"{failure}\n")
        return failure.exit_code
    return 0


def _announce(running: Running) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(running) + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    sys.exit(main())
