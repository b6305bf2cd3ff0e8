"""Every way spot refuses a trading request where its words are not those of the futures: of a rejected order and of a
filter the code is always the same, and only the text says why."""

from typing import Final

from pipeline.simulator.errors import ApiError

INSUFFICIENT: Final = "Account has insufficient balance for requested action."
DUPLICATE: Final = "Duplicate order sent."
WOULD_TAKE: Final = "Order would immediately match and take."
WOULD_TRIGGER: Final = "Order would trigger immediately."
CLOSED: Final = "Market is closed."
WRONG_SIDES: Final = "The relationship of the prices for the orders is not correct."

MESSAGES: Final[dict[int, str]] = {
    -1106: "Parameter '{}' sent when not required.",
    -1111: "Parameter '{}' has too much precision.",
    -1128: "Combination of optional parameters invalid.",
    -2011: "Unknown order sent.",
    -2013: "Order does not exist.",
}


def reject(why: str) -> ApiError:
    """An order that the matching engine does not take."""
    return ApiError(-2010, why)


def filtered(name: str) -> ApiError:
    """An order that a filter does not let through."""
    return ApiError(-1013, f"Filter failure: {name}")


def refuse(code: int, *values: str | int) -> ApiError:
    """The refusal of that code; the values name the parameter or the bound that its text mentions."""
    return ApiError(code, MESSAGES[code].format(*values))


class HalfDoneError(ApiError):
    """A cancel-and-replace of which a part, or all, failed: the answer says what became of each part."""

    def __init__(self, data: dict[str, object], *, partly: bool) -> None:
        code, how, status = (-2021, "partially failed", 409) if partly else (-2022, "failed", 400)
        super().__init__(code, f"Order cancel-replace {how}.", status)
        self._data = data

    def body(self) -> dict[str, object]:
        """The body as it goes out."""
        return {**ApiError.body(self), "data": self._data}
