"""``python -m tui_sweep`` is the command ``sweep-tui``."""

from __future__ import annotations

from tui_sweep.cli import main

if __name__ == "__main__":
    main()
