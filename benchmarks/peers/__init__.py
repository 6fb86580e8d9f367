"""Compares bovw with other ways to find images; `__main__` says how."""
