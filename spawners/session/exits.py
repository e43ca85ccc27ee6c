"""Exit codes with which a session's job ends before its server runs, and what they tell a person.

Standard library only: nodes use it too. The numbers are free of what shells, signals and
JupyterHub use.
"""

from __future__ import annotations

REFUSED = 78
"""The working folder cannot be used (`spawners.session.start`); EX_CONFIG of sysexits.h."""

MODULES = 80
NOT_WANTED = 81
NO_ENGINE = 82
NO_ENVIRONMENT = 83
NO_DATA = 84
NO_VIEW = 85
NO_HOME = 86
WRONG_JOB = 87
NO_DESKTOP = 88
TIME_LIMIT = 89
OUT_OF_MEMORY = 90
"""Of pods: a scheduler says these itself."""

SENTENCES = {
    REFUSED: "Its working folder could not be used.",
    MODULES: "A software module of its environment could not be loaded on the node.",
    NOT_WANTED: "The service no longer wanted it when it began on the node.",
    NO_ENGINE: "The node could not reach the service.",
    NO_ENVIRONMENT: "Its environment is not installed on the node.",
    NO_DATA: "Its data cannot be read on the node.",
    NO_VIEW: "Its data view could not be built on the node.",
    NO_HOME: "Its home folder cannot be used on the node.",
    WRONG_JOB: "Its job was not submitted as it should be, or runs as somebody else.",
    NO_DESKTOP: "A desktop cannot be shown on the node: programs for it are not installed there.",
    TIME_LIMIT: "It reached the end of its time.",
    OUT_OF_MEMORY: "Its server needed more memory than it had, and was ended.",
    126: "The Python that starts sessions cannot be run on the node.",
    127: "A program that starts sessions is missing on the node.",
}
"""Sentences for the codes; those of a shell (126, 127) as far as our script brings them about."""


class SessionFailedError(Exception):
    """The session cannot be started here; ``code`` is its exit code, the text is for the person."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code
