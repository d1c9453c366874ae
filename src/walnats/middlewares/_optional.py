"""Packages that only some middlewares need."""

from __future__ import annotations


def missing_package(user: str, package: str, extra: str) -> ImportError:
    """Make the error for a package that isn't installed."""
    return ImportError(f"{user} needs the package '{package}': pip install 'walnats[{extra}]'")
