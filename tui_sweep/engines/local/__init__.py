"""The embedded engine: sessions are processes of this machine that outlive us.

Offers what ``engines.base.EngineModule`` asks for: ``prepare``, ``engine`` and ``survey``.
"""

from tui_sweep.engines.local.engine import engine, survey
from tui_sweep.engines.local.prepare import prepare

__all__ = ["engine", "prepare", "survey"]
