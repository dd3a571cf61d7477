"""Compilation by Numba, as every `kernels` module of the project uses it.

A compiled function calls none of another file: Numba keeps compiled code on disk and looks only at the
file of the outermost function to see whether it is stale. So every `kernels` module stands by itself.
"""

import logging
from collections.abc import Callable
from typing import Any, TypeVar, cast

from numba import njit

Compiled = TypeVar("Compiled", bound=Callable[..., Any])
# Wrappers that nobody calls take a third of the time to compile.
OUTER: dict[str, Any] = {"nogil": True, "no_cfunc_wrapper": True}
INNER: dict[str, Any] = OUTER | {"no_cpython_wrapper": True}

logger = logging.getLogger(__name__)


def compiled(function: Compiled) -> Compiled:
    """Compile at the first call; keep the machine code on disk where there is a place to.

    Numba looks beside the file, then in the user's cache folder, or in NUMBA_CACHE_DIR. Where none can
    be written (a read-only container), every process compiles anew.
    """
    try:
        return cast(Compiled, njit(cache=True, **OUTER)(function))
    except RuntimeError as error:
        logger.warning("compiling anew in each process, set NUMBA_CACHE_DIR to keep it: %s", error)
        return cast(Compiled, njit(**OUTER)(function))


def inner(function: Compiled) -> Compiled:
    """As `compiled`, for functions that only compiled functions of the same file call: quicker to compile."""
    return cast(Compiled, njit(**INNER)(function))
