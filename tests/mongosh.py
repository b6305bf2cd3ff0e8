"""Reads docs/querying.md: its queries, and the part of mongosh's language that they are written in.

There is no mongosh here, so a small reader understands what the page uses, and nothing else: what it does not know is a
`SyntaxError`.
"""

import re
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from pymongo.database import Database

Db = Database[dict[str, Any]]

PAGE = (Path(__file__).parents[1] / "docs" / "querying.md").read_text()
QUERIES = re.findall(r"^## (\d+)\. (.*?)\n.*?```(js|python)\n(.*?)```", PAGE, re.DOTALL | re.MULTILINE)
_BESIDE = r"^## (\d+)\. (?:(?!^## ).)*?```js\n[^`]*```\n\n```python\n(.*?)```"
BESIDE = {int(number): text for number, text in re.findall(_BESIDE, PAGE, re.DOTALL | re.MULTILINE)}
"""By its number, the Python beside a query for mongosh."""
TOKEN = re.compile(r"\s*(?:(\d+(?:\.\d+)?)|\"([^\"\\]*)\"|(\$?[A-Za-z_]\w*)|(.))", re.DOTALL)
WORDS = {"true": True, "false": False, "null": None}


def query(number: int) -> str:
    """The text of the query of that number."""
    return next(text for found, _, _, text in QUERIES if int(found) == number)


class Shell:
    """Reads `db.name.method(...).method(...)`: objects, arrays, texts, numbers, products, and `new Date(...)`."""

    def __init__(self, text: str, now: datetime) -> None:
        self._tokens = list(TOKEN.finditer(text.strip()))
        self._at = 0
        self._now = now

    def run(self, db: Db) -> list[dict[str, Any]]:
        """What the statement finds."""
        self._take("db")
        self._take(".")
        target: Any = db[self._name()]
        while self._at < len(self._tokens):
            self._take(".")
            target = self._call(target, self._name(), self._arguments())
        return list(target)

    def _call(self, target: Any, method: str, arguments: list[Any]) -> Any:
        if method == "sort":
            return target.sort(list(arguments[0].items()))
        if method not in {"find", "aggregate", "limit"}:
            raise SyntaxError(f"the page may not use {method}")
        return getattr(target, method)(*arguments)

    def _arguments(self) -> list[Any]:
        self._take("(")
        return self._until(")", self._value)

    def _until(self, end: str, read: Callable[[], Any]) -> list[Any]:
        found = []
        while not self._is(end):
            found.append(read())
            if not self._is(end):
                self._take(",")
        self._take(end)
        return found

    def _pair(self) -> tuple[str, Any]:
        _, text, name, _ = self._next()
        self._take(":")
        return text if text is not None else name, self._value()

    def _value(self) -> Any:
        if self._is("{"):
            self._take("{")
            return dict(self._until("}", self._pair))
        if self._is("["):
            self._take("[")
            return self._until("]", self._value)
        number, text, name, other = self._peek()
        if number is not None or other == "-":
            return self._product()
        self._at += 1
        if text is not None:
            return text
        if name == "new":
            return self._date()
        if name in WORDS:
            return WORDS[name]
        raise SyntaxError(f"not a value: {name or other}")

    def _product(self) -> float:
        result = self._number()
        while self._is("*"):
            self._take("*")
            result *= self._number()
        return result

    def _date(self) -> datetime:
        for part in ("Date", "(", "Date", ".", "now", "(", ")", "-"):
            self._take(part)
        ago = timedelta(milliseconds=self._product())
        self._take(")")
        return self._now - ago

    def _number(self) -> float:
        if self._is("-"):
            self._take("-")
            return -self._number()
        number = self._next()[0]
        return float(number) if "." in number else int(number)

    def _name(self) -> str:
        return self._next()[2]

    def _peek(self) -> tuple[Any, ...]:
        return self._tokens[self._at].groups()

    def _next(self) -> tuple[Any, ...]:
        self._at += 1
        return self._tokens[self._at - 1].groups()

    def _is(self, text: str) -> bool:
        _, _, name, other = self._peek()
        return text in (name, other)

    def _take(self, text: str) -> None:
        if not self._is(text):
            raise SyntaxError(f"{text} expected, not {self._peek()}")
        self._at += 1
