"""A bounded memory for answers that never change. Forgets the least recently used; never answers differently."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Memory(Generic[K, V]):
    """At most `size` answers of `make`."""

    def __init__(self, size: int, make: Callable[[K], V]) -> None:
        self._size = size
        self._make = make
        self._known: OrderedDict[K, V] = OrderedDict()

    def __getitem__(self, question: K) -> V:
        known = self._known
        answer = known.get(question)
        if answer is None:
            answer = known[question] = self._make(question)
            if len(known) > self._size:
                known.popitem(last=False)
        else:
            known.move_to_end(question)
        return answer

    def peek(self, question: K) -> V | None:
        """The answer where it is remembered already."""
        return self._known.get(question)

    def forget(self) -> None:
        """Make every answer anew: what it follows from has changed."""
        self._known.clear()

    def __len__(self) -> int:
        return len(self._known)
