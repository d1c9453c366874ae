"""Describes the services of a system: as AsyncAPI documents and as diagrams."""

from __future__ import annotations

from ._services import Services

__all__ = ['Services']
