"""The Backend.AI engine: sessions are containers of a cluster, driven through its API.

Offers what ``engines.base.EngineModule`` asks for. What speaks HTTP is imported when it is first
needed: checking a command line does not wait for it.
"""

from __future__ import annotations

from collections.abc import Mapping

from tui_sweep.engines.backendai.prepare import prepare
from tui_sweep.engines.base import Engine, Facts, Setting

__all__ = ["engine", "login", "logout", "prepare", "survey"]


def engine(setting: Setting) -> Engine:
    """The engine for one sweep; touches nothing until ``open``."""
    from tui_sweep.engines.backendai.cluster import BackendaiEngine

    return BackendaiEngine(setting)


async def survey(*, environ: Mapping[str, str]) -> Facts:
    """The facts without a sweep. Raises UsageError, EngineDenied or EngineUnreachable."""
    from tui_sweep.engines.backendai.cluster import survey as surveyed

    return await surveyed(environ=environ)


async def login(*, environ: Mapping[str, str], username: str, password: str, otp: str | None) -> str:
    """Log in at a web server; the access key that it stands for. Raises UsageError, EngineError."""
    from tui_sweep.engines.backendai import cookies
    from tui_sweep.engines.backendai.configuration import read_configuration

    configuration = read_configuration(environ)
    return await cookies.login(configuration, username, password, otp, cookies.cookie_file(configuration))


async def logout(*, environ: Mapping[str, str]) -> bool:
    """End that login; False when there was none. Raises UsageError, EngineError."""
    from tui_sweep.engines.backendai import cookies
    from tui_sweep.engines.backendai.configuration import read_configuration

    configuration = read_configuration(environ)
    return await cookies.logout(configuration, cookies.cookie_file(configuration))
