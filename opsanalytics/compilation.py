"""Compilation by Numba, as every `kernels` module of the project uses it.

Numba keeps compiled code on disk and looks only at the file of the outermost function to see whether it is
stale. Here the files of all `kernels` modules of the folder count, so that they can call each other.
"""

import hashlib
import logging
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, cast

from numba import njit
from numba.core.caching import FunctionCache
from numba.core.runtime.nrt import rtsys

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
    dispatcher = njit(**OUTER)(function)
    try:
        dispatcher._cache = _Kept(function)
    except RuntimeError as error:
        logger.warning("compiling anew in each process, set NUMBA_CACHE_DIR to keep it: %s", error)
    return cast(Compiled, dispatcher)


def inner(function: Compiled) -> Compiled:
    """As `compiled`, for what only kernels of the same folder call: quicker to compile."""
    return cast(Compiled, njit(**INNER)(function))


class _Kept(FunctionCache):
    """Compiled code on disk, by the content of all kernels that stand beside the function."""

    def __init__(self, function: Callable[..., Any]) -> None:
        numba: Any = super()
        numba.__init__(function)

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        # Numba would import here all it knows to compile, a third of a second for code that is there already;
        # it does so anyway before it compiles anything.
        rtsys.initialize(target_context)
        numba: Any = self
        with numba._guard_against_spurious_io_errors():
            return numba._load_overload(sig, target_context)

    def _index_key(self, sig: Any, codegen: Any) -> tuple[Any, ...]:
        numba: Any = super()
        folder = Path(self._py_func.__code__.co_filename).parent
        return (*numba._index_key(sig, codegen), _content(folder))


@cache
def _content(folder: Path) -> str:
    """Of the kernels of a folder."""
    digest = hashlib.sha256()
    for path in sorted(folder.glob("kernels*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()
