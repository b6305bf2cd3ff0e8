"""What the exchange answers when it refuses: an HTTP status and a body of code and message."""


class ApiError(Exception):
    """A refusal, as the client sees it: `{"code": code, "msg": message}` with `status`."""

    def __init__(self, code: int, message: str, status: int = 400) -> None:
        super().__init__(f"{code} {message}")
        self.code = code
        self.message = message
        self.status = status

    def body(self) -> dict[str, object]:
        """The body as it goes out."""
        return {"code": self.code, "msg": self.message}
