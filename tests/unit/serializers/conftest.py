"""How the property tests run."""

from __future__ import annotations

from hypothesis import settings

# On a busy machine any example may take a while: that's no failure of what it tests.
settings.register_profile('patient', deadline=None)
settings.load_profile('patient')
