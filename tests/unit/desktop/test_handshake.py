"""Handshake with every generation of guacd, from its own lists of parameters, and with what goes wrong."""

from __future__ import annotations

import asyncio

import pytest
from pydantic import ValidationError

from hub.desktop.codec import decode, encode
from hub.desktop.handshake import ClientFacts, HandshakeError, handshake
from hub.desktop.status import Status

ID = "$7e3debd1-0000-4000-8000-000000000000"
OLD = ("hostname", "port", "read-only", "encodings", "password", "color-depth", "clipboard-encoding")
NAMES_1_3 = (*OLD, "username", "disable-copy", "disable-paste", "recording-path")
NAMES_1_5 = (*NAMES_1_3, "force-lossless", "wol-udp-port")
NAMES_1_6 = (*NAMES_1_5, "disable-display-resize", "quality-level", "compress-level", "disable-server-input")
GENERATIONS = {
    "1.0.0": (OLD, None),
    "1.1.0": (("VERSION_1_1_0", *OLD), "VERSION_1_1_0"),
    "1.3.0": (("VERSION_1_3_0", *NAMES_1_3), "VERSION_1_3_0"),
    "1.5.0": (("VERSION_1_5_0", *NAMES_1_5), "VERSION_1_5_0"),
    "1.6.0": (("VERSION_1_6_0", *NAMES_1_6), "VERSION_1_5_0"),
    "another order": (("VERSION_1_5_0", *reversed(NAMES_1_5)), "VERSION_1_5_0"),
}
VALUES = {
    "hostname": "127.0.0.1",
    "port": "5901",
    "password": "päss,1.x;",
    "quality-level": "9",
    "unheard": "of",
}


class Guacd:
    """Says its lines, one after each word that it knows; keeps what it was told."""

    def __init__(self, *, args: str, ready: str, closes: bool = False) -> None:
        self.reader = asyncio.StreamReader()
        self.told: list[tuple[str, ...]] = []
        self._lines = {"select": args, "connect": ready}
        self._closes = closes

    def write(self, data: bytes) -> None:
        for instruction in decode(data.decode()):
            self.told.append(instruction)
            line = self._lines.pop(instruction[0], "")
            for byte in line.encode():
                self.reader.feed_data(bytes([byte]))
            if self._closes and (not self._lines or not line):
                self.reader.feed_eof()

    async def drain(self) -> None:
        pass


async def shake(guacd: Guacd, *, select: str = "vnc", values=VALUES, **given):
    return await handshake(
        guacd.reader,
        guacd,  # type: ignore[arg-type]
        select=select,
        values=values,
        client=ClientFacts(timezone="Europe/Paris", image=("image/webp",)),
        **given,
    )


@pytest.mark.parametrize("generation", GENERATIONS)
async def test_values_go_by_name(generation):
    names, version = GENERATIONS[generation]
    guacd = Guacd(args=encode("args", *names), ready=encode("ready", ID) + encode("sync", "1") + "4.siz")
    connected = await shake(guacd, name="Ada")
    assert (connected.id, connected.rest) == (ID, b"4.sync,1.1;4.siz")
    told = {opcode: arguments for opcode, *arguments in guacd.told}
    assert told["size"] == ["1600", "900", "96"]
    assert told["image"] == ["image/webp"]
    assert ("timezone" in told) == (generation != "1.0.0")
    assert ("name" in told) == (version == "VERSION_1_5_0")
    got = dict(zip(names, told["connect"], strict=True))
    if version is not None:
        assert got.pop(names[0]) == version
    assert got == {name: VALUES.get(name, "") for name in got}


@pytest.mark.parametrize(
    ("script", "select", "status"),
    [
        ({"args": "", "ready": "", "closes": True}, ID, Status.RESOURCE_NOT_FOUND),
        ({"args": "", "ready": "", "closes": True}, "vnc", Status.UPSTREAM_ERROR),
        ({"args": encode("error", "no", "519"), "ready": ""}, "vnc", Status.UPSTREAM_NOT_FOUND),
        ({"args": encode("error", "no", "4711"), "ready": ""}, "vnc", Status.SERVER_ERROR),
        ({"args": encode("error", "no", "x"), "ready": ""}, "vnc", Status.UPSTREAM_ERROR),
        ({"args": encode("disconnect"), "ready": ""}, "vnc", Status.UPSTREAM_ERROR),
        ({"args": encode("args", "VERSION_1_3_0"), "ready": encode("required", "password")}, "vnc", 0x0301),
        ({"args": "5.nonsense;", "ready": ""}, "vnc", Status.UPSTREAM_ERROR),
        ({"args": "4.args,99999.", "ready": ""}, "vnc", Status.UPSTREAM_ERROR),
        ({"args": encode("args"), "ready": encode("ready", "no id")}, "vnc", Status.UPSTREAM_ERROR),
        ({"args": encode("img", "1"), "ready": ""}, "vnc", Status.UPSTREAM_ERROR),
        ({"args": "4.arg", "ready": ""}, "vnc", Status.UPSTREAM_TIMEOUT),
    ],
)
async def test_what_goes_wrong_has_its_status(script, select, status):
    with pytest.raises(HandshakeError) as caught:
        await shake(Guacd(**script), select=select, deadline_s=0.3)
    assert caught.value.status == status


async def test_a_guacd_that_does_not_know_a_restriction_is_not_used():
    guacd = Guacd(args=encode("args", "VERSION_1_1_0", *OLD), ready=encode("ready", ID))
    with pytest.raises(HandshakeError) as caught:
        await shake(guacd, values={"read-only": "true", "disable-copy": "true"})
    assert caught.value.status is Status.UNSUPPORTED
    assert [opcode for opcode, *_ in guacd.told] == ["select"]


async def test_the_id_is_not_shown():
    connected = await shake(Guacd(args=encode("args", "hostname"), ready=encode("ready", ID)))
    assert ID not in repr(connected)


@pytest.mark.parametrize(
    "facts",
    [
        {"width": 0},
        {"height": 100_000},
        {"dpi": 1},
        {"timezone": "Europe/Paris;"},
        {"timezone": "../etc/passwd"},
        {"timezone": "Europe/\n"},
        {"image": ("image/svg+xml",)},
        {"audio": ("audio/L16;rate=44100",)},
        {"name": "x"},
    ],
)
def test_other_facts_are_refused(facts):
    with pytest.raises(ValidationError):
        ClientFacts.model_validate(facts)
