"""``python -m tui_sweep`` is the command ``sweep-tui``."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line. Ctrl-C while it is still being loaded is no traceback, either."""
    try:
        from tui_sweep.cli import main as run

        run()
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
