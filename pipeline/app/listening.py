"""An address to serve at: taken, or a person is told who has it."""

import socket

from pipeline.errors import AttentionError
from pipeline.store.mongod.launch import holder_of


def listening(what: str, host: str, port: int) -> socket.socket:
    """A socket that listens there; port 0: any free one."""
    try:
        return socket.create_server((host, port))
    except OSError as error:
        raise AttentionError(
            f"{what} cannot be served on {host}:{port}: {error.strerror}{holder_of(port)}. "
            "Choose another port with --port, or 0 for any free one"
        ) from None
