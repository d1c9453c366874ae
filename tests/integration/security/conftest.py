"""What the tests of security share: certificates, and an operator that vouches for users."""

from __future__ import annotations

import base64
import datetime as dt
import ipaddress
import json
import os
import ssl
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import nkeys  # type: ignore[import-untyped]
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

if TYPE_CHECKING:
    from pathlib import Path

UNLIMITED = dict.fromkeys(
    [
        *('subs', 'data', 'payload', 'imports', 'exports', 'conn', 'leaf'),
        *('mem_storage', 'disk_storage', 'streams', 'consumer'),
    ],
    -1,
)


# --- nkeys and JWTs ----------------------------------------------------------


class Nkey:
    """A pair of keys of an operator, an account or a user."""

    def __init__(self, prefix: int) -> None:
        self.seed: str = nkeys.encode_seed(os.urandom(32), prefix).decode()
        self._pair: Any = nkeys.from_seed(bytearray(self.seed, 'ascii'))
        self.public: str = bytes(self._pair.public_key).decode()

    def vouch(self, name: str, subject: Nkey, claims: dict[str, Any], **more: Any) -> str:
        """Give a JWT about the subject, signed with this key."""
        now = int(time.time())
        body = {
            'jti': f'{name}-{time.monotonic_ns()}',
            'iat': now,
            'iss': self.public,
            'name': name,
            'sub': subject.public,
            'nats': {**claims, 'version': 2},
            **more,
        }
        head = _encode(json.dumps({'typ': 'JWT', 'alg': 'ed25519-nkey'}).encode())
        signed = f'{head}.{_encode(json.dumps(body).encode())}'
        return f'{signed}.{_encode(self._pair.sign(signed.encode()))}'


class Operator:
    """An operator with an account that has JetStream, and one for the system."""

    def __init__(self) -> None:
        self._key = Nkey(nkeys.PREFIX_BYTE_OPERATOR)
        self._account = Nkey(nkeys.PREFIX_BYTE_ACCOUNT)
        self._system = Nkey(nkeys.PREFIX_BYTE_ACCOUNT)

    @property
    def config(self) -> str:
        """The configuration of a server that trusts the operator."""
        claims = {'type': 'account', 'limits': {**UNLIMITED, 'wildcards': True}}
        operator = self._key.vouch(
            'operator', self._key, {'type': 'operator', 'system_account': self._system.public}
        )
        # The account of the system has no JetStream.
        plain = {'type': 'account', 'limits': {'subs': -1, 'conn': -1, 'data': -1, 'payload': -1}}
        return f"""
            operator: {operator}
            system_account: {self._system.public}
            resolver: MEMORY
            resolver_preload: {{
              {self._account.public}: {self._key.vouch('shop', self._account, claims)}
              {self._system.public}: {self._key.vouch('system', self._system, plain)}
            }}
        """

    def user(self, *, seconds: float | None = None) -> tuple[str, str]:
        """Give the JWT and the seed of a new user of the account.

        :param seconds: for how long the JWT is good.
        """
        key = Nkey(nkeys.PREFIX_BYTE_USER)
        claims = {'type': 'user', 'pub': {}, 'sub': {}, 'subs': -1, 'data': -1, 'payload': -1}
        limits = {} if seconds is None else {'exp': int(time.time() + seconds)}
        return self._account.vouch('user', key, claims, **limits), key.seed


def creds_text(jwt: str, seed: str) -> str:
    """Give the text of a file of credentials, as `nsc` writes it."""
    return f"""-----BEGIN NATS USER JWT-----
{jwt}
------END NATS USER JWT------

************************* IMPORTANT *************************
NKEY Seed printed below can be used to sign and prove identity.
NKEYs are sensitive and should be treated as secrets.

-----BEGIN USER NKEY SEED-----
{seed}
------END USER NKEY SEED------

*************************************************************
"""


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b'=').decode()


@pytest.fixture(scope='module')
def operator() -> Operator:
    return Operator()


# --- Certificates ------------------------------------------------------------


@dataclass(frozen=True)
class Identity:
    """A certificate with its key, in one file."""

    path: Path
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @classmethod
    def make(cls, path: Path, name: str, issuer: Identity | None = None) -> Identity:
        """Make one for 127.0.0.1, signed by the issuer or by itself."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        now = dt.datetime.now(dt.UTC)
        address = x509.IPAddress(ipaddress.ip_address('127.0.0.1'))
        usage = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        certificate = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer.certificate.subject if issuer else subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(days=1))
            .not_valid_after(now + dt.timedelta(days=1))
            .add_extension(x509.SubjectAlternativeName([address]), critical=False)
            .add_extension(
                x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True
            )
            .add_extension(x509.ExtendedKeyUsage(usage), critical=False)
            .sign(issuer.key if issuer else key, hashes.SHA256())
        )
        path.write_bytes(
            certificate.public_bytes(serialization.Encoding.PEM)
            + key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        return cls(path, certificate, key)

    def context(self, trusted: Identity) -> ssl.SSLContext:
        """Give what a client with this certificate connects with."""
        context = ssl.create_default_context(cafile=str(trusted.path))
        context.load_cert_chain(self.path)
        return context


@dataclass(frozen=True)
class Certificates:
    """An authority that server and client trust, and what it vouches for."""

    authority: Identity
    server: Identity
    client: Identity
    stranger: Identity
    """A client that another authority vouches for."""

    @property
    def config(self) -> str:
        """The configuration of a server that wants a certificate of each client."""
        return f"""
            tls {{
              cert_file: "{self.server.path}"
              key_file: "{self.server.path}"
              ca_file: "{self.authority.path}"
              verify: true
            }}
        """


@pytest.fixture(scope='module')
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    home = tmp_path_factory.mktemp('tls')
    authority = Identity.make(home / 'ca.pem', 'authority')
    other = Identity.make(home / 'other.pem', 'other authority')
    return Certificates(
        authority=authority,
        server=Identity.make(home / 'server.pem', 'server', authority),
        client=Identity.make(home / 'client.pem', 'client', authority),
        stranger=Identity.make(home / 'stranger.pem', 'stranger', other),
    )
