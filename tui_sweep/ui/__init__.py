"""The window: the only importer of textual. Screens know ``view/`` and nothing else of the program."""
