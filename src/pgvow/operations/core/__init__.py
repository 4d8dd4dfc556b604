"""Restore entries into a server and compare: the core of ``restore`` and ``prove``."""
