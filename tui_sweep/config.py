"""Settings: what is configured outside the command line, read once and passed on.

Precedence: options > environment > ``.env`` > ``config.toml`` > defaults (CONTRACT). Each setting
knows where it came from, for ``sweep-tui config``.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tui_sweep.core.errors import UsageError


@dataclass(frozen=True, slots=True)
class Known:
    """A setting that exists: its name in config.toml, its variable, its default."""

    name: str
    variable: str
    default: str
    secret: bool = False


KNOWN = (
    Known("state_dir", "SWEEP_TUI_STATE", ""),
    Known("engine", "SWEEP_TUI_ENGINE", ""),
    Known("endpoint", "BACKEND_ENDPOINT", "https://api.cloud.backend.ai"),
    Known("endpoint_type", "BACKEND_ENDPOINT_TYPE", "api"),
    Known("access_key", "BACKEND_ACCESS_KEY", ""),
    Known("secret_key", "BACKEND_SECRET_KEY", "", secret=True),
    Known("domain", "BACKEND_DOMAIN", "default"),
    Known("group", "BACKEND_GROUP", "default"),
)


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting in force."""

    known: Known
    value: str
    origin: str
    """Where it came from, in words: a variable, a file, an option, ``default``."""

    @property
    def shown(self) -> str:
        """The value for a person: a secret only as whether it is there."""
        return ("set, not shown" if self.value else "") if self.known.secret else self.value


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings in force, by name."""

    by_name: Mapping[str, Setting]

    def __getitem__(self, name: str) -> str:
        return self.by_name[name].value

    @property
    def state_dir(self) -> Path:
        """Where sweep folders live."""
        if self["state_dir"]:
            return Path(self["state_dir"]).expanduser().absolute()
        import platformdirs

        return platformdirs.user_state_path("sweep-tui", appauthor=False)

    @property
    def engine(self) -> str:
        """The engine to use when none is named: ``backendai`` when keys are configured."""
        return self["engine"] or ("backendai" if self["access_key"] else "local")


def read_settings(
    *,
    environ: Mapping[str, str],
    cwd: Path,
    options: Mapping[str, str | None],
    config: Path | None = None,
) -> Settings:
    """The settings in force. Raises UsageError for a file that cannot be read as what it should be."""
    table, table_origin = _toml(config)
    dotenv, dotenv_origin = _dotenv(cwd)
    found = {}
    for known in KNOWN:
        option = options.get(known.name)
        if option is not None:
            value, origin = option, "option"
        elif environ.get(known.variable):
            value, origin = environ[known.variable], f"environment: {known.variable}"
        elif dotenv.get(known.variable):
            value, origin = str(dotenv[known.variable]), f"{dotenv_origin}: {known.variable}"
        elif known.name in table:
            value, origin = _text(table[known.name], known, table_origin), table_origin
        else:
            value, origin = known.default, "default"
        found[known.name] = Setting(known, value, origin)
    return Settings(found)


def config_path() -> Path:
    """Where config.toml is looked for when no ``--config`` names one."""
    import platformdirs

    return platformdirs.user_config_path("sweep-tui", appauthor=False) / "config.toml"


def _toml(config: Path | None) -> tuple[dict[str, Any], str]:
    path = config or config_path()
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        if config is None:
            return {}, ""
        raise UsageError(f"--config {path}: there is no such file") from None
    except (OSError, ValueError) as error:
        raise UsageError(f"{path}: cannot be read: {error}") from error
    unknown = sorted(set(table) - {known.name for known in KNOWN})
    if unknown:
        names = ", ".join(known.name for known in KNOWN)
        raise UsageError(f"{path}: there is no setting {unknown[0]!r}; there are: {names}")
    return table, str(path)


def _text(value: object, known: Known, origin: str) -> str:
    if isinstance(value, (str, int, float)) and not isinstance(value, bool):
        return str(value)
    raise UsageError(f"{origin}: {known.name} must be a text")


def _dotenv(cwd: Path) -> tuple[Mapping[str, str | None], str]:
    """The nearest ``.env`` of the working directory or above, as the official client looks for it."""
    for folder in (cwd, *cwd.parents):
        path = folder / ".env"
        if path.is_file():
            from dotenv import dotenv_values

            try:
                return dotenv_values(path, interpolate=False), str(path)
            except (OSError, ValueError) as error:
                raise UsageError(f"{path}: cannot be read: {error}") from error
    return {}, ""
