"""Server URLs: read, or refused without showing what may be a secret."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings as run_with, strategies as st

from walnats._jetstream.urls import check_urls, safe_url
from walnats.errors import ConnectError, DeclarationTypeError

# A busy machine is no failure.
unhurried = run_with(deadline=None)


SECRET = 's3cret'


@pytest.mark.parametrize(
    ('url', 'expected'),
    [
        ('nats://localhost:4222', 'nats://localhost:4222'),
        ('NATS://localhost:4222', 'nats://localhost:4222'),
        ('tls://localhost', 'tls://localhost'),
        ('localhost', 'nats://localhost'),
        ('localhost:4222', 'nats://localhost:4222'),
        ('127.0.0.1', 'nats://127.0.0.1'),
        ('nats://[::1]:4222', 'nats://[::1]:4222'),
        ('[::1]:4222', 'nats://[::1]:4222'),
        ('nats://anna:secret@host:1', 'nats://anna:secret@host:1'),
        ('anna:secret@host', 'nats://anna:secret@host'),
        ('token@host', 'nats://token@host'),
        ('nats://anna:a@b:c%2F,=@host:1', 'nats://anna:a@b:c%2F,=@host:1'),
        ('nats://anna:pässwörd@host', 'nats://anna:pässwörd@host'),
        ('nats://host:4222/', 'nats://host:4222/'),
    ],
)
def test_good_url(url: str, expected: str) -> None:
    assert check_urls(url) == [expected]
    assert check_urls((url, url)) == [expected, expected]


def test_websocket_url_may_have_a_path() -> None:
    assert check_urls('wss://host:443/nats?a=b') == ['wss://host:443/nats?a=b']


@pytest.mark.parametrize(
    ('url', 'expected'),
    [
        ('nats://anna:s3cret@host:1', 'nats://host:1'),
        ('nats://s3cret@host', 'nats://host'),
        ('nats://anna:a@s3cret@[::1]:1', 'nats://[::1]:1'),
        ('ws://anna:s3cret@host/path', 'ws://host'),
    ],
)
def test_safe_url(url: str, expected: str) -> None:
    assert safe_url(url) == expected


def chain(error: BaseException | None) -> list[BaseException]:
    return [] if error is None else [error, *chain(error.__context__), *chain(error.__cause__)]


@unhurried
@given(st.text(max_size=30))
@example('nats://[')
@example('nats://[x]')
@example('nats://\u2100')
@example('nats://a:b:c')
def test_any_text(text: str) -> None:
    """It is a URL with a host and without a surprise, or it is refused by our own error."""
    try:
        (url,) = check_urls(text)
    except ConnectError as error:
        assert 'malformed' in str(error)
    else:
        assert url.split('://')[0] in {'nats', 'tls', 'ws', 'wss'}
        assert '@' not in safe_url(url)


@unhurried
@given(st.text(max_size=8), st.text(max_size=8))
@example('nats://anna:', '@')
@example('nats://anna:', '[@host')
@example('nats://anna:[', ']@host')
@example('nats://anna:', '\u2100@host')
@example('nats://host:', '')
@example('', '://host')
@example('nats://', ':x@host:y')
def test_secret_is_never_shown(before: str, after: str) -> None:
    text = before + SECRET + after
    try:
        (url,) = check_urls(text)
    except ConnectError as error:
        shown = ''.join(f'{each} {each!r}' for each in chain(error))
        assert SECRET not in shown
    else:
        assert SECRET not in safe_url(url) or '@' not in after


@pytest.mark.parametrize('server', [None, 1, b'nats://localhost', {'nats://localhost'}, 1.5])
def test_wrong_type(server: object) -> None:
    with pytest.raises(DeclarationTypeError, match='server must be a URL'):
        check_urls(server)  # type: ignore[arg-type]
    with pytest.raises(DeclarationTypeError, match='server must be a URL'):
        check_urls([server])  # type: ignore[list-item]


def test_nothing() -> None:
    with pytest.raises(ConnectError, match='no server URL'):
        check_urls([])


def test_websocket_among_others() -> None:
    with pytest.raises(ConnectError, match='mixed'):
        check_urls(['nats://localhost', 'wss://localhost'])
