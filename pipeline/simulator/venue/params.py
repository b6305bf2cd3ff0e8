"""Reads the parameters of one request: present or not, number or not, one of the words allowed or not. Knows no rule
of trading."""

import json
import re
from collections.abc import Mapping
from decimal import Decimal
from enum import StrEnum
from typing import Final, TypeVar

from pipeline.simulator.venue.refusals import refuse

Word = TypeVar("Word", bound=StrEnum)

_NUMBER: Final = re.compile(r"-?\d{1,20}(\.\d{1,20})?")
_INTEGER: Final = re.compile(r"\d{1,19}")


class Params:
    """The parameters as sent, by name. An empty value counts as not sent. `names`: what those are called that are sent
    under another name."""

    def __init__(self, sent: Mapping[str, str], names: Mapping[str, str] | None = None) -> None:
        self._sent = sent
        self._names = names or {}

    def renamed(self, names: Mapping[str, str]) -> "Params":
        """The same, read by other names: `{"price": "abovePrice"}`."""
        return Params(self._sent, names)

    def called(self, name: str) -> str:
        """The name under which it was to be sent."""
        return self._names.get(name, name)

    def text(self, name: str) -> str | None:
        """The value, or None if it was not sent."""
        return self._sent.get(self.called(name)) or None

    def need(self, name: str) -> str:
        """The value of a mandatory parameter."""
        value = self.text(name)
        if value is None:
            raise refuse(-1102, self.called(name))
        return value

    def number(self, name: str) -> Decimal | None:
        """A decimal number, or None if it was not sent."""
        value = self.text(name)
        if value is None:
            return None
        if not _NUMBER.fullmatch(value):
            raise refuse(-1102, self.called(name))
        return Decimal(value)

    def need_number(self, name: str) -> Decimal:
        """A mandatory decimal number."""
        value = self.number(name)
        if value is None:
            raise refuse(-1102, self.called(name))
        return value

    def integer(self, name: str) -> int | None:
        """A whole number from 0 up, or None if it was not sent."""
        value = self.text(name)
        if value is None:
            return None
        if not _INTEGER.fullmatch(value):
            raise refuse(-1102, self.called(name))
        return int(value)

    def flag(self, name: str) -> bool:
        """`true` or `false` in any case; false if it was not sent."""
        value = self.text(name)
        if value is None:
            return False
        if value.lower() not in {"true", "false"}:
            raise refuse(-1102, self.called(name))
        return value.lower() == "true"

    def need_flag(self, name: str) -> bool:
        """A mandatory `true` or `false`."""
        self.need(name)
        return self.flag(name)

    def word(self, name: str, words: type[Word], code: int) -> Word | None:
        """One of the words, or None if it was not sent; any other word is refused with `code`."""
        value = self.text(name)
        if value is None:
            return None
        try:
            return words(value)
        except ValueError:
            raise refuse(code, self.called(name)) from None

    def need_word(self, name: str, words: type[Word], code: int) -> Word:
        """A mandatory word."""
        self.need(name)
        word = self.word(name, words, code)
        if word is None:
            raise refuse(-1102, self.called(name))
        return word

    def array(self, name: str) -> list[object]:
        """A mandatory JSON array."""
        try:
            value = json.loads(self.need(name), parse_float=Decimal)
        except ValueError:
            raise refuse(-1102, self.called(name)) from None
        if not isinstance(value, list):
            raise refuse(-1102, self.called(name))
        return value

    def limit(self, default: int, maximum: int) -> int:
        """How many rows are wanted."""
        value = self.integer("limit")
        if value is None:
            return default
        if not 1 <= value <= maximum:
            raise refuse(-1130, "limit")
        return value
