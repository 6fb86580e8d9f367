"""Compares bovw with other ways to find images; see `__main__`."""
