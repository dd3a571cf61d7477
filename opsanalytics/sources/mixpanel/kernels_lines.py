"""Reading export lines byte by byte, compiled by Numba: where each member lies, nothing copied.

JSON is judged strictly (RFC 8259), and more narrowly than the careful reader does: a line that this does not
accept is not broken, it is left to that one.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from opsanalytics.compilation import compiled, inner

ABSENT, PLAIN, ESCAPED, WHOLE = 0, 1, 2, 3
"""What a member holds: nothing (or null), text as it stands, text with escapes, a whole number."""
OTHER = 4
TEXT, NUMBER, UNEXPECTED = 0, 1, 2
"""Roles of members: read as text, read as a number, left to the careful reader unless null."""
DEEPEST = 60
LONGEST_NUMBER = 4_000
WHOLE_DIGITS = 18
INLINE = 12
"""Texts up to here lie inside their Arrow view."""

QUOTE, BACKSLASH, COMMA, COLON, MINUS, PLUS, POINT = 34, 92, 44, 58, 45, 43, 46
OPEN_OBJECT, CLOSE_OBJECT, OPEN_LIST, CLOSE_LIST = 123, 125, 91, 93
ZERO, NINE = 48, 57
STANDS_ALONE = np.ones(256, np.uint8)
"""Bytes of text that are neither its end, nor an escape, nor forbidden."""
STANDS_ALONE[:32] = STANDS_ALONE[QUOTE] = STANDS_ALONE[BACKSLASH] = 0
EACH = np.uint64(0x0101010101010101)
"""One in each of eight bytes."""
HIGH, QUOTES, BACKSLASHES, SPACES = (
    EACH * np.uint64(128),
    EACH * np.uint64(34),
    EACH * np.uint64(92),
    EACH * np.uint64(32),
)
GUESSES = 64
"""Of so many members of an object is remembered how they were called in the line before."""


def _generated(function: Callable[..., Any]) -> Any:
    """A function that compiled ones call, made of the instructions that `function` gives for its types."""
    return intrinsic(function)


@_generated
def _address(_: Any, content: Any) -> tuple[Any, Callable[..., Any]]:
    """Where the bytes of an array lie: to be read from there, without counting who holds the array."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return context.make_array(signature.args[0])(context, builder, arguments[0]).data

    return types.CPointer(content.dtype)(content), generate  # type: ignore[no-untyped-call]


@_generated
def _eight(_: Any, b: Any, _at: Any) -> tuple[Any, Callable[..., Any]]:
    """The eight bytes from `at`, the first the lowest. Compiles to one load; nothing is checked."""

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        word = builder.bitcast(builder.gep(arguments[0], [arguments[1]]), cgutils.intp_t.as_pointer())
        return builder.load(word, align=1)

    return types.uint64(b, types.int64), generate


@_generated
def _lowest(_: Any, _word: Any) -> tuple[Any, Callable[..., Any]]:
    """How many zero bits stand below the lowest one of a word that is not zero."""

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.cttz(arguments[0], cgutils.true_bit)

    return types.int64(types.uint64), generate


@inner
def _plain_end(b: Any, i: int, end: int) -> int:
    """The first byte from `i` that does not stand alone, eight looked at together; `end`: none."""
    while i + 8 <= end:
        word = _eight(b, i)
        quotes, escapes = word ^ QUOTES, word ^ BACKSLASHES
        # A byte borrows only from those above it: the lowest one that is found is right.
        found = (
            ((quotes - EACH) & ~quotes) | ((escapes - EACH) & ~escapes) | ((word - SPACES) & ~word)
        ) & HIGH
        if found:
            return i + int(_lowest(found) >> 3)
        i += 8
    while i < end and STANDS_ALONE[b[i]]:
        i += 1
    return i


@inner
def _same(b: Any, one: int, other: int, length: int) -> bool:
    """Whether the bytes from `one` and from `other` are equal."""
    k = 0
    while k + 8 <= length:
        if _eight(b, one + k) != _eight(b, other + k):
            return False
        k += 8
    while k < length:
        if b[one + k] != b[other + k]:
            return False
        k += 1
    return True


@inner
def _after_space(b: Any, i: int, end: int) -> int:
    while i < end and (b[i] == 32 or b[i] == 9 or b[i] == 13):
        i += 1
    return i


@inner
def _hexadecimal(b: Any, i: int, end: int) -> int:
    """Value of four digits, or -1."""
    if i + 4 > end:
        return -1
    value = 0
    for k in range(i, i + 4):
        c = b[k]
        if ZERO <= c <= NINE:
            digit = c - ZERO
        elif 97 <= c <= 102:
            digit = c - 87
        elif 65 <= c <= 70:
            digit = c - 55
        else:
            return -1
        value = value * 16 + digit
    return value


@inner
def _text_end(b: Any, i: int, end: int) -> tuple[int, bool]:
    """Of text that begins at `i`: where its closing quote is (-1: nowhere), and whether it has escapes."""
    escaped = False
    while True:
        i = _plain_end(b, i, end)
        if i < end and b[i] == QUOTE:
            return i, escaped
        if i + 1 >= end or b[i] != BACKSLASH:
            return -1, escaped
        escaped = True
        c = b[i + 1]
        if c == 117:  # u
            code = _hexadecimal(b, i + 2, end)
            if code < 0 or 0xDC00 <= code <= 0xDFFF:
                return -1, escaped
            i += 6
            if 0xD800 <= code <= 0xDBFF:
                if i + 1 >= end or b[i] != BACKSLASH or b[i + 1] != 117:
                    return -1, escaped
                low = _hexadecimal(b, i + 2, end)
                if low < 0xDC00 or low > 0xDFFF:
                    return -1, escaped
                i += 6
        elif c == 34 or c == 92 or c == 47 or c == 98 or c == 102 or c == 110 or c == 114 or c == 116:
            i += 2
        else:
            return -1, escaped


@inner
def _digits_end(b: Any, i: int, end: int) -> int:
    while i < end and ZERO <= b[i] <= NINE:
        i += 1
    return i


@inner
def _number_end(b: Any, i: int, end: int) -> tuple[int, bool]:
    """Where a number ends (-1: it is none, or very long), and whether it is whole and not `-0`."""
    begin = i
    if b[i] == MINUS:
        i += 1
    first = i
    i = _digits_end(b, i, end)
    if i == first or (b[first] == ZERO and i > first + 1):
        return -1, False
    whole = not (b[first] == ZERO and first > begin)
    if i < end and b[i] == POINT:
        whole = False
        fraction = i + 1
        i = _digits_end(b, fraction, end)
        if i == fraction:
            return -1, False
    if i < end and (b[i] == 101 or b[i] == 69):
        whole = False
        i += 1
        if i < end and (b[i] == PLUS or b[i] == MINUS):
            i += 1
        exponent = i
        i = _digits_end(b, exponent, end)
        if i == exponent:
            return -1, False
    if i - begin >= LONGEST_NUMBER:
        return -1, False
    return i, whole


@inner
def _word_end(b: Any, i: int, end: int) -> int:
    """Where `true`, `false` or `null` ends, or -1."""
    if i + 4 <= end:
        if b[i] == 116 and b[i + 1] == 114 and b[i + 2] == 117 and b[i + 3] == 101:
            return i + 4
        if b[i] == 110 and b[i + 1] == 117 and b[i + 2] == 108 and b[i + 3] == 108:
            return i + 4
    if (
        i + 5 <= end
        and b[i] == 102
        and b[i + 1] == 97
        and b[i + 2] == 108
        and b[i + 3] == 115
        and b[i + 4] == 101
    ):
        return i + 5
    return -1


@inner
def _scalar_end(b: Any, i: int, end: int) -> int:
    c = b[i]
    if c == QUOTE:
        closing, _ = _text_end(b, i + 1, end)
        return closing + 1 if closing >= 0 else -1
    if c == MINUS or ZERO <= c <= NINE:
        after, _ = _number_end(b, i, end)
        return after
    return _word_end(b, i, end)


@inner
def _container_end(b: Any, i: int, end: int) -> int:
    """Where the object or list that begins at `i` ends, or -1."""
    objects = np.uint64(0)  # bit d: the container at depth d is an object
    depth = 0
    value_next = True
    while True:
        i = _after_space(b, i, end)
        if i >= end:
            return -1
        if value_next:
            c = b[i]
            if c in (OPEN_OBJECT, OPEN_LIST):
                if depth == DEEPEST:
                    return -1
                here = np.uint64(1) << np.uint64(depth)
                objects = objects | here if c == OPEN_OBJECT else objects & ~here
                depth += 1
                i = _after_space(b, i + 1, end)
                if i >= end:
                    return -1
                if b[i] == (CLOSE_OBJECT if c == OPEN_OBJECT else CLOSE_LIST):
                    value_next = False
                    continue
                if c == OPEN_LIST:
                    continue
            else:
                i = _scalar_end(b, i, end)
                if i < 0:
                    return -1
                value_next = False
                continue
        else:
            inside_object = (objects >> np.uint64(depth - 1)) & np.uint64(1) == np.uint64(1)
            if b[i] == (CLOSE_OBJECT if inside_object else CLOSE_LIST):
                depth -= 1
                i += 1
                if depth == 0:
                    return i
                continue
            if b[i] != COMMA:
                return -1
            i = _after_space(b, i + 1, end)
            if i >= end:
                return -1
            value_next = True
            if not inside_object:
                continue
        # A name and its colon come before the value.
        if b[i] != QUOTE:
            return -1
        closing, _ = _text_end(b, i + 1, end)
        if closing < 0:
            return -1
        i = _after_space(b, closing + 1, end)
        if i >= end or b[i] != COLON:
            return -1
        i += 1


@inner
def _value_end(b: Any, i: int, end: int) -> int:
    if b[i] == OPEN_OBJECT or b[i] == OPEN_LIST:
        return _container_end(b, i, end)
    return _scalar_end(b, i, end)


@inner
def _value_kind(b: Any, i: int, end: int) -> tuple[int, int, int, int]:
    """Of the value at `i`: kind, where its content begins, how long that is, where the value ends (-1)."""
    c = b[i]
    if c == QUOTE:
        closing, escaped = _text_end(b, i + 1, end)
        after = closing + 1 if closing >= 0 else -1
        return (ESCAPED if escaped else PLAIN), i + 1, closing - i - 1, after
    if c == MINUS or ZERO <= c <= NINE:
        after, whole = _number_end(b, i, end)
        kind = WHOLE if whole and after - i <= WHOLE_DIGITS else OTHER
        return kind, i, after - i, after
    if c == 110:
        return ABSENT, i, 0, _word_end(b, i, end)
    return OTHER, i, 0, _value_end(b, i, end)


@inner
def _is_name(b: Any, begin: int, length: int, names: Any, name_starts: Any, name: int) -> bool:
    at = name_starts[name]
    if name_starts[name + 1] - at != length:
        return False
    same = 0
    while same < length and b[begin + same] == names[at + same]:
        same += 1
    return same == length


@inner
def _find_name(b: Any, begin: int, length: int, names: Any, name_starts: Any, candidates: Any) -> int:
    """Number of the name at `begin`, or -1. `candidates[n, :]` are the names of n bytes, ended by -1."""
    if length >= candidates.shape[0]:
        return -1
    for candidate in candidates[length]:
        name = int(candidate)
        if name < 0 or _is_name(b, begin, length, names, name_starts, name):
            return name
    return -1


@inner
def _whole(b: Any, begin: int, length: int) -> int:
    value = 0
    i = begin + 1 if b[begin] == MINUS else begin
    for k in range(i, begin + length):
        value = value * 10 + (b[k] - ZERO)
    return -value if b[begin] == MINUS else value


@inner
def _read_members(
    b: Any, i: int, end: int, row: int, names: Any, name_starts: Any, candidates: Any, roles: Any,
    slots: Any, kinds: Any, begins: Any, lengths: Any, numbers: Any, guesses: Any,
) -> int:  # fmt: skip
    """Read the object at `i` into the row. Returns where it ends, or -1.

    `guesses`: of the members of the line before, where the name begins, how long it is, its number. Lines
    of one program name their members in one order, so a name is mostly known after one comparison.
    """
    i = _after_space(b, i + 1, end)
    if i < end and b[i] == CLOSE_OBJECT:
        return i + 1
    member = -1
    while i < end:
        if b[i] != QUOTE:
            return -1
        member += 1
        guess = min(member, GUESSES - 1)
        begin, length = guesses[guess, 0], guesses[guess, 1]
        closing = i + 1 + length
        if length > 0 and closing < end and b[closing] == QUOTE and _same(b, i + 1, begin, length):
            name = guesses[guess, 2]
        else:
            closing, escaped = _text_end(b, i + 1, end)
            if closing < 0 or escaped:
                return -1
            name = _find_name(b, i + 1, closing - i - 1, names, name_starts, candidates)
            guesses[guess, 0], guesses[guess, 1], guesses[guess, 2] = i + 1, closing - i - 1, name
        i = _after_space(b, closing + 1, end)
        if i >= end or b[i] != COLON:
            return -1
        i = _after_space(b, i + 1, end)
        if i >= end:
            return -1
        if name < 0:
            i = _value_end(b, i, end)
        else:
            kind, begin, length, i = _value_kind(b, i, end)
            if i < 0 or kind == OTHER:
                return -1
            slot = slots[name]
            if roles[name] == TEXT:
                kinds[slot, row], begins[slot, row], lengths[slot, row] = kind, begin, length
            elif kind == WHOLE and roles[name] == NUMBER:
                numbers[slot, row] = _whole(b, begin, length)
            elif kind == ABSENT and roles[name] == NUMBER:
                numbers[slot, row] = 0
            elif kind != ABSENT:
                return -1
        if i < 0:
            return -1
        i = _after_space(b, i, end)
        if i >= end:
            return -1
        if b[i] == CLOSE_OBJECT:
            return i + 1
        if b[i] != COMMA:
            return -1
        i = _after_space(b, i + 1, end)
    return -1


@compiled
def read_lines(
    content: Any,
    line_begins: Any,
    line_ends: Any,
    names: Any,
    name_starts: Any,
    candidates: Any,
    roles: Any,
    slots: Any,
    kinds: Any,
    begins: Any,
    lengths: Any,
    numbers: Any,
    usual: Any,
) -> None:
    """Find the members of lines `{"event": TEXT, "properties": {...}}`.

    Args:
        names, name_starts, candidates: members of `properties` to read, see `_find_name`.
        roles, slots: by name, how it is read, and into which row of the arrays below.
        kinds, begins, lengths: by slot and line; slot 0 is the event, slot 1 the text of `properties`.
        numbers: by slot and line; 0 where absent.
        usual: set to 1 for the lines that were read.
    """
    b = _address(content)
    guesses = np.zeros((GUESSES, 3), np.int64)
    for row in range(len(line_begins)):
        end = line_ends[row]
        i = _after_space(b, line_begins[row], end)
        if i >= end or b[i] != OPEN_OBJECT:
            continue
        i = _after_space(b, i + 1, end)
        events = objects = 0
        good = False
        while i < end and b[i] == QUOTE:
            closing, escaped = _text_end(b, i + 1, end)
            if closing < 0 or escaped:
                break
            begin, length = i + 1, closing - i - 1
            i = _after_space(b, closing + 1, end)
            if i >= end or b[i] != COLON:
                break
            i = _after_space(b, i + 1, end)
            if i >= end:
                break
            if _is_name(b, begin, length, names, name_starts, 0):
                kind, begin, length, i = _value_kind(b, i, end)
                if i < 0 or (kind != PLAIN and kind != ESCAPED) or length == 0:
                    break
                events += 1
                kinds[0, row], begins[0, row], lengths[0, row] = kind, begin, length
            elif _is_name(b, begin, length, names, name_starts, 1):
                if b[i] != OPEN_OBJECT:
                    break
                begin = i
                i = _read_members(
                    b, i, end, row, names, name_starts, candidates, roles,
                    slots, kinds, begins, lengths, numbers, guesses,
                )  # fmt: skip
                if i < 0:
                    break
                objects += 1
                kinds[1, row], begins[1, row], lengths[1, row] = PLAIN, begin, i - begin
            else:
                i = _value_end(b, i, end)
                if i < 0:
                    break
            i = _after_space(b, i, end)
            if i >= end:
                break
            if b[i] == CLOSE_OBJECT:
                good = _after_space(b, i + 1, end) == end
                break
            if b[i] != COMMA:
                break
            i = _after_space(b, i + 1, end)
        if good and events == 1 and objects == 1:
            usual[row] = 1


@inner
def _write_code(out: Any, at: int, code: int) -> int:
    """One character in UTF-8. Returns where the next one goes."""
    if code < 0x80:
        out[at] = code
        return at + 1
    if code < 0x800:
        out[at] = 0xC0 | (code >> 6)
        out[at + 1] = 0x80 | (code & 63)
        return at + 2
    if code < 0x10000:
        out[at] = 0xE0 | (code >> 12)
        out[at + 1] = 0x80 | ((code >> 6) & 63)
        out[at + 2] = 0x80 | (code & 63)
        return at + 3
    out[at] = 0xF0 | (code >> 18)
    out[at + 1] = 0x80 | ((code >> 12) & 63)
    out[at + 2] = 0x80 | ((code >> 6) & 63)
    out[at + 3] = 0x80 | (code & 63)
    return at + 4


@inner
def _unescape(b: Any, i: int, end: int, out: Any, at: int) -> int:
    """Write the text from `i` to `end` without its escapes. Returns where it ends in `out`."""
    while i < end:
        c = b[i]
        if c != BACKSLASH:
            out[at] = c
            at += 1
            i += 1
            continue
        c = b[i + 1]
        i += 2
        if c == 117:
            code = _hexadecimal(b, i, end)
            i += 4
            if 0xD800 <= code <= 0xDBFF:
                code = 0x10000 + ((code - 0xD800) << 10) + (_hexadecimal(b, i + 2, end) - 0xDC00)
                i += 6
            at = _write_code(out, at, code)
            continue
        if c == 98:
            c = 8
        elif c == 102:
            c = 12
        elif c == 110:
            c = 10
        elif c == 114:
            c = 13
        elif c == 116:
            c = 9
        out[at] = c
        at += 1
    return at


@inner
def _write_view(source: Any, buffer: int, begin: int, length: int, views: Any, letters: Any, k: int) -> None:
    views[4 * k] = length
    for at in range(length if length <= INLINE else 4):
        letters[16 * k + 4 + at] = source[begin + at]
    if length > INLINE:
        views[4 * k + 2] = buffer
        views[4 * k + 3] = begin


@compiled
def write_views(
    content: Any,
    rows: Any,
    kinds: Any,
    begins: Any,
    lengths: Any,
    views: Any,
    letters: Any,
    present: Any,
    side: Any,
) -> None:
    """Arrow string views of one member of the lines `rows`; empty text is null.

    Texts lie where they are in `content` (buffer 0), those with escapes are written to `side` (buffer 1),
    which has room for all of them. Source of the layout:
    https://arrow.apache.org/docs/format/Columnar.html#variable-size-binary-view-layout

    Args:
        views: int32, four a row, zero; letters: the same memory as bytes.
        present: set to 1 where there is text.
    """
    b, out, words, texts = _address(content), _address(side), _address(views), _address(letters)
    filled = 0
    for k in range(len(rows)):
        row = rows[k]
        if kinds[row] == ABSENT or lengths[row] == 0:
            continue
        present[k] = 1
        begin, end = begins[row], begins[row] + lengths[row]
        if kinds[row] == ESCAPED:
            behind = _unescape(b, begin, end, out, filled)
            _write_view(out, 1, filled, behind - filled, words, texts, k)
            filled = behind
        else:
            _write_view(b, 0, begin, end - begin, words, texts, k)
