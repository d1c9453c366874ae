"""Which NATS to connect to, and as whom: what the options of `_server.py` come to."""

import ssl
from dataclasses import dataclass, field
from pathlib import Path

from .._jetstream.options import ConnectOptions
from ._errors import CommandError


@dataclass(frozen=True)
class ServerOptions:
    """Which NATS to connect to, and as whom. It can be sent to another process."""

    urls: list[str] = field(repr=False)  # there may be passwords in them
    creds: Path | None = None
    tlsca: Path | None = None
    tlscert: Path | None = None
    tlskey: Path | None = None
    inbox_prefix: str | None = None
    is_default: bool = False
    """The URLs come from the environment, or from nowhere, not from `--server`."""

    def options(self) -> ConnectOptions:
        """Give the options to pass to `connect`."""
        options: ConnectOptions = {'name': 'walnats'}
        if self.creds is not None:
            options['user_credentials'] = str(self.creds)
        if self.inbox_prefix is not None:
            options['inbox_prefix'] = self.inbox_prefix
        if self.tlsca or self.tlscert or self.tlskey:
            options['tls'] = self._tls()
        return options

    def _tls(self) -> ssl.SSLContext:
        if self.tlskey and not self.tlscert:
            raise CommandError('--tlskey needs --tlscert, the certificate of that key')
        try:
            context = ssl.create_default_context(cafile=self.tlsca)
            if self.tlscert:
                context.load_cert_chain(self.tlscert, self.tlskey)
        except OSError as error:  # ssl.SSLError is one
            raise CommandError(f"the files for TLS can't be used: {error}") from error
        return context
