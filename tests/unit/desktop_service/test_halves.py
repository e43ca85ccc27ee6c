"""A join that begins with half an instruction: it goes, and nothing else does."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.desktop.codec import CodecError, complete, decode, encode
from hub.desktop.halves import without_half

BLOB = encode("blob", "1", "iVBORw0KGgoAAAANSUhEUgAA").encode()
SIZE, END, SYNC = (
    encode("size", "0", "8", "6").encode(),
    encode("end", "1").encode(),
    encode("sync", "8").encode(),
)


@pytest.mark.parametrize("cut", range(1, len(BLOB) - 1))
def test_the_second_half_of_a_picture_is_left_out(cut: int):
    data = SIZE + BLOB[cut:] + END + SYNC
    try:
        complete(data)
    except CodecError:
        assert without_half(data) == SIZE + END + SYNC
    else:
        assert without_half(data) == data, "the half is an instruction by itself, which browsers do not know"
        assert decode(BLOB[cut:].decode())[0][0] not in {"size", "img", "end", "sync"}


def test_a_half_that_is_not_all_there_goes_as_far_as_it_is_there():
    assert without_half(SYNC + b"SUhEUgAA") == SYNC
    assert without_half(b"SUhEUgAA") == b""


@given(
    st.lists(st.lists(st.text(alphabet="abc.,;0123456789", max_size=9), min_size=1, max_size=4), max_size=5)
)
def test_nothing_is_taken_from_what_is_right(instructions: list[list[str]]):
    data = "".join(encode(*elements) for elements in instructions).encode()
    assert without_half(data) == data


@given(st.binary(max_size=60))
def test_anything_else_ends_and_gets_no_longer(data: bytes):
    assert len(without_half(data)) <= len(data)
