"""Health and metrics over HTTP. It answers from the supervisor, also while a handler blocks."""

import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Protocol

from aiohttp import web

from .._worker.loop_watch import THRESHOLD
from ._errors import CommandError
from ._metrics import Metrics
from ._slot import WorkerView

logger = logging.getLogger('walnats.run')

# Seconds that an answer may still take when all is over.
_CLOSE_TIMEOUT = 1.0


class Supervised(Protocol):
    """The workers whose health it is."""

    is_stopping: bool

    def view(self) -> Sequence[WorkerView]: ...


@asynccontextmanager
async def serve_health(
    host: str, port: int, workers: Supervised, metrics: Metrics
) -> AsyncIterator[None]:
    """Serve `/live`, `/ready` and `/metrics` for as long as the context lasts.

    :param port: 0 for a free one; the log says which.
    :raises CommandError: the port can't be listened on.
    """

    async def live(_: web.Request) -> web.Response:
        return _answer(live_problems(workers.view()))

    async def ready(_: web.Request) -> web.Response:
        return _answer(ready_problems(workers.view(), is_stopping=workers.is_stopping))

    async def show_metrics(_: web.Request) -> web.Response:
        text, content_type = metrics.render(workers.view())
        return web.Response(body=text, headers={'Content-Type': content_type})

    app = web.Application()
    app.add_routes(
        [web.get('/live', live), web.get('/ready', ready), web.get('/metrics', show_metrics)]
    )
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=_CLOSE_TIMEOUT)
    await runner.setup()
    try:
        await _listen(runner, host, port)
        yield
    finally:
        await runner.cleanup()


def live_problems(workers: Sequence[WorkerView]) -> list[str]:
    """Say which workers don't run, and whose event loop doesn't turn."""
    problems: list[str] = []
    for each in workers:
        if each.is_over:
            continue
        if each.pid is None:
            problems.append(f'worker {each.number}: its process has ended')
        elif each.silence > THRESHOLD:
            problems.append(
                f'worker {each.number} (pid {each.pid}): its event loop has not turned for '
                f'{each.silence:.0f} s'
            )
    return problems


def ready_problems(workers: Sequence[WorkerView], *, is_stopping: bool) -> list[str]:
    """Say which workers don't get messages, and why."""
    if is_stopping:
        return ['shutting down']
    found = ((each.number, _why_not_ready(each)) for each in workers)
    return [f'worker {number} {problem}' for number, problem in found if problem]


def _why_not_ready(worker: WorkerView) -> str | None:
    if worker.pid is None:
        return 'has no process'
    if worker.report is None:
        return 'is starting'
    if not worker.report.connected:
        return 'is not connected to NATS'
    if not worker.report.listening:
        return 'is not listening'
    return None


def _answer(problems: list[str]) -> web.Response:
    body = {'ok': not problems, 'problems': problems}
    headers = {'Cache-Control': 'no-store'}
    return web.json_response(body, status=503 if problems else 200, headers=headers)


async def _listen(runner: web.AppRunner, host: str, port: int) -> None:
    try:
        await web.TCPSite(runner, host, port).start()
    except OSError as error:
        # asyncio tells the address once more in front of it.
        reason = str(error.strerror or error).rpartition(': ')[2]
        raise CommandError(
            f"--health-port: can't listen on {host}:{port}: {reason}; name another one"
        ) from error
    for address in runner.addresses:
        logger.info('health and metrics: http://%s:%s', *_shown(address))


def _shown(address: tuple[str, int]) -> tuple[str, int]:
    host, port = address[:2]
    return (f'[{host}]' if ':' in host else host), port
