"""Wire format: what is written is read again, wherever a stream is cut, whatever its content."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hub.desktop.codec import (
    MAX_ELEMENTS,
    MAX_INSTRUCTION,
    CodecError,
    Watch,
    complete,
    decode,
    encode,
    end_of_complete,
)

unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=150) | st.sampled_from(
    ["", "😀", "4.sync,1.0;", ";", ",", "\0", "é" * 120, "9.clipboard,", "x" * 5000]
)
ELEMENTS = st.lists(TEXT, min_size=1, max_size=8).filter(
    lambda one: sum(map(len, one)) < 1800 or len(one) < 2
)
STREAM = st.lists(ELEMENTS, max_size=8)


def carried(data: bytes, cuts: list[int]) -> list[tuple[str, ...]]:
    """Instructions of a stream that comes in pieces, each piece cut at its last complete one."""
    instructions, rest, start = [], b"", 0
    for cut in [*sorted(cuts), len(data)]:
        rest += data[start:cut]
        start = max(start, cut)
        end = end_of_complete(rest)
        instructions += decode(rest[:end].decode())
        rest = rest[end:]
        assert len(rest) <= MAX_INSTRUCTION
    assert rest == b""
    return instructions


@unhurried
@given(ELEMENTS)
def test_what_is_written_is_read_again(elements):
    assert decode(encode(*elements)) == [tuple(elements)]


@unhurried
@given(STREAM, st.lists(st.integers(0, 8000), max_size=12))
def test_a_stream_cut_anywhere_gives_the_same_instructions(stream, cuts):
    data = "".join(encode(*one) for one in stream).encode()
    assert carried(data, [min(cut, len(data)) for cut in cuts]) == [tuple(one) for one in stream]


@unhurried
@given(STREAM, ELEMENTS)
def test_half_an_instruction_is_left_for_later(stream, last):
    whole = "".join(encode(*one) for one in stream).encode()
    half = encode(*last).encode()
    for cut in {0, 1, len(half) // 2, len(half) - 1}:
        assert end_of_complete(whole + half[:cut]) == len(whole)


@unhurried
@given(st.binary(max_size=400) | st.text(max_size=200).map(lambda text: text.encode(errors="surrogatepass")))
def test_no_bytes_raise_anything_else(data):
    with contextlib.suppress(CodecError):
        end = end_of_complete(data)
        assert 0 <= end <= len(data)
        text = data[:end].decode()
        assert "".join(encode(*one) for one in decode(text)) == text
    with contextlib.suppress(CodecError):
        decode(data.decode(errors="replace"))


@unhurried
@given(st.text("0123456789.,;ab", max_size=60))
def test_scan_and_decoder_read_the_same_grammar(text):
    try:
        end = end_of_complete(text.encode())
    except CodecError:
        end = None
    try:
        decode(text)
        is_whole = True
    except CodecError:
        is_whole = False
    assert is_whole == (end == len(text))


@pytest.mark.parametrize(
    "data",
    [
        b"04.sync;",  # guacd would read it, somebody else as octal
        b"+4.sync;",
        b" 4.sync;",
        b"-1.;",
        b"4x.sync;",
        b".sync;",
        b"4.sync.",
        b"3.sync;",
        b"99999.",
        b"123456.",
        "٤.sync;".encode(),
        b"\xff\xfe",
        b"1.\xed\xa0\x80;",
        b"8192." + b"x" * 9000,
        b"9000.",
        b"0." + b",0." * MAX_ELEMENTS + b";",
        b"99." + b"x" * 99 + (b",99." + b"x" * 99) * 100 + b";",
    ],
)
def test_what_is_not_an_instruction_is_refused(data):
    with pytest.raises(CodecError):
        end_of_complete(data)


@pytest.mark.parametrize("elements", [(), ("\ud800",), ("x" * MAX_INSTRUCTION,), ("",) * (MAX_ELEMENTS + 1)])
def test_what_cannot_be_sent_is_not_written(elements):
    with pytest.raises(CodecError):
        encode(*elements)


def test_the_limits_themselves_pass():
    most = encode(*[""] * MAX_ELEMENTS)
    large = encode("blob", "0", "x" * (MAX_INSTRUCTION - len("4.blob,1.0,8173.;")))
    assert len(large) == MAX_INSTRUCTION
    for one in (most, large):
        assert end_of_complete(one.encode()) == len(one)
        assert len(decode(one)) == 1


def test_nothing_more_than_the_limit_is_kept():
    with pytest.raises(CodecError):
        end_of_complete(b"4.sync;" + b"4.name,8000." + "é".encode() * 4096)


@unhurried
@given(STREAM, st.sampled_from(["clipboard", "file"]), st.integers(0, 8), ELEMENTS)
def test_a_watched_instruction_is_always_noticed(stream, opcode, place, arguments):
    watched = [opcode, *arguments][:8]
    data = "".join(encode(*one) for one in [*stream[:place], watched, *stream[place:]]).encode()
    assert complete(data, Watch(["clipboard", "file"])) == (len(data), True)


def test_others_are_not_noticed():
    data = (
        encode("img", "1", "14", "0", "image/png", "0", "0") + encode("blob", "1", "A" * 8000)
    ).encode() * 3
    assert complete(data, Watch(["clipboard", "file"])) == (len(data), False)
