"""What does not reach a browser that may not have it."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hub.desktop.codec import complete, decode, encode
from hub.desktop.models import Decision
from hub.desktop.output import OutputFilter

unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
MAY_COPY = Decision(may_stay=True, may_copy=True)
MAY_NOT = Decision(may_stay=True, may_copy=False)
MAY_ALL = Decision(may_stay=True, may_copy=True, may_transfer=True)

PICTURE = (
    encode("img", "1", "14", "0", "image/png", "0", "0"),
    encode("blob", "1", "A" * 6000),
    encode("end", "1"),
    encode("sync", "1700000000000"),
)
CLIPBOARD = (encode("clipboard", "0", "text/plain"), encode("blob", "0", "c2VjcmV0"), encode("end", "0"))


def fed(one: OutputFilter, chunk: str) -> tuple[str, str]:
    data = chunk.encode()
    end, is_seen = complete(data, one.watch)
    assert end == len(data)
    passed, back = one.feed(data, is_seen=is_seen)
    return passed.decode(), back.decode()


@unhurried
@given(st.lists(st.booleans(), min_size=6, max_size=6))
def test_the_clipboard_is_taken_out_wherever_the_chunks_end(cuts):
    mixed = [PICTURE[0], CLIPBOARD[0], PICTURE[1], CLIPBOARD[1], PICTURE[2], CLIPBOARD[2], PICTURE[3]]
    chunks = [mixed[0]]
    for cut, text in zip(cuts, mixed[1:], strict=True):
        chunks = [*chunks, text] if cut else [*chunks[:-1], chunks[-1] + text]
    one = OutputFilter(MAY_NOT)
    assert "".join(fed(one, chunk)[0] for chunk in chunks) == "".join(PICTURE)
    other = OutputFilter(MAY_COPY)
    assert "".join(fed(other, chunk)[0] for chunk in chunks) == "".join(mixed)


def test_a_picture_that_takes_the_index_of_a_clipboard_passes():
    one = OutputFilter(MAY_NOT)
    assert fed(one, CLIPBOARD[0])[0] == ""
    picture = encode("img", "0", "14", "0", "image/png", "0", "0") + encode("blob", "0", "AAAA")
    assert fed(one, picture)[0] == picture


@pytest.mark.parametrize(
    "opening",
    [
        encode("file", "5", "text/plain", "x"),
        encode("body", "0", "5", "text/plain", "/x"),
        encode("pipe", "5", "a/b", "x"),
    ],
)
def test_files_are_refused_to_guacd(opening):
    passed, back = fed(OutputFilter(MAY_COPY), opening + encode("blob", "5", "AAAA") + PICTURE[3])
    assert passed == PICTURE[3]
    assert decode(back) == [("ack", "5", "Refused", "771")]
    assert fed(OutputFilter(MAY_ALL), opening) == (opening, "")


def test_rights_change_at_once():
    one = OutputFilter(MAY_COPY)
    assert fed(one, "".join(CLIPBOARD))[0] == "".join(CLIPBOARD)
    one.decide(MAY_NOT)
    assert fed(one, "".join(CLIPBOARD))[0] == ""
