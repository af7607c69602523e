"""What is kept of a viewer's own crash: the traceback, in a file that the user can send."""

from __future__ import annotations

import tempfile
import traceback


def keep_traceback() -> str:
    """Write the exception that is being handled to a file; the sentence that names the file, or says why not."""
    text = traceback.format_exc()
    try:
        with tempfile.NamedTemporaryFile(
            "w",
            prefix="sweep-tui-crash-",
            suffix=".txt",
            delete=False,
            encoding="utf-8",
            errors="backslashreplace",
        ) as file:
            file.write(text)
    except OSError as error:
        return f"No crash file could be written ({error.strerror or error}); {text.splitlines()[-1]}"
    return f"The crash file is {file.name}"
