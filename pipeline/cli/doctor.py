"""`tidemark doctor`: is this machine ready, and if not, how to mend it."""

import typer

app = typer.Typer()
