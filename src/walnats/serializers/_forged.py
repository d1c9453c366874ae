"""The error that needs the package cryptography."""

from __future__ import annotations

from cryptography.fernet import InvalidToken

from ..errors import DecodeError


class ForgedTokenError(DecodeError, InvalidToken):
    """The payload wasn't encrypted with one of the keys, or was altered since."""
