"""What a refused start must not leave behind."""

from __future__ import annotations

from tests.support.platform import Platform


def nothing_started(platform: Platform) -> None:
    """No process, no launch under way, nothing that was refused has a handle, nothing is held."""
    assert platform.session_processes() == []
    assert platform.database("SELECT id, state FROM launches WHERE state NOT IN ('ended', 'refused')") == []
    began = "(handle IS NOT NULL OR held_at IS NOT NULL)"
    assert platform.database(f"SELECT id FROM launches WHERE state = 'refused' AND {began}") == []
    assert platform.database("SELECT launch_id FROM quota_holds WHERE settled_at IS NULL") == []


def no_traceback(platform: Platform) -> None:
    """Neither a traceback nor an error of the server in any log."""
    for path in (platform.state / "logs").iterdir():
        text = path.read_text(errors="replace")
        assert "Traceback (most recent call last)" not in text, f"{path.name}: {around(text, 'Traceback')}"


def around(text: str, mark: str, lines: int = 40) -> str:
    """The lines around the first occurrence of a mark."""
    start = text.index(mark)
    return "\n".join(text[max(0, start - 600) :].splitlines()[:lines])
