"""What the numbers were measured on."""

from __future__ import annotations

import os
import platform
from pathlib import Path

from .broker import fresh_broker
from .results import Machine


async def describe_machine() -> Machine:
    async with fresh_broker() as broker:
        server = broker.version()
    return Machine(
        cores=os.cpu_count() or 1,
        processor=_processor(),
        system=f'{platform.system()} {platform.release()}',
        python=platform.python_version(),
        server=server,
    )


def _processor() -> str:
    """Give the processor's own name, where the system tells."""
    info = Path('/proc/cpuinfo')
    for line in info.read_text('utf-8').splitlines() if info.exists() else []:
        name, _, value = line.partition(':')
        if name.strip() == 'model name':
            return value.strip()
    return platform.machine()
