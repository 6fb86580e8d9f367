"""How just-in-time kernels are declared: with the types they take, so that importing one loads it.

Compiled code is kept beside the module, or in the user's cache folder where that is not writable.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba


def array(dtype: Any, dimensions: int = 1) -> Any:
    """Return the type of a contiguous array that a kernel only reads, as memory-mapped ones are."""
    return numba.types.Array(dtype, dimensions, "C", readonly=True)


def kernel(*types: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Compile a function for arguments of these types; what it returns is inferred."""
    compile_for: Callable[[Callable[..., Any]], Callable[..., Any]]
    compile_for = numba.njit(types, cache=True, nogil=True)
    return compile_for


# What kernels call: compiled into them, for whatever types they pass.
helper = numba.njit(cache=True, nogil=True)
