"""Which commands set the screens and the keyboard of a desktop? Pure but for `run`.

Screens by xrandr(1): the framebuffer holds all of them side by side; the first is the X server's one
output in a mode of that size, a second is a monitor of its own (RandR 1.5), so that windows maximise on
either.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

_OUTPUT = "VNC-0"
_SECOND = "panhub-2"
_WIDTH, _HEIGHT = (640, 7680), (480, 4320)
_DOTS_PER_MM = 96 / 25.4
_TIMEOUT_S = 10

LAYOUTS: Mapping[str, tuple[str, str]] = {
    **{name: (name, "") for name in ("us", "gb", "de", "fr", "es", "it", "se", "dk", "no", "pt", "pl", "cz")},
    **{name: (name, "") for name in ("jp", "ch", "at", "be", "nl", "fi", "hu", "sk", "si", "hr", "ro", "gr")},
    **{name: (name, "") for name in ("tr", "ru", "ua", "br", "ca", "kr", "il", "ie", "is", "ee", "lv", "lt")},
    **{name: (name, "") for name in ("bg", "latam", "in", "cn", "tw")},
    "chfr": ("ch", "fr"),
    "usintl": ("us", "intl"),
}
"""Layouts of a request, as setxkbmap(1) has them: layout and variant."""


class Size(NamedTuple):
    """A screen [pixels]."""

    width: int
    height: int


class InvalidError(Exception):
    """The request is not what it should be; the text is for the person."""


def read_screens(body: Any) -> list[Size]:
    """One or two sizes of a request ``{"screens": [{"width": …, "height": …}, …]}``.

    Raises
    ------
    InvalidError
        If it is anything else.
    """
    screens = _only(body, "screens")[0]
    if not isinstance(screens, list) or not 1 <= len(screens) <= 2:
        raise InvalidError("There can be one or two screens.")
    return [_size(screen) for screen in screens]


def _size(screen: Any) -> Size:
    width, height = _only(screen, "width", "height")
    for number, (least, most) in ((width, _WIDTH), (height, _HEIGHT)):
        if isinstance(number, bool) or not isinstance(number, int) or not least <= number <= most:
            raise InvalidError(
                f"A screen can have {_WIDTH[0]} × {_HEIGHT[0]} to {_WIDTH[1]} × {_HEIGHT[1]} pixels."
            )
    return Size(width, height)


def read_layout(body: Any) -> tuple[str, str]:
    """Layout and variant of a request ``{"layout": …}``.

    Raises
    ------
    InvalidError
        If it is none of `LAYOUTS`.
    """
    (layout,) = _only(body, "layout")
    if not isinstance(layout, str) or layout not in LAYOUTS:
        raise InvalidError("This keyboard layout is not known.")
    return LAYOUTS[layout]


def _only(body: Any, *keys: str) -> list[Any]:
    if not isinstance(body, dict) or set(body) != set(keys):
        raise InvalidError(f"Exactly {', '.join(keys)} must be given.")
    return [body[key] for key in keys]


def whole(screens: Sequence[Size]) -> Size:
    """Size of the framebuffer."""
    return Size(sum(screen.width for screen in screens), max(screen.height for screen in screens))


def mode_name(size: Size) -> str:
    """Name of the mode that is made for a size."""
    return f"panhub-{_text(size)}"


def _text(size: Size) -> str:
    return f"{size.width}x{size.height}"


def screen_commands(screens: Sequence[Size], old: Size | None) -> list[tuple[list[str], bool]]:
    """Commands that set these screens, each with whether it must succeed; ``old`` was the first's size."""
    first, total = screens[0], whole(screens)
    mode = mode_name(first)
    sync = [str(first.width)] * 4 + [str(first.height)] * 4
    # 60 Hz by arithmetic; nothing is scanned out. [MHz]
    clock = f"{first.width * first.height * 60 / 1e6:.2f}"
    commands = [
        (["xrandr", "--delmonitor", _SECOND], False),
        (["xrandr", "--newmode", mode, clock, *sync], False),  # it is there already if it was used before
        (["xrandr", "--addmode", _OUTPUT, mode], False),
        (["xrandr", "--fb", _text(total), "--output", _OUTPUT, "--mode", mode, "--pos", "0x0"], True),
    ]
    for screen in screens[1:]:
        wide, high = (round(pixels / _DOTS_PER_MM) for pixels in screen)
        place = f"{screen.width}/{wide}x{screen.height}/{high}+{first.width}+0"
        commands.append((["xrandr", "--setmonitor", _SECOND, place, "none"], True))
    if old is not None and old != first:
        commands.append((["xrandr", "--delmode", _OUTPUT, mode_name(old)], False))
        commands.append((["xrandr", "--rmmode", mode_name(old)], False))
    return commands


def keyboard_command(layout: str, variant: str) -> list[str]:
    """Command that sets a layout, without options of a former one."""
    return ["setxkbmap", "-layout", layout, "-variant", variant, "-option", ""]


async def run(command: Sequence[str], environment: Mapping[str, str]) -> bool:
    """Run a command; whether it succeeded."""
    nowhere = asyncio.subprocess.DEVNULL
    process = await asyncio.create_subprocess_exec(
        *command, env=dict(environment), stdin=nowhere, stdout=nowhere, stderr=nowhere
    )
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            return await process.wait() == 0
    except TimeoutError:
        process.kill()
        await process.wait()
        return False
