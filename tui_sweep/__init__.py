"""sweep-tui: run every combination of some parameters as one session each, and watch them."""

__version__ = "0.1.0"
