"""Plain text: what a case, a server or a file name says, made harmless for a terminal.

Control characters could move the cursor, set the title or write the clipboard; direction marks could
make a line read otherwise than it is. They become visible escapes such as ``\\x1b``.
"""

from __future__ import annotations

import re

_ANSI = re.compile(
    r"\x1b\][^\x07\x1b]*(?:\x07|\x1b\\|$)"  # OSC: titles, clipboard, links
    r"|\x1b[PX^_][^\x1b]*(?:\x1b\\|$)"  # DCS, SOS, PM, APC
    r"|[\x1b\x9b]\[?[0-?]*[ -/]*[@-~]"  # CSI: colours, cursor
    r"|\x1b[ -/]*[0-~]"
)
_HARMFUL = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ufeff\ufff9-\ufffb"
    "\ud800-\udfff\U000e0000-\U000e007f]"
)


def plain(text: str) -> str:
    """The text on one line, every character that is no letter to look at written as an escape."""
    return _HARMFUL.sub(_escape, text)


def _escape(match: re.Match[str]) -> str:
    return match[0].encode("unicode_escape", "surrogatepass").decode("ascii")


def without_colours(text: str) -> str:
    """The text without terminal sequences; what harm is left, ``plain`` shows."""
    return _ANSI.sub("", text)


_LONGEST_LINE = 400
"""Characters of a last line; nobody reads more of it in a row."""


def last_line(raw: bytes) -> str:
    """The last line in the tail of an output that says anything, plain and cut. "" when none does.

    Of a line that was overwritten with carriage returns (a progress bar) the last state counts.
    """
    for line in reversed(raw.decode("utf-8", "replace").split("\n")):
        for state in reversed(line.split("\r")):
            if said := plain(without_colours(state).strip()[:_LONGEST_LINE])[:_LONGEST_LINE].strip():
                return said
    return ""
