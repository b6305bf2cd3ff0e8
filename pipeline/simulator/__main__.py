"""`python -m pipeline.simulator OPTIONS`: the exchange as a process of its own, for `handle`.

OPTIONS is `options.Options` as JSON. It prints where it answers, as one line of JSON, and runs until SIGTERM, or until
its standard input is closed: whoever started it is gone then, and no exchange outlives its test.
"""

import asyncio
import sys

import msgspec

from pipeline.errors import TidemarkError
from pipeline.simulator.host import serve
from pipeline.simulator.options import Options, Running


def main() -> int:
    """Run; the exit code is that of the error, if one ends it."""
    try:
        asyncio.run(_serve_while_wanted(msgspec.json.decode(sys.argv[1], type=Options)))
    except TidemarkError as failure:
        sys.stderr.write(f"{failure}\n")
        return failure.exit_code
    return 0


async def _serve_while_wanted(options: Options) -> None:
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_reader(sys.stdin, stopped.set)
    await serve(options, _announce, stopped)


def _announce(running: Running) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(running) + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    sys.exit(main())
