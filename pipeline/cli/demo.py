"""`tidemark demo`: the whole system on embedded defaults, from nothing to "ready"."""

import typer

app = typer.Typer()
