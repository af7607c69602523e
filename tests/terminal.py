"""A real pseudo-terminal with a real terminal emulator behind it, for the program as a user sees it."""

import errno
import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios

import pyte

from tests.conftest import wait_until


class Terminal:
    """The command in a terminal of its own. ``see`` waits until the screen shows something."""

    def __init__(self, *args, size=(80, 24), cwd=None, env=None):
        self.columns, self.lines = size
        self.screen = pyte.Screen(self.columns, self.lines)
        self._stream = pyte.ByteStream(self.screen)
        self.raw = b""
        self._master, slave = pty.openpty()
        self._resize()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tui_sweep", *args],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            cwd=cwd,
            env={**os.environ, "TERM": "xterm-256color", "LANG": "C.UTF-8", **(env or {})},
            start_new_session=True,
            # a controlling terminal cannot be had otherwise; the tests have no threads here
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509
        )
        self.before = termios.tcgetattr(slave)
        self._slave = slave

    def _resize(self):
        size = struct.pack("HHHH", self.lines, self.columns, 0, 0)
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, size)

    def resize(self, columns, lines):
        self.columns, self.lines = columns, lines
        self.screen.resize(lines, columns)
        self._resize()
        os.killpg(self.process.pid, signal.SIGWINCH)

    def pump(self):
        """Read what the program wrote."""
        while select.select([self._master], [], [], 0)[0]:
            try:
                data = os.read(self._master, 65536)
            except OSError as error:
                if error.errno == errno.EIO:
                    return
                raise
            if not data:
                return
            self.raw += data
            self._stream.feed(data)

    def text(self):
        self.pump()
        return "\n".join(self.screen.display)

    def see(self, *words, timeout=20.0, gone=()):
        """Wait until all words are on the screen, and none of ``gone``."""

        def there():
            text = self.text()
            return all(word in text for word in words) and not any(word in text for word in gone)

        wait_until(there, timeout, what=f"{words} on the screen, which shows:\n{self.text()}")
        return self.text()

    def rest(self):
        """Wait until the program writes nothing for a moment: keys typed faster than a person types may
        reach the field that had the focus before."""

        def quiet():
            seen = len(self.raw)
            select.select([self._master], [], [], 0.2)
            self.pump()
            return len(self.raw) == seen

        wait_until(quiet, 10, what="a quiet screen")

    def type(self, keys):
        os.write(self._master, keys.encode())

    def end(self, timeout=20.0):
        """Wait for the program's end; its exit code."""

        def ended():
            self.pump()
            return self.process.poll() is not None

        wait_until(ended, timeout, what=f"the end, while the screen shows:\n{self.text()}")
        self.pump()
        return self.process.returncode

    def is_restored(self):
        """Whether the terminal is as it was: line discipline, cursor, main screen, no mouse reports."""
        now = termios.tcgetattr(self._slave)
        return now[3] == self.before[3] and b"\x1b[?1049l" in self.raw and b"\x1b[?25h" in self.raw

    def close(self):
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        os.close(self._master)
        os.close(self._slave)
