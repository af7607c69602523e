"""Settings: what is configured outside the command line, read once and passed on.

Precedence: options > environment > ``.env`` > ``config.toml`` > defaults (CONTRACT). Each setting
knows where it came from, for ``sweep-tui config``. In ``config.toml`` a table ``[profiles.NAME]`` may
hold any of them; the chosen profile wins over the file's top level.

Engines know nothing of files: they are given the official BACKEND_ variables (``Settings.backend``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
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
    is_flag: bool = False
    """In config.toml also true or false."""
    is_list: bool = False
    """In config.toml also a list of texts; else they stand between commas."""

    @property
    def variables(self) -> tuple[str, ...]:
        """The variables that set it; as in the official client, SORNA_ is BACKEND_'s older name."""
        older = self.variable.replace(_BACKEND, "SORNA_", 1)
        return (self.variable,) if older == self.variable else (self.variable, older)


_BACKEND = "BACKEND_"
KNOWN = (
    Known("state_dir", "SWEEP_TUI_STATE", ""),
    Known("engine", "SWEEP_TUI_ENGINE", ""),
    Known("profile", "SWEEP_TUI_PROFILE", ""),
    Known("endpoint", "BACKEND_ENDPOINT", "https://api.cloud.backend.ai", is_list=True),
    Known("endpoint_type", "BACKEND_ENDPOINT_TYPE", "api"),
    Known("access_key", "BACKEND_ACCESS_KEY", ""),
    Known("secret_key", "BACKEND_SECRET_KEY", "", secret=True),
    Known("domain", "BACKEND_DOMAIN", "default"),
    Known("group", "BACKEND_GROUP", "default"),
    Known("skip_sslcert_validation", "BACKEND_SKIP_SSLCERT_VALIDATION", "no", is_flag=True),
    Known("connection_timeout", "BACKEND_CONNECTION_TIMEOUT", "10.0"),
    Known("read_timeout", "BACKEND_READ_TIMEOUT", "0"),
    Known("vfolder_mounts", "BACKEND_VFOLDER_MOUNTS", "", is_list=True),
)

_PROFILE = next(known for known in KNOWN if known.name == "profile")


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
        """The engine to use when none is named: ``backendai`` when keys, or a login, are configured."""
        has_login = self["endpoint_type"].strip().lower() == "session"
        return self["engine"] or ("backendai" if self["access_key"] or has_login else "local")

    @property
    def backend(self) -> dict[str, str]:
        """What is in force for a cluster, by the official names; the secret key is among them.

        The command line puts them into its own environment, which its runners inherit: the one way
        for a secret to reach a process that neither a file nor the process list shows.
        """
        found = {setting.known.variable: setting.value for setting in self.by_name.values()}
        return {name: value for name, value in found.items() if name.startswith(_BACKEND) and value}


def read_settings(
    *,
    environ: Mapping[str, str],
    cwd: Path,
    options: Mapping[str, str | None],
    config: Path | None = None,
) -> Settings:
    """The settings in force. Raises UsageError for a file that cannot be read as what it should be."""
    dotenv, dotenv_origin = _dotenv(cwd)

    def chosen(known: Known, tables: Sequence[tuple[Mapping[str, Any], str]]) -> Setting:
        option = options.get(known.name)
        if option is not None:
            return Setting(known, option, "option")
        for found, origin in ((environ, "environment"), (dotenv, dotenv_origin)):
            for variable in known.variables:
                if value := found.get(variable):
                    return Setting(known, value, f"{origin}: {variable}")
        for table, origin in tables:
            if known.name in table:
                return Setting(known, _text(table[known.name], known, origin), origin)
        return Setting(known, known.default, "default")

    table, path = _toml(config)
    profiles = _profiles(table, path)
    tables: list[tuple[Mapping[str, Any], str]] = [(table, path)]
    profile = chosen(_PROFILE, tables)
    if profile.value:
        if profile.value not in profiles:
            there = ", ".join(profiles) or "none"
            where = path or f"{config_path()} (which is not there)"
            raise UsageError(
                f"{profile.origin}: there is no profile {profile.value!r}; there are in {where}: {there}"
            )
        tables.insert(0, (profiles[profile.value], f"{path}: profile {profile.value}"))
    return Settings({known.name: chosen(known, tables) for known in KNOWN})


def config_path() -> Path:
    """Where config.toml is looked for when no ``--config`` names one."""
    import platformdirs

    return platformdirs.user_config_path("sweep-tui", appauthor=False) / "config.toml"


def _toml(config: Path | None) -> tuple[dict[str, Any], str]:
    path = config or config_path()
    try:
        text = path.read_text(encoding="utf-8")
        import tomllib  # 3 ms, and mostly there is no file

        table = tomllib.loads(text)
    except FileNotFoundError:
        if config is None:
            return {}, ""
        raise UsageError(f"--config {path}: there is no such file") from None
    except (OSError, ValueError) as error:
        raise UsageError(f"{path}: cannot be read: {error}") from error
    _check_names(set(table) - {"profiles"}, {known.name for known in KNOWN}, str(path))
    return table, str(path)


def _profiles(table: Mapping[str, Any], path: str) -> dict[str, Mapping[str, Any]]:
    """The tables ``[profiles.NAME]``."""
    profiles = table.get("profiles", {})
    if not isinstance(profiles, dict) or not all(isinstance(one, dict) for one in profiles.values()):
        raise UsageError(f"{path}: profiles must be tables: [profiles.NAME]")
    for name, one in profiles.items():
        _check_names(one, {known.name for known in KNOWN} - {_PROFILE.name}, f"{path}: profile {name}")
    return profiles


def _check_names(names: Iterable[str], known: Iterable[str], origin: str) -> None:
    unknown = sorted(set(names) - set(known))
    if unknown:
        there = ", ".join(one.name for one in KNOWN if one.name in known)
        raise UsageError(f"{origin}: there is no setting {unknown[0]!r}; there are: {there}")


def _text(value: object, known: Known, origin: str) -> str:
    if isinstance(value, bool):
        if known.is_flag:
            return "yes" if value else "no"
    elif isinstance(value, (str, int, float)):
        return str(value)
    elif known.is_list and isinstance(value, list) and all(isinstance(one, str) for one in value):
        return ",".join(value)
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
