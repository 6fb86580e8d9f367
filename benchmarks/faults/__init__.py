"""Counts what goes wrong with an index under faults; see `__main__`."""
