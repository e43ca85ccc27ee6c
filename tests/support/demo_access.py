"""What the demo's people may read, written down apart from the code that decides it."""

from __future__ import annotations

PROPOSALS = ("ma5501", "hc4802", "sc6120", "in1204", "md2210", "es1107", "ev0317")

OPEN = frozenset({"sc6120", "ev0317"})

READS = {
    "maja": OPEN | {"ma5501", "md2210"},  # principal investigator; collaborator
    "tobi": OPEN | {"ma5501"},  # participant
    "helene": OPEN | {"ma5501", "hc4802"},  # local contact and scientist of id22
    "rui": OPEN | {"hc4802", "es1107"},  # principal investigator; reviewer with an explicit grant
    "yuki": OPEN | {"in1204"},  # industrial
    "sam": OPEN,  # an operator is not a reader of data
}

DATASETS = {
    "ma5501": "ds-ma5501-lab6-series",
    "hc4802": "ds-hc4802-ceo2-series",
    "sc6120": "ds-sc6120-iron",
    "in1204": "ds-in1204-steel",
    "md2210": "ds-md2210-head",
    "es1107": "ds-es1107-cu",
    "ev0317": "ds-ev0317-map",
}

INDUSTRIAL_WORDS = ("in1204", "Inclusions in bearing steel", "Steel standard", "ds-in1204-steel", "Nakata")
"""Words that nobody but the industrial user may come to see."""


def dataset(proposal: str) -> dict[str, str]:
    """A data set of a proposal as an input of a launch."""
    return {"kind": "dataset", "ref": DATASETS[proposal]}


def visit(proposal: str) -> dict[str, str]:
    """A whole proposal as an input of a launch."""
    return {"kind": "investigation", "ref": proposal}


def expected_code(proposal: str, kind: str) -> tuple[int, str]:
    """Refusal of somebody who may not read: an embargo is told only where the name is public."""
    if kind == "investigation" and proposal != "in1204":
        return 403, "embargoed_until"
    return 404, "not_found_or_not_entitled"
