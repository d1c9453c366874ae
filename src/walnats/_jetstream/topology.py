"""Streams and consumers on the server: read, compare, and change only what differs."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from ..errors import (
    ConsumerConfigError,
    ConsumerNotFoundError,
    JetStreamDisabledError,
    JetStreamError,
    StreamConfigError,
    StreamExistsError,
    StreamNotFoundError,
)
from . import api, settings
from .settings import Change

if TYPE_CHECKING:
    from .._actor import Actor
    from .connection import Connection
    from .settings import Config, Difference

logger = logging.getLogger('walnats.register')

_RACES = 3


async def register_stream(
    connection: Connection, wanted: Config, *, create: bool = True, update: bool = True
) -> None:
    """Create the stream, or bring it to the wanted settings; do only what is allowed.

    :raises StreamExistsError: it differs and `update` is False, or it takes another event.
    :raises StreamNotFoundError: it doesn't exist and `create` is False.
    :raises StreamConfigError: the server refuses the settings.
    """
    current = await _read_or_create(connection, wanted, create=create)
    if current is None:
        return
    differences = settings.stream_differences(current, wanted)
    if not differences:
        return
    if not update:
        raise _stream_exists(wanted['name'], differences)
    await _update_stream(connection, current, differences)


async def ensure_stream(connection: Connection, wanted: Config) -> None:
    """Create the stream if there is none; an existing one is left as it is.

    :raises StreamExistsError: it takes another event.
    :raises StreamConfigError: the server refuses the settings.
    """
    await _read_or_create(connection, wanted, create=True)


async def register_consumer(connection: Connection, actor: Actor[Any, Any]) -> None:
    """Create the actor's consumer, or bring it to the declared settings.

    :raises ConsumerConfigError: the server refuses the settings, or their change.
    :raises StreamNotFoundError: the event has no stream.
    """
    error, differences = await _apply_consumer(connection, actor)
    for _ in range(_RACES):
        if error is None or error.err_code not in api.CONSUMER_RACE:
            break
        error, differences = await _apply_consumer(connection, actor)
    if error is not None:
        raise _consumer_error(error, actor, differences)
    _log_changes(f"actor '{actor.name}' of event '{actor.event.name}'", differences)


async def plan_stream(
    connection: Connection, wanted: Config, *, update: bool = True
) -> Change | None:
    """Give what `register_stream` would do, None for nothing; without `update`, `ensure_stream`."""
    name = wanted['name']
    current = await read_stream(connection, name)
    if current is None:
        return Change(name)
    try:
        _check_takes_event(current, wanted)
    except StreamExistsError as exc:
        return Change(name, refused=str(exc))
    differences = settings.stream_differences(current, wanted) if update else []
    return _planned(name, None, differences)


async def plan_consumer(connection: Connection, actor: Actor[Any, Any]) -> Change | None:
    """Give what `register_consumer` would do, None for nothing."""
    stream, name = actor.event.stream_name, actor.consumer_name
    try:
        current = await read_consumer(connection, actor)
    except StreamNotFoundError:
        current = None  # it would be created before
    if current is None:
        return Change(stream, name)
    try:
        _check_is_pulled(current, actor)
    except ConsumerConfigError as exc:
        return Change(stream, name, refused=str(exc))
    wanted = settings.actor_consumer(actor)
    return _planned(stream, name, settings.consumer_differences(current, wanted))


async def read_stream(connection: Connection, name: str) -> Config | None:
    """Give the settings of the stream, None if there is no such stream."""
    answer = await api.call(connection, f'STREAM.INFO.{name}')
    if answer.error is None:
        return answer.config
    if answer.error.err_code == api.STREAM_NOT_FOUND:
        return None
    raise _api_error(answer.error, f"stream '{name}' can't be read", JetStreamError)


async def read_consumer(connection: Connection, actor: Actor[Any, Any]) -> Config | None:
    """Give the settings of the actor's consumer, None if there is no such consumer."""
    stream = actor.event.stream_name
    answer = await api.call(connection, f'CONSUMER.INFO.{stream}.{actor.consumer_name}')
    if answer.error is None:
        return answer.config
    if answer.error.err_code == api.CONSUMER_NOT_FOUND:
        return None
    if answer.error.err_code == api.STREAM_NOT_FOUND:
        raise StreamNotFoundError(
            f"actor '{actor.name}': event '{actor.event.name}' has no stream; call `register`"
        )
    raise _api_error(answer.error, f"actor '{actor.name}' can't be read", JetStreamError)


async def consumer_exists(connection: Connection, actor: Actor[Any, Any]) -> bool:
    """If the actor's consumer is there."""
    try:
        return await read_consumer(connection, actor) is not None
    except StreamNotFoundError:
        return False


async def read_consumer_state(connection: Connection, actor: Actor[Any, Any]) -> api.Answer:
    """Give the numbers of the actor's consumer: what is unsettled, and what waits."""
    name = f'{actor.event.stream_name}.{actor.consumer_name}'
    return await api.call(connection, f'CONSUMER.INFO.{name}')


async def remove_consumer(connection: Connection, stream: str, name: str) -> bool:
    """Remove a consumer; False if there is none."""
    answer = await api.call(connection, f'CONSUMER.DELETE.{stream}.{name}')
    if answer.error is None:
        return True
    if answer.error.err_code in (api.CONSUMER_NOT_FOUND, api.STREAM_NOT_FOUND):
        return False
    raise _api_error(answer.error, f"actor '{name}' can't be removed", JetStreamError)


def consumer_not_found(actor: Actor[Any, Any]) -> ConsumerNotFoundError:
    """Say that the actor has no consumer."""
    return ConsumerNotFoundError(
        f"actor '{actor.name}' of event '{actor.event.name}' has no consumer on the server; "
        'call `register` before `listen`'
    )


async def _read_or_create(connection: Connection, wanted: Config, *, create: bool) -> Config | None:
    """Give the settings of the stream that is there, None if it was created as wanted."""
    name = wanted['name']
    for _ in range(_RACES):
        current = await read_stream(connection, name)
        if current is not None:
            _check_takes_event(current, wanted)
            return current
        if not create:
            raise StreamNotFoundError(
                f"stream '{name}' does not exist; call `register` with create=True"
            )
        error = (await api.call(connection, f'STREAM.CREATE.{name}', wanted)).error
        if error is None:
            return None
        if error.err_code != api.STREAM_IN_USE:
            raise _api_error(error, f"stream '{name}' can't be created", StreamConfigError)
    raise StreamConfigError(f"stream '{name}' is there and not there by turns: try again")


def _planned(stream: str, consumer: str | None, differences: list[Difference]) -> Change | None:
    if not differences:
        return None
    fixed = ', '.join(each.name for each in differences if each.is_refused)
    refused = f"the server doesn't change {fixed} of what is there" if fixed else None
    return Change(stream, consumer, tuple(differences), refused)


async def _update_stream(
    connection: Connection, current: Config, differences: list[Difference]
) -> None:
    name = current['name']
    config = settings.changed(current, differences)
    answer = await api.call(connection, f'STREAM.UPDATE.{name}', config)
    if answer.error is not None:
        what = '; '.join(map(str, differences))
        raise _api_error(
            answer.error, f"stream '{name}' can't be changed ({what})", StreamConfigError
        )
    _log_changes(f"stream '{name}'", differences)


async def _apply_consumer(
    connection: Connection, actor: Actor[Any, Any]
) -> tuple[api.ApiError | None, list[Difference]]:
    """Create the consumer, or change what differs. Give why that's refused, and what differs."""
    wanted = settings.actor_consumer(actor)
    current = await read_consumer(connection, actor)
    if current is None:
        config = settings.new_consumer(actor.consumer_name, wanted)
        return await _put_consumer(connection, actor, config, 'create'), []
    _check_is_pulled(current, actor)
    differences = settings.consumer_differences(current, wanted)
    if not differences:
        return None, []
    config = settings.changed(current, differences)
    return await _put_consumer(connection, actor, config, 'update'), differences


async def _put_consumer(
    connection: Connection, actor: Actor[Any, Any], config: Config, action: str
) -> api.ApiError | None:
    stream = actor.event.stream_name
    body = {'stream_name': stream, 'config': config, 'action': action}
    method = f'CONSUMER.CREATE.{stream}.{actor.consumer_name}'
    return (await api.call(connection, method, body)).error


def _consumer_error(
    error: api.ApiError, actor: Actor[Any, Any], differences: list[Difference]
) -> JetStreamError:
    what = f' ({"; ".join(map(str, differences))})' if differences else ''
    return _api_error(
        error,
        f"actor '{actor.name}' of event '{actor.event.name}' can't be registered{what}",
        ConsumerConfigError,
    )


def _check_is_pulled(current: Config, actor: Actor[Any, Any]) -> None:
    target = current.get('deliver_subject')
    if target:
        raise ConsumerConfigError(
            f"actor '{actor.name}' of event '{actor.event.name}' can't be registered: there is a "
            f"consumer of this name that pushes messages to '{target}', which can't be changed; "
            'rename the actor, or remove the consumer'
        )


def _check_takes_event(current: Config, wanted: Config) -> None:
    subject = wanted['subjects'][0]
    if not settings.takes(current.get('subjects', []), subject):
        raise StreamExistsError(
            f"stream '{wanted['name']}' doesn't take '{subject}' but "
            f'{current.get("subjects", [])}: it belongs to something else; rename the event'
        )


def _stream_exists(name: str, differences: list[Difference]) -> StreamExistsError:
    what = '; '.join(map(str, differences))
    return StreamExistsError(
        f"stream '{name}' exists with other settings ({what}); "
        'call `register` with update=True to change them'
    )


def _api_error(
    error: api.ApiError | None, problem: str, kind: type[JetStreamError]
) -> JetStreamError:
    error = error or api.ApiError(description='no reason given')
    if error.err_code in api.DISABLED:
        kind = JetStreamDisabledError
    return kind(
        f'{problem}: {error.description} (error {error.err_code})',
        code=error.code,
        err_code=error.err_code,
        description=error.description,
    )


def _log_changes(what: str, differences: list[Difference]) -> None:
    for difference in differences:
        logger.info('%s: %s', what, difference)
