"""Prefect's server behind a door of ours: `python -m flows.server`, until it is told to end.

Prefect asks for a login itself, but hands its page to whoever asks for it by any name, also to a page that puts it into
a frame. Here it answers under the names it is known by alone, and shows itself in no frame. It changes nothing of what
Prefect does.
"""

import argparse
from collections.abc import Sequence
from typing import Final

import uvicorn
from prefect.server.api.server import create_app
from starlette.datastructures import MutableHeaders
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HERE: Final = ("127.0.0.1", "localhost")
"""The names under which a person looks, on this machine or through a tunnel: no stranger says where they lead."""
_ENDS_WITHIN: Final = 3


class Unframed:
    """Tells browsers to show no page of the application in a frame."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer as the application does, with two headers more."""

        async def forbid(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["Content-Security-Policy"] = "frame-ancestors 'none'"
                headers["X-Frame-Options"] = "DENY"
            await send(message)

        await self._app(scope, receive, forbid)


def behind_a_door(app: ASGIApp, names: Sequence[str]) -> ASGIApp:
    """The application for those who call it by one of these names, whatever the port."""
    return TrustedHostMiddleware(Unframed(app), allowed_hosts=[*names], www_redirect=False)


def main() -> None:
    """Serve until a signal."""
    asked = argparse.ArgumentParser(prog="python -m flows.server", description="Prefect's server behind a door.")
    asked.add_argument("--host", default=HERE[0], help="the address to listen on")
    asked.add_argument("--port", type=int, default=4200)
    asked.add_argument(
        "--known-as", action="append", default=[], help="a name it answers under, besides this machine's"
    )
    chosen = asked.parse_args()
    uvicorn.run(
        behind_a_door(create_app(final=True), (*HERE, *chosen.known_as)),
        host=chosen.host,
        port=chosen.port,
        log_level="warning",
        timeout_graceful_shutdown=_ENDS_WITHIN,
    )


if __name__ == "__main__":
    main()
