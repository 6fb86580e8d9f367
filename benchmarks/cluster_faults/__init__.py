"""Counts what goes wrong when a cluster loses parts; see `__main__`."""
