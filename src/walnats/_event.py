"""What an event is: its name, the shape of its messages and how they are kept."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from enum import Enum
from types import NoneType
from typing import TYPE_CHECKING, Any, Generic, TypedDict, TypeVar, Unpack

from ._checks import INT32_MAX, Fields
from ._codec import Codec, is_schema
from ._names import check_event_name, stream_name
from .serializers import Serializer

if TYPE_CHECKING:
    from typing_extensions import TypeForm

# Both are invariant on purpose: that is what makes a wrong payload in `emit(event, message)`
# an error for type checkers. A covariant T would be widened to fit anything.
T = TypeVar('T')
R = TypeVar('R')

MIN_WINDOW = 0.1
"""Seconds: the shortest age and the shortest deduplication window that NATS takes."""


class Retention(Enum):
    """Until when a message is kept."""

    INTEREST = 'interest'
    """Until every actor of the event has settled it. Without actors it isn't kept at all."""
    LIMITS = 'limits'
    """Until the limits of the event say so: a history."""


class Medium(Enum):
    """Where messages are stored."""

    FILE = 'file'
    MEMORY = 'memory'
    """Lost when the server restarts."""


class Discard(Enum):
    """What happens to messages when the limits are reached."""

    OLD = 'old'
    """The oldest ones are removed."""
    NEW = 'new'
    """New ones are refused: emitting raises StreamFullError."""


class _LimitsChanges(TypedDict, total=False):
    age: float | None
    consumers: int | None
    messages: int | None
    bytes: int | None
    message_size: int | None


@dataclass(frozen=True)
class Limits:
    """How much is kept of an event. None is no limit."""

    age: float | None = None
    """Seconds for which a message is kept, at least 0.1."""
    consumers: int | None = None
    """How many actors the event can have."""
    messages: int | None = None
    """How many messages are kept."""
    bytes: int | None = None
    """How much is kept, in bytes: payloads, headers and what the server adds."""
    message_size: int | None = None
    """How big one message can be, in bytes: payload and headers."""

    def __post_init__(self) -> None:
        """Check the values."""
        rules = Fields('Limits', self)
        rules.seconds('age', least=MIN_WINDOW, unless_none='for no limit')
        for name in ('consumers', 'messages', 'bytes'):
            rules.integer(name, unless_none='for no limit')
        rules.integer('message_size', most=INT32_MAX, unless_none='for no limit')

    def evolve(self, **changes: Unpack[_LimitsChanges]) -> Limits:
        """Give a copy with other values: `limits.evolve(age=3600)`."""
        return replace(self, **changes)


@dataclass(frozen=True, kw_only=True)
class Storage:
    """How the messages of an event are stored."""

    retention: Retention = Retention.INTEREST
    """With INTEREST, a message emitted before any actor was registered is not kept."""
    medium: Medium = Medium.FILE
    """Can't be changed once the stream exists."""
    replicas: int = 1
    """On how many servers of a cluster each message is stored, 1 to 5."""
    discard: Discard = Discard.OLD
    """What happens when the limits `messages` or `bytes` are reached."""
    compression: bool = False
    """Compress what is stored in files."""
    dedup_window: float = 120.0
    """Seconds for which the `uid` of a message is remembered, at least 0.1.

    The age limit of the event caps it.
    """

    def __post_init__(self) -> None:
        """Check the values."""
        rules = Fields('Storage', self)
        rules.member('retention', Retention)
        rules.member('medium', Medium)
        rules.integer('replicas', most=5)
        rules.member('discard', Discard)
        rules.boolean('compression')
        rules.seconds('dedup_window', least=MIN_WINDOW)


@dataclass(frozen=True)
class BaseEvent(Generic[T, R]):
    """What `Event` and `EventWithResponse` share. T is the type of a message, R of a response.

    Two events are equal if all they declare is.
    """

    name: str
    """The name, also the NATS subject."""
    schema: TypeForm[T] = field(hash=False)
    """The type of the messages: a class, a union, `list[User]`, whatever has a serializer."""
    serializer: Serializer[T] | None = field(default=None, hash=False)
    """How messages become bytes. By default it is chosen by the schema."""
    description: str | None = field(default=None, hash=False)
    """What happened when this is emitted, for people. At most 4096 bytes."""
    limits: Limits = field(default=Limits(), hash=False)
    """How much is kept of its messages, and how big one may be."""
    storage: Storage = field(default=Storage(), hash=False, kw_only=True)
    """How they are kept, and until when."""

    _codec: Codec[T] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Check the values, and build what encodes and decodes."""
        check_event_name(self.name)
        # A plain string: a member of an enum of strings formats as something else.
        object.__setattr__(self, 'name', str.__str__(self.name))
        rules = self._rules
        rules.description()
        rules.instance('limits', Limits, 'Limits(age=3600)')
        rules.instance('storage', Storage, 'Storage(retention=Retention.LIMITS)')
        self._build_codec('_codec', 'message', 'schema', 'serializer')

    @property
    def subject_name(self) -> str:
        """The NATS subject that messages are published to: the event's name."""
        return self.name

    @property
    def stream_name(self) -> str:
        """The name of the JetStream stream: the event's, with dots turned into dashes."""
        return stream_name(self.name)

    def encode(self, message: T) -> bytes:
        """Turn a message into the payload that is sent.

        Raises EncodeError, a TypeError, if it isn't what the schema says.
        """
        return self._codec.encode(message)

    def decode(self, data: bytes) -> T:
        """Turn a payload back into a message.

        Raises DecodeError, a ValueError, if it isn't what the schema says.
        """
        return self._codec.decode(data)

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what is built at creation: it can't be pickled or copied."""
        return {spec.name: getattr(self, spec.name) for spec in fields(self) if spec.init}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Build it again."""
        self.__dict__.update(state)
        self.__post_init__()

    @property
    def _rules(self) -> Fields:
        return Fields(f'event {self.name!r}', self)

    def _build_codec(
        self, target: str, what: str, schema_field: str, serializer_field: str
    ) -> None:
        schema, serializer = getattr(self, schema_field), getattr(self, serializer_field)
        if schema is None:  # as in annotations
            schema = NoneType
            object.__setattr__(self, schema_field, schema)
        if not is_schema(schema):
            rule = 'must be a type: a class, a union of classes or one such as list[User]'
            self._rules.reject_type(schema_field, schema, rule)
        if serializer is not None and not isinstance(serializer, Serializer):
            rule = 'must be an instance of a subclass of walnats.serializers.Serializer, or None'
            self._rules.reject_type(serializer_field, serializer, rule)
        object.__setattr__(self, target, Codec(self.name, what, schema, serializer))


@dataclass(frozen=True)
class Event(BaseEvent[T, Any]):
    """Something that happens, with a name and a type.

        USER_CREATED = walnats.Event('user-created', User)

    It does no I/O and can live in a module that services share. A value that can't be raises
    DeclarationError or InvalidNameError at once.
    """

    def with_response(
        self, schema: TypeForm[R], serializer: Serializer[R] | None = None
    ) -> EventWithResponse[T, R]:
        """Give the same event for actors that answer, with what `request` returns.

        :param schema: the type of the response.
        :param serializer: how a response becomes bytes; by default chosen by the schema.
        """
        return EventWithResponse(
            self.name,
            self.schema,
            self.serializer,
            self.description,
            self.limits,
            storage=self.storage,
            response_schema=schema,
            response_serializer=serializer,
        )


@dataclass(frozen=True)
class EventWithResponse(BaseEvent[T, R]):
    """An event whose actors answer. `Event.with_response` makes it."""

    response_schema: TypeForm[R] = field(kw_only=True, hash=False)
    """The type of the response."""
    response_serializer: Serializer[R] | None = field(default=None, kw_only=True, hash=False)
    """How a response becomes bytes. By default it is chosen by the schema."""

    _response_codec: Codec[R] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Check the values, and build what encodes and decodes."""
        super().__post_init__()
        self._build_codec('_response_codec', 'response', 'response_schema', 'response_serializer')

    def encode_response(self, response: R) -> bytes:
        """Turn what a handler returned into the payload of the answer. Raises EncodeError."""
        return self._response_codec.encode(response)

    def decode_response(self, data: bytes) -> R:
        """Turn the payload of an answer into what the handler returned. Raises DecodeError."""
        return self._response_codec.decode(data)
