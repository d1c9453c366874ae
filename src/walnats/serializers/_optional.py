"""Packages that only some serializers need."""

from __future__ import annotations


def missing_package(user: str, extra: str) -> ImportError:
    """Make the error for a package that isn't installed; the extra has the package's name."""
    return ImportError(f"{user} needs the package '{extra}': pip install 'walnats[{extra}]'")
