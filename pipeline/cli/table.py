"""Tables that fit: the one way the command line shows rows of columns, whatever the width of the terminal.

A word or a number is never broken. Where there is not enough room, long texts are shortened at the end of a word, or
go on in the next line; then columns are left out, the least telling first. It never asks where its rows come from, and
never shortens what is printed for programs.
"""

import textwrap
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, Literal

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult
    from rich.measure import Measurement
    from rich.text import Text

GAP: Final = 2
ELLIPSIS: Final = "…"
HEADING: Final = "bold"


@dataclass(frozen=True, slots=True)
class Column:
    """`rank`: the higher, the sooner it is left out; the first column of a table never is. `long`: what becomes of a
    text that finds no room: it is cut, or goes on in the next line; None: its cells are shown whole or not at all.
    `least`: a long text keeps so many characters before another column is left out for it."""

    name: str
    rank: int = 0
    right: bool = False
    long: Literal["cut", "wrap"] | None = None
    least: int = 12


class Table:
    """Rows of cells under columns: text, a number, or None for what is not known. A column that is only a name is as
    telling as its place. `wide`: every column, however wide; on a terminal that is too narrow for it, a line a cell."""

    def __init__(
        self,
        columns: Sequence[Column | str],
        rows: Iterable[Sequence[Any]],
        *,
        title: str | None = None,
        wide: bool = False,
        empty: str | None = None,
    ) -> None:
        listed = [list(row) for row in rows]
        self._columns = [Column(one, place) if isinstance(one, str) else one for place, one in enumerate(columns)]
        self._right = [
            one.right or any(isinstance(row[place], int | float | Decimal) for row in listed)
            for place, one in enumerate(self._columns)
        ]
        self._cells = [[_text(cell) for cell in row] for row in listed]
        self._needed = [
            max([len(one.name), *(row[place].cell_len for row in self._cells)])
            for place, one in enumerate(self._columns)
        ]
        self._title, self._wide, self._empty = title, wide, empty

    def left_out(self, room: int) -> list[str]:
        """The columns that find no place in so much room."""
        if self._wide:
            return []
        shown = self._fitted(room)
        return [column.name for place, column in enumerate(self._columns) if place not in shown]

    def __rich_console__(self, console: "Console", options: "ConsoleOptions") -> "RenderResult":
        from rich.text import Text  # noqa: PLC0415

        room = options.max_width
        whole = sum(self._needed) + GAP * (len(self._columns) - 1)
        if self._title is not None:
            yield Text(self._title, style="bold")
        if self._wide and console.is_terminal and whole > room:
            yield from self._records()
            return
        yield from self._lines(self._fitted(max(room, whole) if self._wide else room))

    def __rich_measure__(self, console: "Console", options: "ConsoleOptions") -> "Measurement":
        from rich.measure import Measurement  # noqa: PLC0415

        shown = self._fitted(options.max_width)
        width = max(sum(shown.values()) + GAP * (len(shown) - 1), len(self._title or ""))
        return Measurement(min(width, options.max_width), min(width, options.max_width))

    def _fitted(self, room: int) -> dict[int, int]:
        """The columns that are shown, and the width of each."""
        widths = dict(enumerate(self._needed))
        going = sorted(widths, key=lambda place: (self._columns[place].rank, place), reverse=True)

        def over() -> int:
            return sum(widths.values()) + GAP * (len(widths) - 1) - room

        for place in going:
            if over() > 0 and self._columns[place].long is not None:
                widths[place] = max(self._least(place), widths[place] - over())
        for place in going:
            if over() > 0 and place != 0:
                del widths[place]
        return self._widened(widths, -over())

    def _widened(self, widths: dict[int, int], spare: int) -> dict[int, int]:
        """What columns that were left out have given free goes to the long texts that stay, the most telling first."""
        for place in sorted(widths, key=lambda place: self._columns[place].rank):
            more = min(max(0, spare), self._needed[place] - widths[place])
            widths[place] += more
            spare -= more
        return widths

    def _least(self, place: int) -> int:
        """So narrow the column may become: no word of it is broken."""
        column = self._columns[place]
        texts = [row[place].plain for row in self._cells]
        words = [word for text in texts for word in (text.split() if column.long == "wrap" else text.split()[:1])]
        return min(max([len(column.name), column.least, *map(len, words)]), self._needed[place])

    def _lines(self, shown: dict[int, int]) -> "Iterator[Text]":
        from rich.text import Text  # noqa: PLC0415

        names = [Text(self._columns[place].name, style=HEADING) for place in shown]
        yield self._line(names, shown)
        rule = "─" * (sum(shown.values()) + GAP * (len(shown) - 1))
        yield Text(rule, style="dim", no_wrap=True, overflow="ignore")
        for row in self._cells:
            yield from self._row(row, shown)
        if not self._cells and self._empty is not None:
            yield Text(self._empty)

    def _row(self, row: "Sequence[Text]", shown: dict[int, int]) -> "Iterator[Text]":
        from rich.text import Text  # noqa: PLC0415

        parts = [_parts(row[place], width, self._columns[place].long) for place, width in shown.items()]
        for number in range(max(map(len, parts))):
            yield self._line([part[number] if number < len(part) else Text() for part in parts], shown)

    def _line(self, cells: "Sequence[Text]", shown: dict[int, int]) -> "Text":
        from rich.text import Text  # noqa: PLC0415

        line = Text(no_wrap=True, overflow="ignore")
        for cell, (place, width) in zip(cells, shown.items(), strict=True):
            fill = " " * (width - cell.cell_len)
            line.append_text(Text.assemble(*((fill, cell) if self._right[place] else (cell, fill)), " " * GAP))
        line.rstrip()
        return line

    def _records(self) -> "Iterator[Text]":
        from rich.text import Text  # noqa: PLC0415

        longest = max(len(column.name) for column in self._columns) + GAP
        for number, row in enumerate(self._cells):
            if number:
                yield Text()
            for column, cell in zip(self._columns, row, strict=True):
                yield Text.assemble((f"{column.name:<{longest}}", HEADING), cell)
        if not self._cells and self._empty is not None:
            yield Text(self._empty)


def _text(cell: Any) -> "Text":
    from rich.text import Text  # noqa: PLC0415

    return cell if isinstance(cell, Text) else Text("-" if cell is None else str(cell))


def _parts(cell: "Text", width: int, long: Literal["cut", "wrap"] | None) -> "list[Text]":
    """The lines of a cell."""
    from rich.text import Text  # noqa: PLC0415

    if cell.cell_len <= width or long is None:
        return [cell]
    if long == "wrap":
        lines = textwrap.wrap(cell.plain, width, break_long_words=False, break_on_hyphens=False)
        return [Text(line, style=cell.style) for line in lines]
    return [Text(_cut(cell.plain, width), style=cell.style)]


def _cut(text: str, width: int) -> str:
    """As many whole words as there is room for."""
    words = text[: width - len(ELLIPSIS) + 1].rpartition(" ")[0]
    return f"{words.rstrip(' ,;:.')}{ELLIPSIS}"
