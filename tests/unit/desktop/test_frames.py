"""Frames of RFC 6455 that carry messages of every length."""

from __future__ import annotations

import pytest

from hub.desktop.frames import frame


@pytest.mark.parametrize(
    ("size", "head"),
    [
        (0, "8100"),
        (125, "817d"),
        (126, "817e007e"),
        (65535, "817effff"),
        (65536, "817f0000000000010000"),
    ],
)
def test_a_message_is_one_frame_with_its_length(size, head):
    assert frame(b"x" * size) == bytes.fromhex(head) + b"x" * size
