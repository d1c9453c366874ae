"""A nats-server with its own defaults, as the peers would be run: it doesn't sync each write."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import walnats

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

_DEFAULTS = 'jetstream { }'


@asynccontextmanager
async def fresh_server() -> AsyncIterator[str]:
    async with walnats.EmbeddedServer(config=_DEFAULTS) as server:
        yield server.url
