"""How long the scenarios are: short in `make test`, in full in `make chaos`."""

from __future__ import annotations

import os
from typing import TypeVar

import pytest

T = TypeVar('T')

FULL = os.environ.get('WALNATS_CHAOS') == '1'
SOAK = float(os.environ.get('WALNATS_SOAK', '1200'))
"""Seconds that the soak takes."""

only_in_chaos = pytest.mark.skipif(not FULL, reason='it takes minutes: `make chaos` runs it')


def pick(short: T, full: T) -> T:
    """Give the one of the two that is asked for."""
    return full if FULL else short
