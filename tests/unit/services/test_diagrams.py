"""Diagrams in D2 and Mermaid, byte by byte."""

from __future__ import annotations

from dataclasses import dataclass
from textwrap import dedent

import pytest

from walnats import Actor, Actors, Event, Events, Services


@dataclass
class User:
    name: str


def handle(message: object) -> None:
    pass


CREATED = Event('user-created', User)
MOVED = Event('user.moved', list[User])
SERVICES = (
    Services()
    .add('users', emits=Events(CREATED, MOVED))
    .add('emails', defines=Actors(Actor('welcome', CREATED, handle), Actor('tell', MOVED, handle)))
)


def text(indented: str) -> str:
    return dedent(indented).strip('\n')


# --- D2 ----------------------------------------------------------------------


def test_d2_without_colors() -> None:
    assert SERVICES.get_d2(colors=False) == text("""
        direction: right
        user-created.shape: oval
        users -> user-created: User
        "user.moved".shape: oval
        users -> "user.moved": "list[User]"
        user-created -> emails.welcome
        "user.moved" -> emails.tell
    """)


def test_d2_with_colors() -> None:
    assert SERVICES.get_d2() == text("""
        direction: right
        users.style: {stroke: "#f39c12"; fill: "#fef4e6"}
        user-created.shape: oval
        user-created.style: {stroke: "#e74c3c"; fill: "#fcebea"}
        users -> user-created: User
        "user.moved".shape: oval
        "user.moved".style: {stroke: "#e74c3c"; fill: "#fcebea"}
        users -> "user.moved": "list[User]"
        emails.style: {stroke: "#f39c12"; fill: "#fef4e6"}
        user-created -> emails.welcome: {style: {stroke: "#2c3e50"}}
        emails.welcome.style: {stroke: "#2980b9"; fill: "#e9f2fb"}
        "user.moved" -> emails.tell: {style: {stroke: "#2c3e50"}}
        emails.tell.style: {stroke: "#2980b9"; fill: "#e9f2fb"}
    """)


def test_d2_direction() -> None:
    assert SERVICES.get_d2('down', colors=False).startswith('direction: down\n')


def test_d2_of_a_service_that_emits_and_handles() -> None:
    services = Services().add(
        'users', emits=Events(CREATED), defines=Actors(Actor('audit', CREATED, handle))
    )
    assert services.get_d2('left', colors=False) == text("""
        direction: left
        user-created.shape: oval
        users -> user-created: User
        user-created -> users.audit
    """)


@pytest.mark.parametrize(
    ('name', 'key'),
    [
        ('user_created2', 'user_created2'),
        ('a.b', '"a.b"'),
        ('a--b', '"a--b"'),
        ('a-', '"a-"'),
        ('a#b', '"a#b"'),
        ('a"b', r'"a\"b"'),
        ('a${b}', r'"a\${b}"'),
        ('style', '"style"'),
        ('Label', '"Label"'),
        ('_', '"_"'),
        ('null', '"null"'),
        ('null-island', 'null-island'),
    ],
)
def test_d2_quotes_what_is_special(name: str, key: str) -> None:
    drawn = Services().add('s', emits=Events(Event(name, str))).get_d2(colors=False)
    assert drawn.splitlines()[1:] == [f'{key}.shape: oval', f's -> {key}: str']


def test_d2_quotes_services() -> None:
    drawn = Services().add('acme.mail', defines=Actors(Actor('link', CREATED, handle)))
    assert drawn.get_d2(colors=False).splitlines()[1:] == ['user-created -> "acme.mail"."link"']
    assert '"acme.mail".style: {' in drawn.get_d2()


def test_d2_tells_an_event_from_a_service_of_that_name() -> None:
    orders = Event('Orders', str)
    services = Services().add('ORDERS', emits=Events(orders))
    services.add('bills', defines=Actors(Actor('a', orders, handle)))
    assert services.get_d2(colors=False).splitlines()[1:] == [
        '"Orders (event)".shape: oval',
        'ORDERS -> "Orders (event)": str',
        '"Orders (event)" -> bills.a',
    ]


@pytest.mark.parametrize(
    ('schema', 'label'),
    [
        (User, 'User'),
        (User | None, '"User | None"'),
        (dict[str, User], '"dict[str, User]"'),
        (None, 'None'),
    ],
    ids=['class', 'union', 'generic', 'none'],
)
def test_schemas_are_named_as_one_writes_them(schema: type, label: str) -> None:
    @dataclass
    class Local:
        x: int

    events = Events(Event('e', schema), Event('local', Local), Event('locals', list[Local]))
    arrows = Services().add('s', emits=events).get_d2(colors=False).splitlines()[2::2]
    assert arrows == [f's -> e: {label}', 's -> local: Local', 's -> locals: "list[Local]"']


# --- Mermaid -----------------------------------------------------------------


def test_mermaid_without_colors() -> None:
    assert SERVICES.get_mermaid(colors=False) == text("""
        flowchart LR
            event0(["user-created"])
            event1(["user.moved"])
            service0["users"]
            subgraph service1["emails"]
                actor0["welcome"]
                actor1["tell"]
            end
            service0 -->|"User"| event0
            service0 -->|"list[User]"| event1
            event0 --> actor0
            event1 --> actor1
    """)


def test_mermaid_with_colors() -> None:
    drawn = SERVICES.get_mermaid()
    assert drawn.startswith(SERVICES.get_mermaid(colors=False) + '\n')
    assert drawn.splitlines()[-7:] == [
        '    classDef service stroke:#f39c12,fill:#fef4e6',
        '    class service0,service1 service',
        '    classDef event stroke:#e74c3c,fill:#fcebea',
        '    class event0,event1 event',
        '    classDef actor stroke:#2980b9,fill:#e9f2fb',
        '    class actor0,actor1 actor',
        '    linkStyle 2,3 stroke:#2c3e50',
    ]


@pytest.mark.parametrize(
    ('direction', 'short'), [('right', 'LR'), ('left', 'RL'), ('up', 'BT'), ('down', 'TB')]
)
def test_mermaid_direction(direction: str, short: str) -> None:
    assert SERVICES.get_mermaid(direction).startswith(f'flowchart {short}\n')  # type: ignore[arg-type]


def test_mermaid_of_a_service_alone() -> None:
    assert Services().add('end').get_mermaid() == text("""
        flowchart LR
            service0["end"]
            classDef service stroke:#f39c12,fill:#fef4e6
            class service0 service
    """)


def test_mermaid_escapes_what_is_special() -> None:
    drawn = Services().add('s', emits=Events(Event('a"b#c;`<i', str | int))).get_mermaid()
    assert '    event0(["a#34;b#35;c#59;#96;#60;i"])\n' in drawn
    assert '-->|"str #124; int"| event0\n' in drawn


def test_mermaid_has_one_box_for_each_event_and_actor() -> None:
    services = Services().add('a', emits=Events(CREATED)).add('b', emits=Events(CREATED))
    actors = Actors(Actor('x', CREATED, handle), Actor('x', MOVED, handle))
    drawn = services.add('c', defines=actors).get_mermaid(colors=False)
    assert drawn.count('user-created') == 1
    assert drawn.count('"x"') == 1
    assert drawn.splitlines()[-2:] == ['    event0 --> actor0', '    event1 --> actor0']
