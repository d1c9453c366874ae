"""Decides when a worker process that has died is started again, and when that is given up."""

MOST_CRASHES = 5
"""So many of them within CRASH_PERIOD are a crash loop."""

CRASH_PERIOD = 60.0
"""Seconds."""

_FIRST_DELAY = 0.25


def restart_delay(crashes: list[float]) -> float | None:
    """Give the seconds to wait after the last crash, or None if this is a crash loop.

    :param crashes: when the processes of one worker died, in seconds, the last one at the end.
    """
    recent = [moment for moment in crashes if moment > crashes[-1] - CRASH_PERIOD]
    if len(recent) >= MOST_CRASHES:
        return None
    return _FIRST_DELAY * 2.0 ** (len(recent) - 1)
