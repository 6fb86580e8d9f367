"""Declares just-in-time kernels with their types, so that importing one loads its compiled code.

Compiled code is kept beside the module, or in the user's cache folder if that is not writable.
"""

from __future__ import annotations

from collections.abc import Callable
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


def kernel(*types: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Compile a function for arguments of these types; the return type is inferred."""
    compile_for: Callable[[Callable[..., Any]], Callable[..., Any]]
    compile_for = numba.njit(types, cache=True, nogil=True)
    return compile_for


# For functions that kernels call: compiled into them, for the types that they pass.
helper = numba.njit(cache=True, nogil=True)


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
