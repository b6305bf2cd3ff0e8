"""Tables of a report. Pure; text that comes from elsewhere is escaped."""

from collections.abc import Iterable, Sequence
from html import escape
from typing import Any


def texts(rows: Iterable[tuple[Any, str]]) -> str:
    """Names, and what is said of each."""
    body = "".join(f"<tr><td>{escape(str(name))}</td><td>{escape(text)}</td></tr>" for name, text in rows)
    return f'<table class="text">{body}</table>'


def table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Numbers under their names: what was gained is green and what was lost red."""
    first = "".join(f"<th>{escape(one)}</th>" for one in head)
    body = "".join("<tr>" + "".join(map(_cell, row)) + "</tr>" for row in rows)
    return f'<div class="wide"><table><thead><tr>{first}</tr></thead><tbody>{body}</tbody></table></div>'


def _cell(value: Any) -> str:
    text = str(value)
    kind = {"+": ' class="gain"', "-": ' class="loss"'}.get(text[:1], "") if text[1:] else ""
    return f"<td{kind}>{escape(text)}</td>"
