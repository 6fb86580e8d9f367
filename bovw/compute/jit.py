"""Declares just-in-time kernels with their types, so that importing one loads its compiled code.

Compiled code is kept beside the module, or in the user's cache folder if that is not writable. If
neither is, it is kept in a folder of the user's own among the temporary files, or else nowhere.
"""

from __future__ import annotations

import logging
import os
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba.core import cgutils
from numba.extending import intrinsic


def array(dtype: Any, dimensions: int = 1) -> Any:
    """Return the type of a contiguous read-only array, such as a memory-mapped one."""
    return numba.types.Array(dtype, dimensions, "C", readonly=True)


def read_only(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return a view of the type that `array` returns: numba does not convert inside a tuple."""
    view = np.ascontiguousarray(values).view()
    view.flags.writeable = False
    return view


def _can_cache() -> bool:
    """Tell whether numba finds a place for compiled code; it raises an error if not."""
    try:
        numba.njit(cache=True)(_can_cache)
    except RuntimeError:
        return False
    return True


def _find_cache() -> bool:
    """Find a place for compiled code; return whether there is one."""
    if _can_cache():
        return True
    log = logging.getLogger("bovw")
    folder = Path(tempfile.gettempdir()) / f"bovw-kernels-{getattr(os, 'getuid', int)()}"
    advice = "set NUMBA_CACHE_DIR to a folder that you can write to"
    if _is_own(folder):
        # Worker processes shall find it, too.
        os.environ["NUMBA_CACHE_DIR"] = numba.config.CACHE_DIR = str(folder)
        if _can_cache():
            log.warning("neither bovw's folder nor your home can be written to: compiled code is "
                        "kept in %s; %s", folder, advice)  # fmt: skip
            return True
    log.warning("compiled code can be kept nowhere: every start takes half a minute; %s", advice)
    return False


def _is_own(folder: Path) -> bool:
    """Make a folder that nobody else can write to, and tell whether it is one.

    Compiled code is run as it is found, so it must be this user's.
    """
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
    except OSError:
        return False
    own = found.st_uid == getattr(os, "getuid", lambda: found.st_uid)()
    return stat.S_ISDIR(found.st_mode) and own and not found.st_mode & 0o022


_CACHE = _find_cache()


def kernel(*types: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Compile a function for arguments of these types; the return type is inferred."""
    compile_for: Callable[[Callable[..., Any]], Callable[..., Any]]
    compile_for = numba.njit(types, cache=_CACHE, nogil=True)
    return compile_for


# For functions that kernels call: compiled into them, for the types that they pass.
helper = numba.njit(cache=_CACHE, nogil=True)


@intrinsic  # type: ignore[untyped-decorator]
def prefetch(typing: Any, values: Any, place: Any) -> Any:
    """Have the processor fetch `values[place]`, a flat index, before it is read.

    An index outside the array does no harm.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        held = cgutils.create_struct_proxy(signature.args[0])(context, builder, arguments[0])
        byte, flag = ir.IntType(8).as_pointer(), ir.IntType(32)
        asked = ir.FunctionType(ir.VoidType(), [byte, flag, flag, flag])
        function = cgutils.get_or_insert_function(builder.module, asked, "llvm.prefetch.p0")
        address = builder.bitcast(builder.gep(held.data, [arguments[1]]), byte)
        # Fetch data for reading, into the nearest cache.
        builder.call(function, [address, flag(0), flag(3), flag(1)])
        return context.get_dummy_value()

    return numba.types.void(values, numba.types.int64), generate


@helper
def differing_bits(first, second):  # type: ignore[no-untyped-def]
    """Return the Hamming distance of two signatures uint64 [bits / 64]."""
    count = 0
    for i in range(len(first)):
        bits = first[i] ^ second[i]
        bits -= (bits >> np.uint64(1)) & np.uint64(0x5555555555555555)
        pairs = np.uint64(0x3333333333333333)
        bits = (bits & pairs) + ((bits >> np.uint64(2)) & pairs)
        bits = (bits + (bits >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
        count += (bits * np.uint64(0x0101010101010101)) >> np.uint64(56)
    return count
