"""The keys of a user, as the tools of NATS write them: an nkey and, perhaps, a JWT for it.

nats-py hangs on a file without a JWT, takes no line break after a seed, and raises errors of
its own about both.
"""

from __future__ import annotations

import base64
import re
from collections import UserString
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import AuthorizationError

if TYPE_CHECKING:
    from nats.aio.client import Client, Credentials

_JWT = 'NATS USER JWT'
_SEED = 'USER NKEY SEED'
_SECRET = re.compile(r'\bS[A-Z2-7]{57}\b|-BEGIN ')


def use_keys(client: Client) -> None:
    """Have the client read its keys for each attempt to connect.

    :raises AuthorizationError: they can't be read now.
    """
    # The names that nats-py has for its options.
    given = client._user_credentials, client._nkeys_seed, client._nkeys_seed_str  # noqa: SLF001 -- nothing public does it
    try:
        has_jwt = read_keys(*given).jwt is not None
    except (OSError, TypeError, ValueError) as exc:
        raise AuthorizationError(f'connect: {exc}') from exc

    def sign(nonce: str) -> bytes:
        keys = read_keys(*given)
        client._public_nkey = keys.public_key  # noqa: SLF001 -- nothing public does it
        return keys.sign(nonce)

    client._signature_cb = sign  # noqa: SLF001 -- nothing public does it
    if has_jwt:
        client._user_jwt_cb = lambda: bytearray(read_keys(*given).jwt or '', 'ascii')  # noqa: SLF001 -- nothing public does it


@dataclass(frozen=True)
class Keys:
    """What a user signs with, and what vouches for the user."""

    seed: str = field(repr=False)
    jwt: str | None = field(repr=False)
    public_key: str

    def sign(self, nonce: str) -> bytes:
        """Sign what the server has sent, in base64."""
        import nkeys  # type: ignore[import-untyped] # noqa: PLC0415 -- an extra

        return base64.b64encode(nkeys.from_seed(bytearray(self.seed, 'ascii')).sign(nonce.encode()))


def read_keys(credentials: Credentials | None, seed_file: str | None, seed: str | None) -> Keys:
    """Read the keys from the first of these that is given. A file may have changed meanwhile.

    :param credentials: a file with JWT and seed, their text, or a file for each of them.
    :raises OSError: a file can't be read.
    :raises ValueError: what is in it are no keys. It is not shown.
    """
    if credentials is None:
        where = 'nkeys_seed_str' if seed is not None else f"'{seed_file}'"
        return _make_keys(where, seed if seed is not None else _read(seed_file), None)
    if isinstance(credentials, tuple):
        jwt_file, seed_file = credentials
        jwt = _find(_JWT, _read(jwt_file)) or _read(jwt_file).strip()
        return _make_keys(f"'{seed_file}'", _read(seed_file), jwt)
    is_text = isinstance(credentials, UserString)
    where = 'user_credentials' if is_text else f"'{credentials}'"
    text = str(credentials) if is_text else _read(credentials)
    found = _find(_JWT, text)
    if found is None:
        raise ValueError(f'{where} has no {_JWT}: give a file of credentials, as `nsc` makes it')
    return _make_keys(where, text, found)


def _make_keys(where: str, text: str, jwt: str | None) -> Keys:
    import nkeys  # noqa: PLC0415 -- an extra

    seed = _find(_SEED, text) or text.strip()
    problem = f'{where} has no seed of a user: one begins with SU'
    try:
        public_key: str = bytes(nkeys.from_seed(bytearray(seed, 'ascii')).public_key).decode()
    except (nkeys.NkeysError, ValueError):
        raise ValueError(problem) from None  # what was read may be secret all the same
    if not public_key.startswith('U'):
        raise ValueError(problem)
    return Keys(seed, jwt, public_key)


def _read(path: object) -> str:
    if _SECRET.search(str(path)):
        # Else the error would show it.
        raise ValueError(
            'there is a secret where the path of a file is expected: pass a seed as '
            '`nkeys_seed_str`, the text of a file as `nats.aio.client.RawCredentials`'
        )
    return Path(path).read_text(encoding='utf-8')  # type: ignore[arg-type]  # Path checks it


def _find(block: str, text: str) -> str | None:
    found = re.search(rf'-BEGIN {block}-+\s+(\S+)', text)
    return None if found is None else found[1]
