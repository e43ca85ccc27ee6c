"""Who may send what: a table, and machines that try any order of instructions."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from hub.desktop.codec import decode, encode
from hub.desktop.filter import BURST, MAX_CLIPBOARD, MAX_MESSAGE, STREAMS, InputFilter
from hub.desktop.models import Decision, Role
from hub.desktop.status import Status

VIEWER = Decision(may_stay=True, role=Role.VIEWER)
WAITING = Decision(may_stay=True, role=Role.CONTROL)
HOLDER = Decision(may_stay=True, role=Role.CONTROL, has_control=True)
MOVER = HOLDER.model_copy(update={"may_transfer": True})
FALSE_HOLDER = VIEWER.model_copy(update={"has_control": True, "may_transfer": True})

ALWAYS = [encode("sync", "1700000000000"), encode("nop"), encode("ack", "3", "OK", "0")]
INPUT = [
    encode("mouse", "10", "-3", "1"),
    encode("mouse", "10", "20", "0", "1700000000000"),
    encode("key", "97", "1"),
    encode("touch", "1", "10", "20", "1.5", "1.5", "0", "0.5"),
]
CLIPBOARD = encode("clipboard", "0", "text/plain")
BLOB = encode("blob", "0", "aGVsbG8=")
END = encode("end", "0")
FILE = encode("file", "0", "text/plain", "a b.txt")
PUT = encode("put", "0", "0", "text/plain", "/home/é.txt")
NEVER = [
    encode("size", "800", "600"),
    encode("argv", "0", "text/plain", "password"),
    encode("audio", "0", "audio/L16"),
    encode("pipe", "0", "text/plain", "x"),
    encode("connect", "x"),
    encode("select", "vnc"),
    encode("mouse\0x", "1", "1", "1"),
    encode("Mouse", "1", "1", "1"),
    encode("mouse", "1", "1"),
    encode("mouse", "1 ", "1", "1"),
    encode("mouse", "1", "1", "1\0"),
    encode("key", "97", "2"),
    encode("sync", "soon"),
    encode("sync", "١"),
    encode("", "other"),
    encode("", "ping", "x"),
    encode("file", "0", "text/plain", ".."),
    encode("file", "0", "text/plain", "../../etc/passwd"),
    encode("put", "0", "0", "text/plain", "/a/../b"),
    encode("get", "0", "/a/./b"),
    encode("file", "0", "text/plain", "a\nb"),
]


@pytest.mark.parametrize("decision", [VIEWER, WAITING, HOLDER, MOVER, FALSE_HOLDER])
def test_what_passes_always_and_never(decision):
    one = InputFilter(decision)
    assert one.feed("".join(ALWAYS)).forward == "".join(ALWAYS)
    for text in NEVER:
        filtered = one.feed(text)
        assert (filtered.forward, filtered.ends) == ("", None), text
        assert one.feed(BLOB + END).forward == "", text


@pytest.mark.parametrize(
    ("decision", "passes"),
    [(VIEWER, ""), (WAITING, ""), (FALSE_HOLDER, ""), (HOLDER, "input"), (MOVER, "files")],
)
def test_what_needs_control_and_what_needs_more(decision, passes):
    one = InputFilter(decision)
    moved = one.feed("".join(INPUT))
    assert moved.forward == ("".join(INPUT) if passes else "")
    assert moved.had_input == bool(passes)
    assert one.feed(CLIPBOARD + BLOB + END).forward == (CLIPBOARD + BLOB + END if passes else "")
    for opening in (FILE, PUT):
        assert one.feed(opening + BLOB + END).forward == (opening + BLOB + END if passes == "files" else "")


def test_a_ping_comes_back_and_goes_nowhere_else():
    ping = encode("", "ping", "1700000000000")
    filtered = InputFilter(VIEWER).feed(ping + ALWAYS[0])
    assert (filtered.reply, filtered.forward) == (ping, ALWAYS[0])


@pytest.mark.parametrize(
    ("message", "status"),
    [
        ("4.sync,1.1", Status.CLIENT_BAD_REQUEST),
        ("4.sync,1.1;4.nop;", Status.CLIENT_BAD_REQUEST),
        ("x", Status.CLIENT_BAD_REQUEST),
        ("3.nop;" * (MAX_MESSAGE // 6 + 1), Status.CLIENT_OVERRUN),
        ("4.name,20000." + "é" * 40000 + ";", Status.CLIENT_OVERRUN),
        ("4.disc", Status.CLIENT_BAD_REQUEST),
    ],
)
def test_a_bad_message_ends_it_and_nothing_of_it_passes(message, status):
    one = InputFilter(HOLDER)
    filtered = one.feed(message)
    assert (filtered.ends, filtered.forward, filtered.reply) == (status, "", "")
    assert one.feed(INPUT[0]).forward == ""


def test_what_follows_a_disconnect_does_not_pass():
    filtered = InputFilter(HOLDER).feed(INPUT[0] + encode("disconnect") + INPUT[2])
    assert (filtered.forward, filtered.ends) == (INPUT[0], Status.SUCCESS)


def test_too_many_instructions_end_it():
    now = 0.0
    one = InputFilter(HOLDER, clock=lambda: now)
    message = "3.nop;" * 5000
    assert [one.feed(message).ends for _ in range(int(BURST) // 5000)] == [None, None]
    now += 2.5  # as many as have become free since
    assert one.feed(message).ends is None
    assert one.feed(message).ends is Status.CLIENT_TOO_MANY


def test_a_clipboard_beyond_the_limit_never_ends_for_guacd():
    one = InputFilter(HOLDER)
    one.feed(CLIPBOARD)
    blob = encode("blob", "0", "A" * 8000)
    passed = 0
    while one.feed(blob).forward:
        passed += 6000
    assert MAX_CLIPBOARD - 6000 <= passed <= MAX_CLIPBOARD
    assert one.feed(END).forward == ""


def test_a_refused_stream_is_told_to_its_writer():
    reply = InputFilter(VIEWER).feed(CLIPBOARD).reply
    assert decode(reply) == [("ack", "0", "Refused", str(int(Status.CLIENT_FORBIDDEN)))]
    reply = InputFilter(HOLDER).feed(encode("clipboard", "7", "image/png")).reply
    assert decode(reply) == [("ack", "7", "Refused", str(int(Status.CLIENT_BAD_TYPE)))]


def test_clipboards_are_rare():
    one = InputFilter(HOLDER, clock=lambda: 0.0)
    passed = sum(bool(one.feed(CLIPBOARD).forward) for _ in range(100))
    assert passed == 20


def test_a_stream_ends_with_the_right_to_it():
    one = InputFilter(HOLDER)
    one.feed(CLIPBOARD)
    one.decide(VIEWER)
    assert one.feed(BLOB).forward == ""
    one.decide(HOLDER)
    assert one.feed(BLOB + END).forward == "", "the stream is not the one that was opened"


def test_an_index_that_is_used_again_for_what_is_refused_is_refused():
    one = InputFilter(HOLDER)
    one.feed(CLIPBOARD)
    assert one.feed(encode("argv", "0", "text/plain", "password") + BLOB + END).forward == ""


def test_keys_and_buttons_are_let_go_of_with_control():
    one = InputFilter(HOLDER)
    one.feed(encode("key", "97", "1") + encode("key", "98", "1") + encode("key", "97", "0") + INPUT[0])
    assert decode(one.decide(WAITING)) == [("key", "98", "0"), ("mouse", "10", "-3", "0")]
    assert one.decide(WAITING) == ""


NUMBER = st.sampled_from(["0", "1", "5", "63", "64", "-1", "00", "1x", "", "99999"])
ANY = st.one_of(
    st.sampled_from([*ALWAYS, *INPUT, CLIPBOARD, BLOB, END, FILE, PUT, *NEVER, encode("disconnect")]),
    st.builds(
        lambda opcode, rest: encode(opcode, *rest),
        st.sampled_from(
            ["mouse", "key", "touch", "clipboard", "blob", "end", "file", "put", "get", "pipe", "argv", "ack"]
        ),
        st.lists(NUMBER | st.sampled_from(["text/plain", "aGVsbG8=", "/a", "x"]), max_size=5),
    ),
)


class Rights(RuleBasedStateMachine):
    """Any instructions while rights come and go, beside a model of what guacd may be told."""

    @initialize()
    def begin(self):
        self.decision = VIEWER
        self.filter = InputFilter(VIEWER, clock=lambda: 0.0)
        self.open: set[str] = set()
        self.is_over = False

    @rule(decision=st.sampled_from([VIEWER, WAITING, HOLDER, MOVER, FALSE_HOLDER]))
    def decide(self, decision):
        released = decode(self.filter.decide(decision))
        assert all(opcode in {"key", "mouse"} and rest[-1] == "0" for opcode, *rest in released)
        self.decision = decision
        if not self._has_control():
            self.open.clear()

    @rule(message=st.lists(ANY, min_size=1, max_size=6))
    def send(self, message):
        filtered = self.filter.feed("".join(message))
        for opcode, *arguments in decode(filtered.forward):
            assert not self.is_over
            assert opcode in {"sync", "nop", "ack"} or self._has_control(), opcode
            assert opcode in {
                *(
                    "sync",
                    "nop",
                    "ack",
                    "mouse",
                    "key",
                    "touch",
                    "clipboard",
                    "blob",
                    "end",
                    "file",
                    "put",
                    "get",
                )
            }
            if opcode in {"file", "put", "get"}:
                assert self.decision.may_transfer
            if opcode in {"clipboard", "file"}:
                self.open.add(arguments[0])
            if opcode == "put":
                self.open.add(arguments[1])
            if opcode in {"blob", "end"}:
                assert arguments[0] in self.open
            if opcode == "end":
                self.open.discard(arguments[0])
            assert len(self.open) <= STREAMS
        self.is_over = self.is_over or filtered.ends is not None

    def _has_control(self):
        return self.decision in (HOLDER, MOVER)


TestRights = Rights.TestCase
TestRights.settings = settings(
    max_examples=60, stateful_step_count=30, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
