"""Threads beside the parsing: the order stays, errors come out, nothing runs on after the end."""

from collections.abc import Iterator

import pytest

from opsanalytics.cleaning.beside import DEPTH, Behind, ahead, side_by_side


def test_items_keep_their_order() -> None:
    assert list(ahead(iter(range(50)))) == list(range(50))


def test_only_a_few_items_are_made_ahead() -> None:
    made: list[int] = []

    def making() -> Iterator[int]:
        for number in range(50):
            made.append(number)
            yield number

    for used in ahead(making()):
        assert len(made) <= used + 1 + DEPTH


def test_an_error_of_the_making_comes_out_after_what_was_made_before() -> None:
    def making() -> Iterator[int]:
        yield 1
        raise OSError("gone")

    taken = ahead(making())
    assert next(taken) == 1
    with pytest.raises(OSError, match="gone"):
        next(taken)


def test_calls_are_made_in_order_and_done_at_the_end() -> None:
    done: list[int] = []
    with Behind(done.append) as behind:
        for number in range(50):
            behind.add(number)
    assert done == list(range(50))


@pytest.mark.parametrize("items", [1, 20])
def test_an_error_of_a_call_is_raised(items: int) -> None:
    def fail(item: int) -> None:
        raise OSError("disk full")

    def call() -> None:
        with Behind(fail) as behind:
            for number in range(items):
                behind.add(number)

    with pytest.raises(OSError, match="disk full"):
        call()


def test_calls_side_by_side_keep_their_order() -> None:
    assert list(side_by_side(lambda number: number * 2, range(50))) == list(range(0, 100, 2))


def test_an_error_side_by_side_ends_the_calls() -> None:
    called: list[int] = []

    def fail(number: int) -> None:
        called.append(number)
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        list(side_by_side(fail, range(50)))
    assert len(called) <= 3
