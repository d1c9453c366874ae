"""What nats-py does wrong, or hides, and what is done about it.

`WalnatsClient` is the client of the connections that walnats opens. A client that was passed
is a plain one; the functions here take both.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Protocol

import msgspec
import nats.errors
from nats.aio.client import Client

from .closing import abort, abort_soon, drop
from .credentials import use_keys
from .parser import MessageParser

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nats.aio.client import Srv
    from nats.aio.msg import Msg
    from nats.aio.subscription import Subscription

logger = logging.getLogger('walnats.connection')

_WEBSOCKET = ('ws', 'wss')
_PONG_TIMEOUT = 1.0
_EXPECTED = (OSError, nats.errors.Error, asyncio.TimeoutError)
# Credentials that are revoked or expire may be rotated by then. A server that takes less than it
# did tells so only when one connects.
_PASSES = re.compile('authorization violation|authentication (expired|revoked)|maximum payload')


class Incoming(msgspec.Struct):
    """A message that came: what matters of a `Msg` of nats-py, and cheaper to make."""

    subject: str
    reply: str
    data: bytes
    headers: dict[str, str] | None


class Message(Protocol):
    """What a receiver gets: an `Incoming`, or a `Msg` of nats-py."""

    @property
    def subject(self) -> str: ...
    @property
    def reply(self) -> str: ...
    @property
    def data(self) -> bytes: ...
    @property
    def headers(self) -> dict[str, str] | None: ...


Receive = Callable[[Message], None]


class WalnatsClient(Client):
    """A client of nats-py that keeps its promises.

    It never goes on in clear where TLS was asked for, reconnects whatever goes wrong in an
    attempt, and reads on after a message that can't be read.
    """

    def __init__(self) -> None:
        super().__init__()
        self._ps = MessageParser(self)
        self.lost_because: Exception | None = None
        """Why the connection was lost the last time."""
        self.receivers: dict[int, Receive] = {}
        """What takes the messages of a subscription, by its id, without the queue and the task
        that nats-py has for each: that is a third of the time that a message takes."""
        self._has_dropped = False

    def post(
        self, subject: str, payload: bytes, reply: str = '', headers: dict[str, str] | None = None
    ) -> bool:
        """Send a message in half the time of `publish`. False if it can't be done at once.

        Our names and headers were checked before, and there is nothing to wait for.
        """
        queue = self._flush_queue
        if self._status != Client.CONNECTED or queue is None:
            return False
        size = len(payload)
        if headers is None:
            start = f'PUB {subject} {reply} {size}\r\n'.encode()
        else:
            block = _header_block(headers)
            size += len(block)
            start = f'HPUB {subject} {reply} {len(block)} {size}\r\n'.encode() + block
        command = start + payload + b'\r\n'
        is_full = 0 < self._max_pending_size < self._pending_data_size + len(command)
        if size > self._max_payload or is_full:
            return False
        self.stats['out_msgs'] += 1
        self.stats['out_bytes'] += len(payload)
        self._pending.append(command)
        self._pending_data_size += len(command)
        if queue.empty():
            queue.put_nowait(asyncio.get_running_loop().create_future())
        return True

    async def publish(
        self,
        subject: str,
        payload: bytes = b'',
        reply: str = '',
        headers: dict[str, str] | None = None,
    ) -> None:
        """Count the headers, too: the server would close the connection."""
        if headers and len(_header_block(headers)) + len(payload) > self._max_payload:
            raise nats.errors.MaxPayloadError
        await super().publish(subject, payload, reply, headers)

    async def _flush_pending(self, *args: Any, **kwargs: Any) -> Any:
        with _unswallowed():
            return await super()._flush_pending(*args, **kwargs)

    async def _process_msg(
        self, sid: int, subject: bytes, reply: bytes, data: bytes, headers: bytes
    ) -> None:
        receive = self.receivers.get(sid)
        if receive is None:
            await super()._process_msg(sid, subject, reply, data, headers)
        else:
            parsed = await self._process_headers(headers) if headers else None
            self.take(receive, subject, reply, data, parsed)

    def take(
        self,
        receive: Receive,
        subject: bytes,
        reply: bytes,
        data: bytes,
        headers: dict[str, str] | None = None,
    ) -> None:
        """Pass a message on to its receiver."""
        self.stats['in_msgs'] += 1
        self.stats['in_bytes'] += len(data)
        try:
            receive(Incoming(subject.decode(), reply.decode(), data, headers))
        except UnicodeDecodeError:
            self._log_dropped(subject)
        except Exception:
            # It would end the read loop.
            logger.exception('a message to %r was not taken', subject)

    def _remove_sub(self, sid: int, max_msgs: int = 0) -> None:
        self.receivers.pop(sid, None)
        super()._remove_sub(sid, max_msgs)

    async def _process_op_err(self, e: Exception) -> None:
        self.lost_because = e
        await super()._process_op_err(e)

    async def _process_err(self, err_msg: str) -> None:
        """Reconnect where nats-py closes for good, and a new connection may do."""
        if not (self.is_connected and _PASSES.search(err_msg)):
            await super()._process_err(err_msg)
            return
        await self._process_op_err(nats.errors.Error('nats: ' + err_msg.strip("'")))

    async def _attempt_reconnect(self) -> None:
        abort_soon(self)  # nats-py waits until what is unsent is sent, however long that takes
        await super()._attempt_reconnect()

    async def _connect_to_server(self, s: Srv) -> None:
        # Of an attempt that failed late: nats-py leaves its socket open and its tasks running.
        for task in (self._reading_task, self._ping_interval_task, self._flusher_task):
            if task is not None:
                task.cancel()
        await drop(self)
        with _as_expected():
            await super()._connect_to_server(s)

    async def _process_connect_init(self) -> None:
        try:
            with _as_expected():
                await super()._process_connect_init()
        except BaseException:
            abort(self)  # nats-py leaves it open, or waits long for a silent peer to close it, too
            raise

    async def _process_info(
        self,
        info: dict[str, Any],
        initial_connection: bool = False,  # noqa: FBT001, FBT002 -- nats-py has it so
    ) -> None:
        if initial_connection and self._wants_tls():
            if not (info.get('tls_required') or info.get('tls_available')):
                raise nats.errors.SecureConnWantedError
            # nats-py would go on in clear where the server only offers TLS. By the time one
            # could check that from outside, the password has been sent.
            info['tls_required'] = True
        await super()._process_info(info, initial_connection)

    def _setup_nkeys_connect(self) -> None:
        use_keys(self)

    def _wants_tls(self) -> bool:
        """If TLS was asked for and isn't there yet."""
        if self._current_server is None or self.options['tls_handshake_first']:
            return False
        scheme = self._current_server.uri.scheme
        return scheme == 'tls' or (scheme not in _WEBSOCKET and 'tls' in self.options)

    async def _process_pong(self) -> None:
        """Take an answer that nobody waits for any more: it would end the read loop."""
        if self._pongs and self._pongs[0].done():
            self._pongs[0] = asyncio.get_running_loop().create_future()
        await super()._process_pong()

    async def _process_headers(self, headers: bytes) -> dict[str, str] | None:
        """Take broken headers for none: the error would end the read loop."""
        try:
            return await super()._process_headers(headers)
        except (ValueError, IndexError):
            await self._error_cb(nats.errors.Error('ignored the headers of a message: broken'))
            return None

    def _build_message(  # pyright: ignore[reportIncompatibleMethodOverride] -- nats-py knows None
        self, sid: int, subject: bytes, reply: bytes, data: bytes, headers: dict[str, str] | None
    ) -> Msg | None:
        """Drop a message whose subject isn't UTF-8: the error would end the read loop."""
        try:
            message: Msg | None = super()._build_message(sid, subject, reply, data, headers)
        except UnicodeDecodeError:
            self._log_dropped(subject)
            return None
        return message

    def _log_dropped(self, subject: bytes) -> None:
        """Log the first of them only: whoever sends one may send many."""
        if not self._has_dropped:
            self._has_dropped = True
            logger.error('dropped a message whose subject is not UTF-8: %r', subject)


async def subscribe(client: Client, subject: str, receive: Receive) -> Subscription:
    """Have `receive` called with each message, as it comes. It must not raise nor block."""

    async def on_message(msg: Msg) -> None:
        receive(msg)

    subscription = await client.subscribe(
        subject, cb=on_message, pending_msgs_limit=0, pending_bytes_limit=0
    )
    if isinstance(client, WalnatsClient):
        client.receivers[subscription._id] = receive  # noqa: SLF001 -- its name on the wire
    return subscription


async def stop_sending(client: Client, subscription: Subscription) -> None:
    """Tell the server to send no more; what it has sent by then still comes.

    `Subscription.drain` does that too, but its PING goes out in front of its UNSUB.
    """
    await client._send_unsubscribe(subscription._id)  # noqa: SLF001 -- nothing public does it
    pong = await ping(client)
    await asyncio.wait({pong}, timeout=_PONG_TIMEOUT)


def publisher_of(client: Client) -> Callable[..., Awaitable[None]]:
    """Give the function by which a client publishes, and which can be cancelled."""
    if isinstance(client, WalnatsClient):
        return client.publish

    async def publish(*args: Any) -> None:
        with _unswallowed():
            await client.publish(*args)

    return publish


def poster_of(client: Client) -> Callable[..., bool]:
    """Give the function by which a client sends without waiting. It tells whether it could."""
    return client.post if isinstance(client, WalnatsClient) else lambda *_: False


def is_deaf(client: Client) -> bool:
    """If the client says that it is connected, and nobody reads what comes."""
    reading = client._reading_task  # noqa: SLF001 -- nothing public tells that it died
    return client.is_connected and reading is not None and reading.done()


def may_reconnect(client: Client) -> bool:
    """If the client was told to reconnect when the connection is lost."""
    return bool(client.options['allow_reconnect'])


async def ping(client: Client) -> asyncio.Future[Any]:
    """Ask for a sign of life. The future is done when the server has got all that was sent.

    It must not be cancelled: its answer would end the read loop of a plain client, and so does
    `Client.flush` when it's cancelled or too late. That one also sends its PING in front of
    what waits to be sent.
    """
    pong = asyncio.get_running_loop().create_future()
    if client._pending and client._transport is not None:  # noqa: SLF001 -- as said above
        client._transport.writelines(client._pending)  # noqa: SLF001 -- nothing public does it
        client._pending = []  # noqa: SLF001 -- nothing public does it
        client._pending_data_size = 0  # noqa: SLF001 -- nothing public does it
    await client._send_ping(pong)  # noqa: SLF001 -- nothing public does it
    return pong


@contextlib.contextmanager
def overhear_errors(client: Client, hear: Callable[[Exception], object]) -> Iterator[None]:
    """Call `hear` with each error that a client tells its own callback."""
    tell = client._error_cb  # noqa: SLF001 -- it's set on connecting, which is over

    async def hear_and_tell(error: Exception) -> None:
        hear(error)
        await tell(error)

    client._error_cb = hear_and_tell  # noqa: SLF001 -- nothing public does it
    try:
        yield
    finally:
        if client._error_cb is hear_and_tell:  # noqa: SLF001 -- nothing public does it
            client._error_cb = tell  # noqa: SLF001 -- nothing public does it


@contextlib.contextmanager
def _unswallowed() -> Iterator[None]:
    """Raise a cancellation that nats-py swallows while it waits for room in its buffer."""
    task = asyncio.current_task()
    before = task.cancelling() if task is not None else 0
    yield
    if task is not None and task.cancelling() > before:
        raise asyncio.CancelledError


def _header_block(headers: dict[str, str]) -> bytes:
    block = 'NATS/1.0\r\n'
    for name, value in headers.items():
        # What is republished may have line breaks in it, from other clients.
        safe = value if value.isprintable() else ' '.join(value.splitlines())
        block += f'{name}: {safe}\r\n'
    return f'{block}\r\n'.encode()


@contextlib.contextmanager
def _as_expected() -> Iterator[None]:
    """Turn an unexpected error into one after which nats-py tries again."""
    try:
        yield
    except _EXPECTED:
        raise
    except Exception as exc:
        raise nats.errors.Error(f'nats: {type(exc).__name__}: {exc}') from exc
