"""The metrics of a process, served for Prometheus while it runs."""

import contextlib
from collections.abc import Iterator

from prometheus_client import CollectorRegistry, start_http_server

from pipeline.errors import AttentionError
from pipeline.store.mongod.launch import holder_of

__all__ = ["CollectorRegistry", "metrics_served"]


@contextlib.contextmanager
def metrics_served(registry: CollectorRegistry, host: str, port: int) -> Iterator[str]:
    """Their address, for the length of a `with` block. Port 0: any free one."""
    try:
        server, thread = start_http_server(port, addr=host, registry=registry)
    except OSError as error:
        raise AttentionError(
            f"metrics cannot be served on {host}:{port}: {error.strerror}{holder_of(port)}. "
            "Choose another port with --metrics-port, or 0 for any free one"
        ) from None
    try:
        yield f"http://{host}:{server.server_port}/metrics"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
