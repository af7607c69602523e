"""``python -m tui_sweep`` is the command ``sweep-tui``."""

from __future__ import annotations

import gc
import sys


def main() -> None:
    """Run the command line. Ctrl-C while it is still being loaded is no traceback, either."""
    try:
        from tui_sweep.cli import main as run

        run()
    except KeyboardInterrupt:
        sys.exit(130)
    finally:
        gc.freeze()  # or Python looks for garbage among all that is loaded before it ends: 10 to 80 ms


if __name__ == "__main__":
    main()
