"""The public class: the services of a system."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..errors import DeclarationTypeError, RegistryError
from . import asyncapi, d2, mermaid
from ._service import Service

if TYPE_CHECKING:
    from typing import Self

    from .._registry import Actors, Events
    from .diagram import Direction


class Services:
    """The services of a system, to be described to people and to programs.

        services = walnats.Services()
        services.add('users', version='1.2.0', emits=walnats.Events(USER_CREATED))
        services.add('emails', defines=walnats.Actors(SEND_EMAIL))
        print(services.get_d2())

    It does no I/O. All it gives is in the order in which the services were added.
    """

    def __init__(self) -> None:
        self._services: dict[str, Service] = {}

    def add(
        self,
        name: str,
        *,
        version: str = '0.0.0',
        emits: Events | None = None,
        defines: Actors | None = None,
    ) -> Self:
        """Add a service, and give the services back.

        :param name: printable ASCII without white space; each service has its own.
        :param version: the version of the service, or of its contract.
        :param emits: the events that it emits.
        :param defines: the actors that it runs.
        :raises InvalidNameError: the name can't be.
        :raises DeclarationError: another argument can't be.
        :raises RegistryError: there is a service of that name, or the name of an event makes
            the same stream as that of another service's event.
        """
        service = Service(name, version, emits, defines)
        if name in self._services:
            raise RegistryError(f'service {name!r} is there already: rename one of them')
        for other in self._services.values():
            _check_streams(service, other)
        self._services[name] = service
        return self

    def get_async_api(self, *, title: str = 'Services', version: str = '0.0.0') -> dict[str, Any]:
        """Describe the whole system as one AsyncAPI 3.1.0 document, ready for `json.dump`.

        Operations are tagged with their service.

        :param title: the title of the document.
        :param version: the version of the document.
        :raises DeclarationTypeError: one of them is no string.
        :raises RegistryError: there are no services.
        """
        _check_text('title', title)
        _check_text('version', version)
        return asyncapi.describe_system(self._all(), title, version)

    def get_async_apis(self) -> list[dict[str, Any]]:
        """Describe each service by an AsyncAPI document of its own.

        Its title and version are those of the service.

        :raises RegistryError: there are no services.
        """
        return [asyncapi.describe_service(service) for service in self._all()]

    def get_d2(self, direction: Direction = 'right', colors: bool = True) -> str:  # noqa: FBT001, FBT002 -- the public contract has it so
        """Draw who emits and who handles what, in the language D2 (https://d2lang.com).

        :param direction: `'right'`, `'left'`, `'up'` or `'down'`.
        :param colors: paint it in the colours of event storming.
        :raises DeclarationError: there is no such direction.
        :raises RegistryError: there are no services.
        """
        return d2.draw(self._all(), direction, colors=colors)

    def get_mermaid(self, direction: Direction = 'right', colors: bool = True) -> str:  # noqa: FBT001, FBT002 -- as in get_d2
        """Draw the same as a Mermaid flowchart, which GitHub and others show in Markdown.

        See `get_d2`.
        """
        return mermaid.draw(self._all(), direction, colors=colors)

    def __repr__(self) -> str:
        return f'Services({", ".join(self._services)})'

    def _all(self) -> list[Service]:
        if not self._services:
            raise RegistryError('Services: there are no services, call `add` first')
        return list(self._services.values())


def _check_text(name: str, value: object) -> None:
    if not isinstance(value, str):
        kind = type(value).__name__
        raise DeclarationTypeError(f'get_async_api: {name} must be a string, not {kind}')


def _check_streams(service: Service, other: Service) -> None:
    names = {event.stream_name: event.name for event in other.events()}
    for event in service.events():
        known = names.get(event.stream_name, event.name)
        if known != event.name:
            raise RegistryError(
                f'service {service.name!r}: event {event.name!r} would share the stream'
                f' {event.stream_name!r} with {known!r} of service {other.name!r}:'
                ' rename one of them'
            )
