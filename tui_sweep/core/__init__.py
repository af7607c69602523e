"""Decisions: what a sweep is, what comes next. No await, no clock, no file, no screen."""
