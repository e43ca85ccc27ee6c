"""Requests for screens and keyboards, and the commands they become."""

import pytest

from spawners.session.python.panhub_session.screens import (
    InvalidError,
    Size,
    keyboard_command,
    read_layout,
    read_screens,
    screen_commands,
    whole,
)


def screens(*sizes):
    return {"screens": [{"width": width, "height": height} for width, height in sizes]}


def test_one_or_two_screens():
    assert read_screens(screens((640, 480))) == [Size(640, 480)]
    assert read_screens(screens((7680, 4320), (1024, 768))) == [Size(7680, 4320), Size(1024, 768)]


@pytest.mark.parametrize(
    "body",
    [
        None,
        [],
        {},
        screens(),
        screens((800, 600), (800, 600), (800, 600)),
        screens((639, 480)),
        screens((640, 479)),
        screens((7681, 480)),
        screens((640, 4321)),
        screens(("800", 600)),
        screens((800.0, 600)),
        screens((True, 600)),
        {"screens": [{"width": 800, "height": 600, "x": 1}]},
        {"screens": [{"width": 800}]},
        {"screens": [[800, 600]]},
        {"screens": {"width": 800, "height": 600}},
        {**screens((800, 600)), "more": 1},
    ],
)
def test_no_other_screens(body):
    with pytest.raises(InvalidError):
        read_screens(body)


def test_layouts_are_a_closed_list():
    assert read_layout({"layout": "de"}) == ("de", "")
    assert read_layout({"layout": "chfr"}) == ("ch", "fr")
    assert keyboard_command("ch", "fr")[-5:] == ["ch", "-variant", "fr", "-option", ""]
    for body in (
        None,
        {},
        {"layout": "xx"},
        {"layout": "-print"},
        {"layout": ["de"]},
        {"layout": "us", "x": 1},
    ):
        with pytest.raises(InvalidError):
            read_layout(body)


def test_the_framebuffer_holds_both_screens_side_by_side():
    assert whole([Size(1000, 700), Size(800, 900)]) == Size(1800, 900)
    commands = [" ".join(words) for words, _ in screen_commands([Size(1000, 700), Size(800, 900)], None)]
    assert "xrandr --fb 1800x900 --output VNC-0 --mode panhub-1000x700 --pos 0x0" in commands
    assert commands[-1] == "xrandr --setmonitor panhub-2 800/212x900/238+1000+0 none"


def test_modes_of_former_sizes_do_not_pile_up():
    commands = [" ".join(words) for words, _ in screen_commands([Size(800, 600)], Size(1000, 700))]
    assert commands[-2:] == ["xrandr --delmode VNC-0 panhub-1000x700", "xrandr --rmmode panhub-1000x700"]
    same = screen_commands([Size(800, 600)], Size(800, 600))
    assert not any("--rmmode" in words for words, _ in same)
