"""Reuses the memory of one picture's scale space for the next picture."""

from __future__ import annotations

import ctypes
from functools import cache

# As <malloc.h> numbers them.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
# The largest block that the allocator may keep, and the total. A picture of 2,048 pixels has levels
# of 17 MB, 200 MB in all.
LARGEST_KEPT = 32 << 20
KEPT = 256 << 20


@cache
def keep_freed_memory() -> None:
    """Let this process keep up to 256 MB of freed memory; needs GNU's C library.

    By default, large blocks go back to the system at once. They return as pages that must be
    cleared and mapped one by one: a quarter of SIFT's time.
    """
    try:
        set_option = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # another C library; Windows has no None
        return
    set_option(M_MMAP_THRESHOLD, LARGEST_KEPT)
    set_option(M_TRIM_THRESHOLD, KEPT)
