"""Measures whether bovw's answers can be trusted; see `__main__`."""
