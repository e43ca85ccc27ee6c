"""The demo's people: who can sign in to the demo facility, and as what."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class DemoPerson:
    """A person of the demo's identity provider. ``user_id`` is the facility's id in the catalogue."""

    username: str
    name: str
    what: str
    user_id: str
    subject: str
    groups: tuple[str, ...] = ("/panhub/users",)
    client_roles: tuple[str, ...] = ()

    @property
    def email(self) -> str:
        """Address in the reserved example domain."""
        return f"{self.username}@facility.example"


PEOPLE = (
    DemoPerson("maja", "Maja Lindqvist", "Principal investigator", "100101", "5a0c7a4e-0101"),
    DemoPerson("tobi", "Tobi Okafor", "Team member", "100102", "5a0c7a4e-0102"),
    DemoPerson(
        "helene",
        "Helene Brandt",
        "Instrument scientist",
        "100201",
        "5a0c7a4e-0201",
        ("/panhub/users", "/instruments/id22/scientists"),
    ),
    DemoPerson("rui", "Rui Costa", "Outsider: another team", "100301", "5a0c7a4e-0301"),
    DemoPerson(
        "yuki",
        "Yuki Nakata",
        "Industrial user",
        "100401",
        "5a0c7a4e-0401",
        ("/panhub/users", "/panhub/industry"),
    ),
    DemoPerson(
        "sam",
        "Sam Weber",
        "Operator",
        "100501",
        "5a0c7a4e-0501",
        ("/panhub/users", "/staff/scientific-computing"),
        ("operator",),
    ),
)
"""One of each kind of person that the access rules tell apart, and an operator."""
