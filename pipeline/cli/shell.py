"""`tidemark shell`: Python at a prompt, with `tm` ready. This process becomes that Python; nothing of it stays."""

import typer

app = typer.Typer()


@app.command(epilog='Example: [bold]tidemark shell[/bold]   then   tm.signals(symbol="BTCUSDT", since="2d")')
def shell() -> None:
    """Open Python with `tm` ready: candles, signals and what came of them as tables. Ctrl-D ends it."""
    import os  # noqa: PLC0415
    import sys  # noqa: PLC0415

    from pipeline.settings import load  # noqa: PLC0415

    load()  # says here what is wrong with them
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, "-i", "-m", "tidemark.prompt"])  # noqa: S606 - it is Python itself
