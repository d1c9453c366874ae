from __future__ import annotations

import copy
import dataclasses
import inspect
import pickle
import traceback
from asyncio import CancelledError
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import IntEnum
from fractions import Fraction
from typing import (
    Annotated,
    Any,
    Generic,
    Literal,
    NamedTuple,
    NewType,
    Optional,
    Protocol,
    TypedDict,
    TypeVar,
    Union,
)

import marshmallow
import pytest
import typing_extensions
from hypothesis import given, strategies as st

from walnats import Discard, Event, Limits, Medium, Retention, Storage
from walnats.errors import (
    DeclarationError,
    DeclarationTypeError,
    DecodeError,
    EncodeError,
    SerializerNotFoundError,
)
from walnats.serializers import Serializer
from walnats.types import BaseEvent, EventWithResponse

T = TypeVar('T')
NO_DEFAULT = inspect.Parameter.empty
MOST_SECONDS = 9_223_372_036  # 2**63 nanoseconds
SECRET = 'the-secret-payload'


@dataclass
class User:
    name: str


@dataclass
class Admin(User):
    level: int = 0


@dataclass
class Robot:
    name: str


class Color(IntEnum):
    RED = 1


class Point(NamedTuple):
    x: int


class Row(TypedDict):
    x: int


class OtherRow(typing_extensions.TypedDict):
    x: int


class UserSchema(marshmallow.Schema):
    name = marshmallow.fields.Str()


class Walker(Protocol):
    def walk(self) -> None: ...


class Box(Generic[T]):
    pass


UserId = NewType('UserId', int)
FancyId = NewType('FancyId', UserId)
Alias = typing_extensions.TypeAliasType('Alias', Union[int, str])  # noqa: UP007 -- the older way
Listed = typing_extensions.TypeAliasType('Listed', list[T], type_params=(T,))


class AnySerializer(Serializer[Any]):
    """Takes whatever the event lets through."""

    def encode(self, message: Any) -> bytes:
        return repr(message).encode()

    def decode(self, data: bytes) -> Any:
        return data


class EqualSerializer(AnySerializer):
    """Equal to its like, and so not hashable."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, EqualSerializer)

    __hash__ = None  # type: ignore[assignment] # pyright: ignore[reportAssignmentType] -- wrong on purpose


class ForeignError(Exception):
    """An error of the user's own serializer."""


class FailingSerializer(Serializer[Any]):
    """Raises what it is told to, as a serializer of somebody else may."""

    def __init__(self, error: BaseException) -> None:
        self.error = error

    def encode(self, message: Any) -> bytes:
        raise self.error

    def decode(self, data: bytes) -> Any:
        raise self.error


class EndlessSerializer(AnySerializer):
    """Recurses until Python has enough."""

    def encode(self, message: Any) -> bytes:
        return self.encode([message])

    def decode(self, data: bytes) -> Any:
        return self.decode(data + b'x')


# --- What is declared --------------------------------------------------------


def describe_signature(cls: Callable[..., object]) -> list[tuple[str, bool, object]]:
    return [
        (param.name, param.kind is param.KEYWORD_ONLY, param.default)
        for param in inspect.signature(cls).parameters.values()
    ]


def test_arguments_of_event() -> None:
    assert describe_signature(Event) == [
        ('name', False, NO_DEFAULT),
        ('schema', False, NO_DEFAULT),
        ('serializer', False, None),
        ('description', False, None),
        ('limits', False, Limits()),
        ('storage', True, Storage()),
    ]


def test_arguments_of_limits() -> None:
    names = ['age', 'consumers', 'messages', 'bytes', 'message_size']
    assert describe_signature(Limits) == [(name, False, None) for name in names]


def test_arguments_of_storage() -> None:
    assert describe_signature(Storage) == [
        ('retention', True, Retention.INTEREST),
        ('medium', True, Medium.FILE),
        ('replicas', True, 1),
        ('discard', True, Discard.OLD),
        ('compression', True, False),
        ('dedup_window', True, 120.0),
    ]


def test_enums_have_the_words_of_nats() -> None:
    values = {member.value for enum in (Retention, Medium, Discard) for member in enum}
    assert values == {'interest', 'limits', 'file', 'memory', 'old', 'new'}


@pytest.mark.parametrize(
    ('declaration', 'field'),
    [
        (Event('counted', int), 'name'),
        (Event('counted', int).with_response(str), 'response_schema'),
        (Limits(), 'age'),
        (Storage(), 'replicas'),
    ],
)
def test_a_declaration_never_changes(declaration: object, field: str) -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(declaration, field, 1)


def test_names_of_subject_and_stream() -> None:
    event = Event('users.created', int)
    assert event.subject_name == 'users.created'
    assert event.stream_name == 'users-created'


def test_the_same_declaration_made_twice_is_equal() -> None:
    def declare(description: str = 'somebody signed up') -> Event[User]:
        return Event('user-created', User, None, description, Limits(age=9), storage=Storage())

    assert declare() == declare()
    assert hash(declare()) == hash(declare())
    assert declare() != declare('somebody left')
    assert declare().with_response(int) == declare().with_response(int)
    others: list[object] = [declare().with_response(str), declare(), 'user-created']
    assert declare().with_response(int) not in others


def test_it_is_hashable_whatever_it_holds() -> None:
    schema = Annotated[int, ['not hashable']]
    events = {
        Event[int]('a', schema, EqualSerializer()),
        Event[int]('a', schema, EqualSerializer()),
    }
    assert len(events) == 1
    assert len({event.with_response(schema, EqualSerializer()) for event in events}) == 1


def test_what_is_built_at_creation_is_in_no_repr() -> None:
    text = repr(Event('counted', int).with_response(str))
    assert text.startswith("EventWithResponse(name='counted', schema=<class 'int'>")
    assert text.endswith("response_schema=<class 'str'>, response_serializer=None)")


def send_to_process(thing: Any) -> Any:
    return pickle.loads(pickle.dumps(thing))  # noqa: S301 -- it's our own


@pytest.mark.parametrize('clone', [copy.copy, copy.deepcopy, send_to_process])
def test_it_can_be_copied_and_sent_to_another_process(clone: Callable[[Any], Any]) -> None:
    event = Event('user-created', User, limits=Limits(age=9)).with_response(int)
    cloned = clone(event)
    assert cloned == event
    assert cloned.decode(cloned.encode(User('Ann'))) == User('Ann')
    assert cloned.decode_response(cloned.encode_response(7)) == 7


def test_replace_makes_another_event() -> None:
    event: Event[Any] = Event('counted', int)
    replaced = dataclasses.replace(event, name='named', schema=str)
    assert replaced == Event[Any]('named', str)
    assert replaced.decode(replaced.encode('Ann')) == 'Ann'


# --- What is refused ---------------------------------------------------------

huge = pytest.param(10**5000, id='huge')
NOT_INTEGERS = [True, 1.0, '1', Decimal(1), [1], float('nan')]
NOT_SECONDS = [True, False, '1', timedelta(1), Decimal(1), Fraction(1), 1j, [1]]


@pytest.mark.parametrize('field', ['consumers', 'messages', 'bytes', 'message_size'])
@pytest.mark.parametrize('value', NOT_INTEGERS)
def test_limit_that_is_no_integer(field: str, value: object) -> None:
    with pytest.raises(DeclarationTypeError, match=f'Limits: {field} must be an integer') as caught:
        Limits(**{field: value})  # type: ignore[arg-type] # pyright: ignore[reportArgumentType] -- wrong on purpose
    assert isinstance(caught.value, TypeError)
    assert f'it is {value!r} ({type(value).__name__})' in str(caught.value)


@pytest.mark.parametrize('field', ['consumers', 'messages', 'bytes', 'message_size'])
@pytest.mark.parametrize('value', [0, -1, 2**63, huge])
def test_limit_out_of_range(field: str, value: int) -> None:
    with pytest.raises(DeclarationError, match=f'Limits: {field} must be .* None for no limit'):
        Limits(**{field: value})


def test_biggest_limits_that_nats_takes() -> None:
    most = 2**63 - 1
    assert Limits(MOST_SECONDS, most, most, most, 2**31 - 1).bytes == most
    with pytest.raises(
        DeclarationError, match='message_size must be an integer from 1 to 2147483647'
    ):
        Limits(message_size=2**31)


def declare_with_age(age: Any) -> float | None:
    return Limits(age=age).age


def declare_with_window(window: Any) -> float | None:
    return Storage(dedup_window=window).dedup_window


seconds_fields = pytest.mark.parametrize(
    ('declare', 'field'),
    [(declare_with_age, 'Limits: age'), (declare_with_window, 'Storage: dedup_window')],
)


@seconds_fields
@pytest.mark.parametrize('value', NOT_SECONDS)
def test_seconds_that_are_no_number(
    declare: Callable[[Any], float | None], field: str, value: object
) -> None:
    with pytest.raises(DeclarationTypeError, match=f'{field} must be a number of seconds'):
        declare(value)


@seconds_fields
@pytest.mark.parametrize('value', [0, -1, 0.0999, float('nan'), float('inf'), 1e10, huge])
def test_seconds_out_of_range(
    declare: Callable[[Any], float | None], field: str, value: float
) -> None:
    with pytest.raises(DeclarationError, match=f'{field} must be .* from 0.1 to {MOST_SECONDS}'):
        declare(value)


@seconds_fields
@given(value=st.floats() | st.integers())
def test_seconds_are_taken_exactly_if_they_fit(
    declare: Callable[[Any], float | None], field: str, value: float
) -> None:
    if 0.1 <= value <= MOST_SECONDS:
        assert declare(value) == value
        assert int(value * 10**9) < 2**63
        return
    with pytest.raises(DeclarationError, match=field):
        declare(value)


@pytest.mark.parametrize(
    ('field', 'value', 'rule'),
    [
        ('retention', 'limits', 'must be one of Retention.INTEREST, Retention.LIMITS'),
        ('retention', Medium.FILE, 'must be one of Retention.INTEREST'),
        ('retention', None, 'must be one of Retention.INTEREST'),
        ('medium', 'file', 'must be one of Medium.FILE, Medium.MEMORY'),
        ('discard', True, 'must be one of Discard.OLD, Discard.NEW'),
        ('compression', 1, 'must be True or False'),
        ('compression', None, 'must be True or False'),
        ('replicas', 0, 'must be an integer from 1 to 5'),
        ('replicas', 6, 'must be an integer from 1 to 5'),
        ('replicas', True, 'must be an integer from 1 to 5'),
        ('replicas', None, 'must be an integer from 1 to 5'),
        ('dedup_window', None, 'must be a number of seconds'),
    ],
)
def test_bad_storage(field: str, value: object, rule: str) -> None:
    with pytest.raises(DeclarationError, match=f'Storage: {field} {rule}.*; it is') as caught:
        Storage(**{field: value})  # type: ignore[arg-type] # pyright: ignore[reportArgumentType] -- wrong on purpose
    assert repr(value) in str(caught.value)


def test_evolve_changes_some_limits() -> None:
    limits = Limits(age=60, messages=5)
    assert limits.evolve(age=None, bytes=7) == Limits(messages=5, bytes=7)
    assert limits.evolve() == limits == Limits(age=60, messages=5)
    with pytest.raises(DeclarationError, match='Limits: age'):
        limits.evolve(age=0)
    with pytest.raises(TypeError, match='years'):
        limits.evolve(years=1)  # type: ignore[call-arg] # pyright: ignore[reportCallIssue] -- wrong on purpose


@pytest.mark.parametrize(
    ('field', 'value', 'rule'),
    [
        ('schema', 'User', 'must be a type'),
        ('schema', User('Ann'), 'must be a type'),
        ('schema', 5, 'must be a type'),
        ('schema', (int, str), 'must be a type'),
        ('schema', T, 'must be a type'),
        ('serializer', AnySerializer, 'must be an instance of a subclass of walnats.serializers.S'),
        ('serializer', pickle, 'must be an instance of a subclass of walnats.serializers.S'),
        ('serializer', '', 'must be an instance of a subclass of walnats.serializers.S'),
        ('description', b'text', 'must be a string or None'),
        ('description', 'x' * 4097, 'must be at most 4096 bytes of UTF-8, these are 4097'),
        ('description', 'ä' * 2049, 'must be at most 4096 bytes of UTF-8, these are 4098'),
        ('description', '\ud800', 'must be valid Unicode'),
        ('limits', None, r'must be an instance of Limits, such as Limits\(age=3600\)'),
        ('limits', 60, r'must be an instance of Limits, such as Limits\(age=3600\)'),
        ('limits', Limits, r'must be an instance of Limits, such as Limits\(age=3600\)'),
        ('storage', Retention.LIMITS, 'must be an instance of Storage, such as Storage'),
    ],
)
def test_bad_field_of_an_event(field: str, value: object, rule: str) -> None:
    values: dict[str, Any] = {'name': 'user-created', 'schema': User, field: value}
    with pytest.raises(DeclarationError, match=f"event 'user-created': {field} {rule}") as caught:
        Event(**values)
    assert f'it is {value!r}'[:70] in str(caught.value)


def test_longest_description() -> None:
    assert Event('a', int, None, 'ä' * 2048).description == 'ä' * 2048
    assert Event('a', int, description='').description == ''


def test_response_is_checked_too() -> None:
    bad: Any = 'int'
    with pytest.raises(
        DeclarationTypeError, match="event 'counted': response_schema must be a type"
    ):
        Event('counted', int).with_response(bad)
    with pytest.raises(DeclarationTypeError, match="event 'counted': response_serializer must be"):
        Event('counted', int).with_response(int, bad)


def test_schema_without_a_serializer() -> None:
    with pytest.raises(SerializerNotFoundError, match="event 'user-created': ") as caught:
        Event('user-created', Box)
    assert isinstance(caught.value, LookupError)
    assert Event('user-created', Box, AnySerializer()).schema is Box


def test_value_whose_repr_fails() -> None:
    class Broken:
        def __repr__(self) -> str:
            raise ForeignError

    with pytest.raises(DeclarationTypeError, match='it is <Broken: its repr raises ForeignError>'):
        Limits(age=Broken())  # type: ignore[arg-type] # pyright: ignore[reportArgumentType] -- wrong on purpose


# --- Encoding and decoding ---------------------------------------------------

NOW = datetime(2013, 1, 1, tzinfo=UTC)
TODAY = date(2013, 1, 1)
MATCHES: list[tuple[Any, list[object], list[object]]] = [
    (User, [User('Ann'), Admin('Bob')], [Robot('R2'), 'Ann', None, User, {'name': 'Ann'}]),
    (int, [1, Color.RED, 2**70], [True, 1.0, '1', None]),
    (float, [1.5, 1], [True, '1', 1j]),
    (bool, [True], [1, None]),
    (str, ['a'], [b'a', None]),
    (bytes, [b'a'], ['a', bytearray(b'a')]),
    (datetime, [NOW], [TODAY, '2013-01-01', 0]),
    (date, [TODAY], [NOW, '2013-01-01']),
    (None, [None], [0, '']),
    (object, [None, 1, True], []),
    (Any, [None, 1, True, NOW], []),
    (int | bool, [1, True], ['a']),
    (Union[int, Any], [1, True, 'a'], []),  # noqa: UP007 -- the older way
    (date | datetime, [TODAY, NOW], ['a']),
    (User | Robot, [User('Ann'), Admin('Bob'), Robot('R2')], [1, None]),
    (Union[User, int, None], [User('Ann'), 1, None], [True, 'a']),  # noqa: UP007 -- the older way
    (Optional[int], [1, None], [True, 'a']),  # noqa: UP045 -- the older way
    (list, [[]], [(), {}]),
    (list[User], [[User('Ann')], []], [User('Ann'), (), None]),
    (list[int] | dict[str, int], [[1], {}], [(), 1]),
    (Sequence[int], [[1], (1,)], [1, {}]),
    (Mapping[str, int], [{}], [[]]),
    (tuple[int, ...], [(1,), Point(1)], [[1]]),
    (Point, [Point(1)], [(1,)]),
    (Row, [{'x': 1}], [1, [], None]),
    (OtherRow, [{'x': 1}], [1, []]),
    (UserId, [1], ['1', True]),
    (FancyId, [1], ['1']),
    (Annotated[int, 'positive'], [1], ['1', True]),
    (Annotated[int | str, 'short'], [1, '1'], [1.0]),
    (Literal['a', 'b'], ['a'], [1]),
    (Alias, [1, 'a'], [1.0]),
    (Listed[int], [[1]], [1]),
    (Box[int], [Box()], [1]),
    (Walker, [1], []),
    (UserSchema, [{'name': 'Ann'}], []),
]


@pytest.mark.parametrize(('schema', 'good', 'bad'), MATCHES)
def test_a_message_must_be_an_instance_of_the_schema(
    schema: Any, good: list[object], bad: list[object]
) -> None:
    event = Event[Any]('happened', schema, AnySerializer())
    for message in good:
        assert event.encode(message) == repr(message).encode()
    for message in bad:
        kind = type(message).__name__
        with pytest.raises(EncodeError, match=f"event 'happened': .* must be .*, not {kind}$"):
            event.encode(message)


def test_error_about_a_wrong_message_names_types_but_no_values() -> None:
    robot: Any = Robot(SECRET)
    with pytest.raises(EncodeError) as caught:
        Event('user-created', User).encode(robot)
    expected = "event 'user-created': can't encode the message: the message must be User, not Robot"
    assert str(caught.value) == expected
    assert caught.value.event == 'user-created'
    assert isinstance(caught.value, TypeError)


def test_classes_of_the_same_name_are_told_apart() -> None:
    impostor: Any = type('User', (), {'__module__': 'elsewhere'})
    expected = rf'must be {User.__module__}\.User, not elsewhere\.User$'
    with pytest.raises(EncodeError, match=expected):
        Event('user-created', User).encode(impostor())


@pytest.mark.parametrize(
    ('schema', 'message'),
    [
        (User, User('Ann')),
        (int, 1),
        (float, 1.5),
        (str, 'Ann'),
        (bytes, b'Ann'),
        (datetime, NOW),
        (None, None),
        (list[User], [User('Ann')]),
        (User | int, User('Ann')),
        (User | int, 1),
        (Optional[User], None),  # noqa: UP045 -- the older way
        (Row, {'x': 1}),
        (UserId, 1),
        (Point, Point(1)),
        (UserSchema, {'name': 'Ann'}),
        (Annotated[int, 'positive'], 1),
        (Literal['a', 'b'], 'a'),
        (dict[str, list[int]], {'a': [1]}),
    ],
)
def test_round_trip(schema: Any, message: object) -> None:
    event = Event[Any]('happened', schema)
    assert event.decode(event.encode(message)) == message
    with_response = Event('asked', int).with_response(schema)
    assert with_response.decode_response(with_response.encode_response(message)) == message


def test_wrong_response() -> None:
    event = Event('user-created', User).with_response(int)
    with pytest.raises(
        EncodeError, match=r"event 'user-created': .* response must be int, not str"
    ):
        event.encode_response(SECRET)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType] -- wrong on purpose
    with pytest.raises(DecodeError, match="event 'user-created'"):
        event.decode_response(b'[')


def test_undecodable_payload() -> None:
    with pytest.raises(DecodeError, match=r"^event 'user-created': can't decode") as caught:
        Event('user-created', User).decode(f'"{SECRET}'.encode())
    assert caught.value.event == 'user-created'
    assert isinstance(caught.value, ValueError)
    assert SECRET not in ''.join(traceback.format_exception(caught.value))


@pytest.mark.parametrize('error', [EncodeError('no'), EncodeError('no', event='x', position=3)])
def test_encode_error_of_a_serializer_gets_the_name(error: EncodeError) -> None:
    with pytest.raises(EncodeError, match="event 'user-created'") as caught:
        Event('user-created', User, FailingSerializer(error)).encode(User('Ann'))
    assert caught.value is error


@pytest.mark.parametrize('error', [DecodeError('no'), DecodeError('no', position=3)])
def test_decode_error_of_a_serializer_gets_the_name(error: DecodeError) -> None:
    with pytest.raises(DecodeError, match="event 'user-created'") as caught:
        Event('user-created', User, FailingSerializer(error)).decode(b'')
    assert caught.value is error


@pytest.mark.parametrize(
    'error',
    [
        TypeError(SECRET),
        ValueError(SECRET),
        KeyError(SECRET),
        MemoryError(SECRET),
        ForeignError(SECRET),
    ],
)
def test_other_errors_of_a_serializer_keep_the_payload_out_of_logs(error: Exception) -> None:
    event = Event('user-created', User, FailingSerializer(error))
    with pytest.raises(EncodeError) as encoding:
        event.encode(User(SECRET))
    with pytest.raises(DecodeError) as decoding:
        event.decode(SECRET.encode())
    for caught, verb in ((encoding.value, 'encode'), (decoding.value, 'decode')):
        assert caught.event == 'user-created'
        assert f'FailingSerializer.{verb} raised {type(error).__name__} at test_event.py:' in str(
            caught
        )
        assert SECRET not in ''.join(traceback.format_exception(caught))
        assert caught.__context__ is error


def test_endless_recursion_of_a_serializer() -> None:
    event = Event('user-created', User, EndlessSerializer())
    with pytest.raises(EncodeError, match=r'EndlessSerializer\.encode raised RecursionError'):
        event.encode(User('Ann'))
    with pytest.raises(DecodeError, match=r'EndlessSerializer\.decode raised RecursionError'):
        event.decode(b'')


@pytest.mark.parametrize('error', [CancelledError(), KeyboardInterrupt(), SystemExit()])
def test_what_is_no_failure_of_the_serializer_passes(error: BaseException) -> None:
    event = Event('user-created', User, FailingSerializer(error))
    with pytest.raises(type(error)):
        event.encode(User('Ann'))
    with pytest.raises(type(error)):
        event.decode(b'')


@pytest.mark.parametrize('result', [None, 'text', bytearray(b'a'), memoryview(b'a'), 1])
def test_serializer_that_gives_no_bytes(result: object) -> None:
    class Wrong(AnySerializer):
        def encode(self, message: Any) -> bytes:
            return result  # type: ignore[return-value] # pyright: ignore[reportReturnType] -- wrong on purpose

    kind = type(result).__name__
    with pytest.raises(EncodeError, match=rf'Wrong\.encode must return bytes, not {kind}$'):
        Event('user-created', User, Wrong()).encode(User('Ann'))


# --- Events with a response --------------------------------------------------


def test_with_response_is_the_same_event() -> None:
    serializer = AnySerializer()
    event = Event('a.b', User, serializer, 'text', Limits(age=9), storage=Storage(replicas=3))
    answered = event.with_response(int, AnySerializer())
    assert isinstance(answered, EventWithResponse)
    assert isinstance(answered, BaseEvent)
    for field in ('name', 'schema', 'serializer', 'description', 'limits', 'storage'):
        assert getattr(answered, field) == getattr(event, field)
    assert (answered.subject_name, answered.stream_name) == ('a.b', 'a-b')
    assert answered.encode(User('Ann')) == event.encode(User('Ann'))
    assert answered.encode_response(5) == b'5'
    assert answered.decode_response(b'x') == b'x'
