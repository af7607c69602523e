"""The snapshot of FILES: found and checked before anything exists, copied once before the first case."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from tui_sweep.core.errors import UsageError


def collect(files: Sequence[str], basedir: Path) -> dict[str, Path]:
    """Every regular file that FILES name, by its path relative to ``basedir``, with ``/``.

    A folder stands for all it holds, which must be something: without files a case would run where
    sweep-tui was started, and not in a copy. Raises UsageError for what is missing, outside of
    ``basedir``, or neither a file nor a folder.
    """
    base = basedir.resolve()
    found: dict[str, Path] = {}
    for text in files:
        path = Path(text)
        try:
            # resolve the folder and not the file itself: a link to a file counts where it stands
            place = path.parent.resolve() / path.name if path.name not in ("", "..") else path.resolve()
            mode = place.stat().st_mode
        except (OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) else "not a file name"
            raise UsageError(f"FILES: {why}", text=text, span=(0, len(text))) from error
        if not place.is_relative_to(base):
            raise UsageError(
                f"FILES: it is outside of --basedir {base}",
                text=text,
                span=(0, len(text)),
                hint="cases see files by their path below --basedir; choose one that holds them all",
            )
        if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
            raise UsageError("FILES: neither a file nor a folder", text=text, span=(0, len(text)))
        try:
            items = list(_walk(place, set()))
        except OSError as error:
            raise UsageError(
                f"FILES: {error.filename}: {error.strerror}", text=text, span=(0, len(text))
            ) from error
        if not items:
            raise UsageError(
                "FILES: there is no file in this folder",
                text=text,
                span=(0, len(text)),
                hint="cases see files; a folder that they need empty can be made by --build",
            )
        found |= {item.relative_to(base).as_posix(): item for item in items}
    return dict(sorted(found.items()))


def _walk(path: Path, seen: set[str]) -> Iterator[Path]:
    """The regular files at and below a path; a folder that was seen already is not entered again."""
    if not path.is_dir():
        if path.is_file():
            yield path
        return
    real = os.path.realpath(path)
    if real in seen:
        return
    seen.add(real)
    for item in sorted(path.iterdir()):
        yield from _walk(item, seen)


def copier(found: dict[str, Path]) -> Callable[[Path], None]:
    """What copies the collected files into a folder, with their modes.

    Raises UsageError when one has vanished or cannot be read in the meantime.
    """

    def copy(folder: Path) -> None:
        for name, path in found.items():
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                source = open(path, "rb")  # opened apart: a failure here is the file's, not the disk's
            except OSError as error:
                raise UsageError(
                    f"FILES: cannot be read any more: {error.strerror}", text=name, span=(0, len(name))
                ) from error
            with source, open(target, "xb") as copied:
                shutil.copyfileobj(source, copied)
                target.chmod(stat.S_IMODE(os.fstat(source.fileno()).st_mode) | stat.S_IRUSR | stat.S_IWUSR)

    return copy
