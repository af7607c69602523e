"""Durations for a person, in as few cells as will do."""

from __future__ import annotations


def brief(seconds: float | None) -> str:
    """``0.3s`` ``12s`` ``4:51`` ``1h04`` ``3d07h``; "" for None."""
    if seconds is None:
        return ""
    if seconds < 10:
        return f"{max(seconds, 0.0):.1f}s"
    whole = int(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}:{whole % 60:02d}"
    if whole < 86400:
        return f"{whole // 3600}h{whole % 3600 // 60:02d}"
    return f"{whole // 86400}d{whole % 86400 // 3600:02d}h"
