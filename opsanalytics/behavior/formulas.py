"""Arithmetic over series: `A / B`, `(A - B) * 100`."""

import ast
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

LONGEST = 200
"""Characters of a formula."""
_OPERATIONS: Mapping[type[ast.operator], Any] = {
    ast.Add: np.add,
    ast.Sub: np.subtract,
    ast.Mult: np.multiply,
    ast.Div: np.divide,
}


def formula_names(text: str) -> set[str]:
    """Letters of the series that a formula reads.

    Raises:
        ValueError: it is not made of letters, numbers, `+ - * /` and parentheses.
    """
    return {node.id for node in ast.walk(_parsed(text)) if isinstance(node, ast.Name)}


def evaluate(text: str, values: Mapping[str, npt.NDArray[np.float64]]) -> npt.NDArray[np.float64]:
    """The formula of these values, element by element; NaN where it has no finite value (0 / 0, 1 / 0).

    Raises:
        ValueError: see `formula_names`. KeyError: a letter has no values.
    """
    with np.errstate(all="ignore"):
        found = np.asarray(_value(_parsed(text), values), np.float64)
    size = np.broadcast_shapes(*(each.shape for each in values.values()), found.shape)
    return np.where(np.isfinite(found), found, np.nan) * np.ones(size)


@lru_cache(maxsize=256)
def _parsed(text: str) -> ast.expr:
    if len(text) > LONGEST:
        raise ValueError(f"formula: longer than {LONGEST} characters")
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise ValueError(f"formula {text!r} cannot be read; write it as in 'A / B'") from None
    _check(tree, text)
    return tree


def _check(node: ast.expr, text: str) -> None:
    if isinstance(node, ast.BinOp) and type(node.op) in _OPERATIONS:
        _check(node.left, text)
        _check(node.right, text)
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.USub, ast.UAdd)):
        _check(node.operand, text)
    elif isinstance(node, ast.Constant) and type(node.value) in (int, float):
        return
    elif not (isinstance(node, ast.Name) and len(node.id) == 1 and "A" <= node.id <= "Z"):
        raise ValueError(
            f"formula {text!r}: {ast.unparse(node)!r} is none of: a letter of a series (A, B, ...), "
            "a number, + - * / or parentheses"
        )


def _value(node: ast.expr, values: Mapping[str, npt.NDArray[np.float64]]) -> Any:
    if isinstance(node, ast.BinOp):
        return _OPERATIONS[type(node.op)](_value(node.left, values), _value(node.right, values))
    if isinstance(node, ast.UnaryOp):
        inner = _value(node.operand, values)
        return np.negative(inner) if isinstance(node.op, ast.USub) else inner
    if isinstance(node, ast.Name):
        return values[node.id]
    return np.float64(ast.literal_eval(node))
