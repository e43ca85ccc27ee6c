"""What was not carried over, or not as it was: where it stood, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, order=True)
class Note:
    """One thing that an operator has to know. ``where`` is the key in the file that was read."""

    where: str
    text: str

    def __str__(self) -> str:
        return f"{self.where}: {self.text}"


@dataclass(slots=True)
class Notes:
    """Notes in the order in which they arose, each once."""

    found: list[Note] = field(default_factory=list)

    def add(self, where: str, text: str) -> None:
        """Keep one, unless it is there."""
        note = Note(where, text)
        if note not in self.found:
            self.found.append(note)
