"""The service: what a person gets, and what nobody learns."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from hub.access import service as service_module
from hub.access.cache import RememberingCatalogue
from hub.access.policy import AccessPolicy
from hub.access.rights import BreakGlass
from hub.access.service import AccessService
from hub.catalogue.files import FilesCatalogue
from hub.catalogue.layout import ESRF_V3
from hub.catalogue.models import InvestigationId
from hub.identity.models import Person, StaffRole
from hub.launch.models import Input
from hub.problems import RequestError
from tests.support.access import ME, NOW, TODAY, person
from tests.support.catalogues import FailingCatalogue, proposal, write_data, write_facility

OPEN = {"release_date": "2025-01-01", "doi": "10.5072/open"}
PROPOSALS = (
    proposal("ma5501", ME),
    proposal("hc4802"),
    proposal("sc6120", start="2021-01-01T08:00:00Z", title="Open micelles", **OPEN),
    proposal("in1204"),
    proposal("es1107", release_date=None),
    proposal(
        "ev0317",
        grants=[{"user_id": ME, "expires": "2026-12-01", "given_by": "PI", "reason": "reviewer"}],
    ),
)
SCIENTIST = person("100201", username="helene")
STRANGER = person("100999", username="rui")


@pytest.fixture
def catalogue(tmp_path: Path) -> FailingCatalogue:
    folder = write_facility(tmp_path / "catalogue", *PROPOSALS)
    return FailingCatalogue(FilesCatalogue(folder, today=lambda: TODAY))


@pytest.fixture
def service(catalogue: FailingCatalogue, tmp_path: Path) -> AccessService:
    root = write_data(tmp_path / "data", *PROPOSALS)
    return AccessService(catalogue, AccessPolicy(), ESRF_V3, root, now=lambda: NOW)


def asked(kind: str, ref: str) -> tuple[Input, ...]:
    return (Input.model_validate({"kind": kind, "ref": ref}),)


async def refused(service: AccessService, who: Person, kind: str, ref: str) -> dict[str, Any]:
    with pytest.raises(RequestError) as caught:
        await service.grants_for(who, asked(kind, ref))
    return caught.value.problem.to_json()


async def test_a_storage_that_does_not_answer_holds_up_nothing_else(
    service: AccessService, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_over = threading.Event()
    monkeypatch.setattr(service_module, "present", lambda *_: is_over.wait())
    monkeypatch.setattr(service_module, "_STORAGE_S", 0.05)
    try:
        for _ in range(40):  # the loop has fewer threads of its own
            body = await refused(service, person(), "dataset", "ds-ma5501-raw")
            assert (body["code"], body["status"]) == ("storage_unavailable", 503)
        async with asyncio.timeout(10):
            assert (await service.visible_investigations(person())).items
    finally:
        is_over.set()


@pytest.mark.parametrize(
    ("kind", "ref"),
    [("dataset", "ds-ma5501-raw"), ("investigation", "ma5501-1"), ("investigation", "ma5501")],
)
async def test_the_team_gets_its_data(service: AccessService, kind: str, ref: str, tmp_path: Path) -> None:
    result = await service.grants_for(person(), asked(kind, ref))
    modes = {str(mount.target): mount.mode.value for mount in result.mounts}
    visit = "/data/visitor/ma5501/id22/20261031"
    assert modes == {f"{visit}/RAW_DATA": "ro", f"{visit}/PROCESSED_DATA": "rw"}
    assert [decision.row for decision in result.decisions] == [3]
    if kind == "dataset":
        [found] = result.datasets
        assert str(found.target) == f"{visit}/RAW_DATA/LaB6/LaB6.h5"
        assert Path(found.source).read_text() == "ds-ma5501-raw"


@pytest.mark.parametrize(
    "doi", ["10.5072/open", "10.5072/OPEN", "doi:10.5072/open", "https://doi.org/10.5072/open"]
)
async def test_released_data_is_found_by_its_doi_however_it_is_written(
    service: AccessService, doi: str
) -> None:
    result = await service.grants_for(STRANGER, asked("doi", doi))
    assert [mount.source.name for mount in result.mounts] == ["RAW_DATA"]
    assert result.decisions[0].is_open


async def test_several_inputs_of_one_visit_are_mounted_once(service: AccessService) -> None:
    inputs = asked("dataset", "ds-ma5501-raw") + asked("investigation", "ma5501-1")
    result = await service.grants_for(person(), inputs + asked("doi", "10.5072/open"))
    targets = [mount.target for mount in result.mounts]
    assert len(targets) == len(set(targets)) == 3


async def test_no_input_mounts_nothing(service: AccessService, catalogue: FailingCatalogue) -> None:
    assert (await service.grants_for(person(), ())).mounts == ()
    assert catalogue.questions == []


async def test_one_refused_input_refuses_all(service: AccessService) -> None:
    with pytest.raises(RequestError):
        await service.grants_for(
            person(), asked("dataset", "ds-ma5501-raw") + asked("dataset", "ds-hc4802-raw")
        )


DENIED = [
    ("dataset", "ds-in1204-raw", "no-such-dataset"),
    ("dataset", "ds-hc4802-raw", "no-such-dataset"),
    ("dataset", "ds-sc6120-processed", "no-such-dataset"),
    ("investigation", "in1204-1", "no-such-visit"),
    ("investigation", "in1204", "no-such-proposal"),
    ("investigation", "es1107-1", "no-such-visit"),
    ("doi", "ds-in1204-raw", "10.5072/none"),
    ("doi", "in1204", "10.5072/none"),
]


@pytest.mark.parametrize(("kind", "denied", "unknown"), DENIED)
async def test_denied_and_unknown_are_told_in_the_same_words(
    service: AccessService, kind: str, denied: str, unknown: str
) -> None:
    body = await refused(service, STRANGER, kind, denied)
    assert body["code"] == "not_found_or_not_entitled"
    assert json.dumps(body) == json.dumps(await refused(service, STRANGER, kind, unknown))


@pytest.mark.parametrize(("kind", "denied", "unknown"), DENIED)
async def test_denied_and_unknown_ask_the_catalogue_the_same_questions(
    service: AccessService, catalogue: FailingCatalogue, kind: str, denied: str, unknown: str
) -> None:
    await refused(service, STRANGER, kind, denied)
    first, catalogue.questions = catalogue.questions, []
    await refused(service, STRANGER, kind, unknown)
    assert first == catalogue.questions


async def test_the_end_of_an_embargo_is_told_of_what_is_publicly_known(service: AccessService) -> None:
    body = await refused(service, STRANGER, "investigation", "hc4802-1")
    assert (body["code"], body["embargoed_until"]) == ("embargoed_until", "2029-10-31")
    assert "31 Oct 2029" in body["detail"]


@pytest.mark.parametrize("who", [person(None), person(is_blocked=True)])
async def test_an_account_that_may_not_be_used_is_told_so_whatever_it_asks(
    service: AccessService, who: Person
) -> None:
    bodies = [
        await refused(service, who, "dataset", ref) for ref in ("ds-sc6120-raw", "ds-in1204-raw", "none")
    ]
    assert bodies[0]["code"] == "account_not_usable"
    assert bodies[0] == bodies[1] == bodies[2]


async def test_data_that_is_not_on_disk_is_told_to_those_who_may_read_it(
    service: AccessService, tmp_path: Path
) -> None:
    file = tmp_path / "data/ma5501/id22/20261031/RAW_DATA/LaB6/LaB6.h5"
    file.unlink()
    assert (await refused(service, person(), "dataset", "ds-ma5501-raw"))["code"] == "offline_staging"
    assert (await refused(service, STRANGER, "dataset", "ds-ma5501-raw"))["status"] == 404


async def test_a_link_in_processed_data_is_not_followed(service: AccessService, tmp_path: Path) -> None:
    file = tmp_path / "data/ma5501/id22/20261031/PROCESSED_DATA/LaB6_azint.h5"
    file.unlink()
    file.symlink_to("/etc/passwd")
    assert (await refused(service, person(), "dataset", "ds-ma5501-processed"))["code"] == "data_path_refused"


async def test_the_picker_lists_own_data_first_then_open_data(service: AccessService) -> None:
    page = await service.visible_investigations(person())
    listed = [(visible.investigation.id, visible.is_open, visible.decision.row) for visible in page.items]
    assert sorted(listed[:2]) == [("ev0317-1", False, 6), ("ma5501-1", False, 3)]
    assert listed[2:] == [("sc6120-1", True, 8)]
    assert page.total == 3


async def test_an_instrument_scientist_sees_the_instrument_but_no_proprietary_visit(
    service: AccessService,
) -> None:
    page = await service.visible_investigations(SCIENTIST)
    assert {visible.investigation.id for visible in page.items} == {
        "ma5501-1", "hc4802-1", "sc6120-1", "es1107-1", "ev0317-1",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("micell", ["sc6120-1"]),
        ("LINDQ study", ["ma5501-1", "ev0317-1"]),
        ("in1204", []),
        ("!?", []),
        ("xyz", []),
    ],
)
async def test_the_picker_searches_by_words(service: AccessService, text: str, expected: list[str]) -> None:
    page = await service.visible_investigations(person(), text)
    assert sorted(visible.investigation.id for visible in page.items) == sorted(expected)


async def test_pages_of_the_picker_join(service: AccessService) -> None:
    pages = [await service.visible_investigations(person(), limit=1, offset=n) for n in range(4)]
    ids = [visible.investigation.id for page in pages for visible in page.items]
    whole = await service.visible_investigations(person())
    assert ids == [visible.investigation.id for visible in whole.items]


async def test_only_data_sets_in_granted_areas_are_listed(service: AccessService) -> None:
    own = await service.visible_datasets(person(), InvestigationId("ma5501-1"))
    assert [dataset.name for dataset in own.items] == ["LaB6 processed", "LaB6 raw"]
    public = await service.visible_datasets(person(), InvestigationId("sc6120-1"))
    assert [dataset.name for dataset in public.items] == ["LaB6 raw"]
    with pytest.raises(RequestError):
        await service.visible_datasets(STRANGER, InvestigationId("in1204-1"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ds-ma5501-raw", [("ma5501-1", "ds-ma5501-raw")]),
        ("ma5501", [("ma5501-1", None)]),
        ("10.5072/open", [("sc6120-1", None)]),
        ("micelles", [("sc6120-1", None)]),
        ("processed", [("ev0317-1", "ds-ev0317-processed"), ("ma5501-1", "ds-ma5501-processed")]),
        ("ds-in1204-raw", []),
        ("in1204", []),
    ],
)
async def test_search_finds_only_what_may_be_read(
    service: AccessService, text: str, expected: list[tuple[str, str | None]]
) -> None:
    found = await service.find(person(), text)
    pairs = [(one.investigation.id, one.dataset.pid if one.dataset else None) for one in found]
    assert sorted(pairs, key=str) == sorted(expected, key=str)


async def test_without_a_catalogue_everything_is_refused(
    service: AccessService, catalogue: FailingCatalogue
) -> None:
    catalogue.fails = True
    body = await refused(service, person(), "dataset", "ds-ma5501-raw")
    assert (body["code"], body["status"]) == ("catalogue_unavailable", 503)
    with pytest.raises(RequestError):
        await service.visible_investigations(person())


async def test_a_young_answer_holds_while_the_catalogue_fails(
    service: AccessService, catalogue: FailingCatalogue
) -> None:
    wanted = asked("dataset", "ds-ma5501-raw")
    before = await service.grants_for(person(), wanted)
    catalogue.fails = True
    assert await service.grants_for(person(), wanted) == before
    assert (await refused(service, person(), "dataset", "ds-hc4802-raw"))["code"] == "catalogue_unavailable"


async def test_an_old_answer_does_not_hold(catalogue: FailingCatalogue) -> None:
    now = 0.0
    remembering = RememberingCatalogue(catalogue, 300, clock=lambda: now)  # type: ignore[arg-type]  # told by name
    ref = InvestigationId("ma5501-1")
    await remembering.investigation(ref)
    catalogue.fails = True
    now = 300.0
    assert await remembering.investigation(ref) is not None
    now = 300.1
    with pytest.raises(RequestError):
        await remembering.investigation(ref)


async def test_emergency_access_is_recorded(service: AccessService, caplog: pytest.LogCaptureFixture) -> None:
    steward = person(roles=frozenset({StaffRole.DATA_STEWARD}), username="sam")
    taken = BreakGlass(NOW, NOW + timedelta(hours=1), "ticket 17")
    with caplog.at_level(logging.WARNING, "panhub.audit"):
        decision = await service.decide(steward, InvestigationId("hc4802-1"), break_glass=taken)
    assert decision.row == 7
    assert "person=sam investigation=hc4802-1" in caplog.text
    assert "ticket 17" in caplog.text
