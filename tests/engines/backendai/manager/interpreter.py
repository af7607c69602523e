"""What runs inside an interactive session: a Python that keeps its names from run to run.

Started as a script, with the number of a socket as its argument. Takes one JSON object a line
(``{"code": …}``; ``{"input": …}`` as an answer) and tells what happens, one a line: ``{"stream", "text"}``,
``{"input": is_password}``, ``{"finished": exit code}``. Texts are those that IPython prints.
"""

from __future__ import annotations

import ast
import io
import json
import signal
import socket
import sys
import traceback
from typing import Any, NoReturn

RULE = "-" * 75


class Channel:
    """The socket to the manager."""

    def __init__(self, number: int) -> None:
        self._file = socket.socket(fileno=number).makefile("rwb")

    def tell(self, **content: Any) -> None:
        self._file.write(json.dumps(content).encode() + b"\n")
        self._file.flush()

    def ask(self) -> Any:
        line = self._file.readline()
        if not line:
            sys.exit()
        return json.loads(line)


class Stream(io.TextIOBase):
    """sys.stdout and sys.stderr of the user's code."""

    def __init__(self, channel: Channel, name: str) -> None:
        self._channel = channel
        self._name = name

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        if text:
            self._channel.tell(stream=self._name, text=text)
        return len(text)


def complain(channel: Channel, error: BaseException) -> None:
    """Print an exception in the colours of IPython."""
    name = type(error).__name__
    lines = traceback.format_tb(error.__traceback__)[2:]
    text = f"\x1b[31m{RULE}\x1b[39m\n\x1b[31m{name}\x1b[39m{'':25}Traceback (most recent call last)\n"
    channel.tell(stream="stderr", text=f"{text}{''.join(lines)}\n\x1b[31m{name}\x1b[39m: {error}")


def run(channel: Channel, code: str, names: dict[str, Any]) -> int:
    """One run; its exit code."""
    try:
        tree = ast.parse(code)
        last = None
        if tree.body and isinstance(tree.body[-1], ast.Expr):
            last = tree.body[-1].value
            del tree.body[-1]
        exec(compile(tree, "<cell>", "exec"), names)
        if last is not None:
            value = eval(compile(ast.Expression(last), "<cell>", "eval"), names)
            if value is not None:
                channel.tell(stream="stdout", text=repr(value))
    except SystemExit as leaving:
        says = "An exception has occurred, use %tb to see the full traceback.\n\n"
        channel.tell(
            stream="stderr", text=f"{says}\x1b[31mSystemExit\x1b[39m\x1b[31m:\x1b[39m {leaving.code}\n"
        )
        return leaving.code if isinstance(leaving.code, int) else int(leaving.code is not None)
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - whatever the user's code raises
        complain(channel, error)
        return 1
    return 0


def main() -> NoReturn:
    channel = Channel(int(sys.argv[1]))
    sys.stdout = Stream(channel, "stdout")
    sys.stderr = Stream(channel, "stderr")

    def ask(prompt: object = "") -> str:
        sys.stdout.write(str(prompt))
        channel.tell(input=False)
        return str(channel.ask()["input"])

    names: dict[str, Any] = {"__name__": "__main__", "input": ask}
    while True:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        code = channel.ask()["code"]
        signal.signal(signal.SIGINT, signal.default_int_handler)
        channel.tell(finished=run(channel, code, names))


if __name__ == "__main__":
    main()
