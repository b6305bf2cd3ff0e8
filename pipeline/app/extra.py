"""What is an extra and may not be installed, in a sentence for whoever asks for it."""

from collections.abc import Iterator
from contextlib import contextmanager

from pipeline.errors import UsageError


@contextmanager
def having_dask(who_needs: str) -> Iterator[None]:
    """Around what imports it."""
    try:
        yield
    except ImportError as error:
        raise UsageError(
            f"{who_needs} Dask ({error}): install Tidemark with it, pip install 'tidemark[cluster]'"
        ) from None
