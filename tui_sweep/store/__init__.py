"""Disk: everything a sweep leaves in its folder. The only importer of sqlite3."""
