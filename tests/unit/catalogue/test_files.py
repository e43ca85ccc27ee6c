"""The files catalogue: what it answers, and what it says of files that are not valid."""

from __future__ import annotations

import asyncio
import json
import os
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from hub.catalogue.base import CatalogueError
from hub.catalogue.files import CatalogueFileError, FilesCatalogue, load
from hub.catalogue.models import DatasetPid, InvestigationId, ProposalName, Role
from tests.support.access import ME, TODAY
from tests.support.catalogues import proposal, write_facility


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_facility(
        tmp_path,
        proposal("ma5501", ME, doi="10.5072/MA5501"),
        proposal("hc4802", start="2026-11-01T08:00:00+01:00"),
        proposal("sc6120", start="2021-01-01T08:00:00Z", title="Größe of micelles"),
        proposal("ev0317", start="2020-01-01T08:00:00Z", title="Trace elements"),
        proposal("in1204", start="2020-01-01T08:00:00Z"),
    )


@pytest.fixture
def catalogue(folder: Path) -> FilesCatalogue:
    return FilesCatalogue(folder, today=lambda: TODAY)


async def test_lookups_by_every_key(catalogue: FilesCatalogue) -> None:
    [own] = await catalogue.investigations_for(ME)
    assert own.team[0].role is Role.PI
    assert await catalogue.investigation(InvestigationId("ma5501-1")) == own
    assert await catalogue.proposal(ProposalName("ma5501")) == (own,)
    assert await catalogue.resolve("https://doi.org/10.5072/ma5501") == own
    assert await catalogue.resolve("ma5501") == own
    dataset = await catalogue.dataset(DatasetPid("ds-ma5501-raw"))
    assert await catalogue.resolve("ds-ma5501-raw") == dataset
    on_id22 = await catalogue.investigations_on("id22")
    assert [one.proposal for one in on_id22][:2] == ["hc4802", "ma5501"]
    assert [one.id for one in await catalogue.instruments_of("100201")] == ["id22"]
    assert (await catalogue.instrument("bm05")) is not None


async def test_what_is_not_there_is_none_or_empty(catalogue: FilesCatalogue) -> None:
    assert await catalogue.investigation(InvestigationId("x")) is None
    assert await catalogue.dataset(DatasetPid("x")) is None
    assert await catalogue.resolve("10.5072/none") is None
    assert await catalogue.instrument("x") is None
    assert list(await catalogue.investigations_for("x")) == []
    assert list(await catalogue.instruments_of("x")) == []
    assert (await catalogue.datasets(InvestigationId("x"))).items == ()


async def test_the_release_date_defaults_to_three_years_after_the_start(catalogue: FilesCatalogue) -> None:
    own = await catalogue.investigation(InvestigationId("ma5501-1"))
    assert own is not None
    assert own.release_date == date(2029, 10, 31)


async def test_a_release_date_of_null_is_never(tmp_path: Path) -> None:
    catalogue = FilesCatalogue(write_facility(tmp_path, proposal("a1", release_date=None)))
    [visit] = await catalogue.proposal(ProposalName("a1"))
    assert visit.release_date is None


@pytest.mark.parametrize(
    ("name", "said", "expected"),
    [
        ("in1204", None, True),
        ("IN1204", None, True),
        ("ma1", None, False),
        ("ma1", True, True),
        ("in1", False, False),
    ],
)
async def test_industrial_proposals_are_proprietary_unless_said_otherwise(
    tmp_path: Path, name: str, said: bool | None, expected: bool
) -> None:
    catalogue = FilesCatalogue(write_facility(tmp_path, proposal(name, is_proprietary=said)))
    [visit] = await catalogue.proposal(ProposalName(name))
    assert visit.is_proprietary is expected


async def test_an_unknown_word_for_a_role_is_unknown(tmp_path: Path) -> None:
    entry = proposal("a1")
    entry["team"] = [{"user_id": "1", "role": "Überwacher"}]
    catalogue = FilesCatalogue(write_facility(tmp_path, entry))
    [visit] = await catalogue.proposal(ProposalName("a1"))
    assert visit.team[0].role is Role.UNKNOWN


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ["sc6120", "ev0317", "in1204"]),
        ("grosse", ["sc6120"]),
        ("trace elem", ["ev0317"]),
        ("trace micelles", []),
        ("?!", []),
    ],
)
async def test_released_investigations_latest_first(
    catalogue: FilesCatalogue, text: str, expected: list[str]
) -> None:
    page = await catalogue.released(text=text)
    assert sorted(one.proposal for one in page.items) == sorted(expected)
    assert page.total == len(expected)
    assert [one.release_date for one in page.items] == sorted(
        (one.release_date for one in page.items), reverse=True, key=str
    )


async def test_pages_of_released_investigations_join(catalogue: FilesCatalogue) -> None:
    whole = (await catalogue.released()).items
    for text in ("", "s"):
        pages = [await catalogue.released(text=text, limit=2, offset=offset) for offset in (0, 2, 4)]
        joined = tuple(one for page in pages for one in page.items)
        assert joined == (await catalogue.released(text=text)).items
    assert len(whole) == 3


async def test_data_sets_newest_first_by_words(catalogue: FilesCatalogue) -> None:
    ref = InvestigationId("ma5501-1")
    assert [one.name for one in (await catalogue.datasets(ref)).items] == ["LaB6 processed", "LaB6 raw"]
    page = await catalogue.datasets(ref, text="lab6 ra")
    assert ([one.name for one in page.items], page.total) == (["LaB6 raw"], 1)
    assert len((await catalogue.datasets(ref, limit=1, offset=1)).items) == 1


def broken(change: Any) -> dict[str, Any]:
    entry = proposal("a1")
    change(entry, entry["investigations"][0])
    return entry


@pytest.mark.parametrize(
    ("entry", "key", "cause"),
    [
        (broken(lambda p, v: p.update(titel="x")), "proposals.0.titel", "not permitted"),
        (broken(lambda p, v: v.update(relase_date="2020-01-01")), "relase_date", "not permitted"),
        (broken(lambda p, v: v.pop("start")), "proposals.0.investigations.0.start", "required"),
        (broken(lambda p, v: v.update(start="2026-01-01T00:00:00")), "investigations.0.start", "timezone"),
        (broken(lambda p, v: v.update(end="2020-01-01T00:00:00Z")), "investigations.0", "before"),
        (broken(lambda p, v: v.update(root="/etc")), "investigations.0.root", "relative"),
        (broken(lambda p, v: v.update(root="a/../../b")), "investigations.0.root", "'..'"),
        (broken(lambda p, v: v.update(root="a\nb")), "investigations.0.root", "control"),
        (broken(lambda p, v: v.update(id="../x")), "investigations.0.id", "match"),
        (broken(lambda p, v: v.update(doi="http://x")), "investigations.0.doi", "match"),
        (broken(lambda p, v: v["datasets"][0].update(path="/x")), "datasets.0.path", "relative"),
        (broken(lambda p, v: v["datasets"][0].update(techniques=["SAXS"])), "techniques.0", "match"),
        (broken(lambda p, v: v.update(instrument="id99")), "a1-1", "unknown instrument 'id99'"),
        (broken(lambda p, v: v["datasets"].append(v["datasets"][0])), "ds-a1-raw", "twice"),
        (broken(lambda p, v: p["investigations"].append(v)), "a1-1", "twice"),
    ],
)
def test_errors_name_file_key_and_cause(tmp_path: Path, entry: dict[str, Any], key: str, cause: str) -> None:
    with pytest.raises(CatalogueFileError) as caught:
        load(write_facility(tmp_path, entry))
    text = str(caught.value)
    assert str(tmp_path) in text
    assert key in text
    assert cause in text


def test_yaml_that_does_not_parse_names_file_and_line(tmp_path: Path) -> None:
    write_facility(tmp_path)
    (tmp_path / "proposals" / "x.yaml").write_text("proposals:\n  - {name: [}\n")
    with pytest.raises(CatalogueFileError, match=r"x\.yaml.*line 2"):
        load(tmp_path)


def test_yaml_cannot_make_objects(tmp_path: Path) -> None:
    write_facility(tmp_path)
    (tmp_path / "proposals" / "x.yaml").write_text("proposals: !!python/object/apply:os.getcwd []\n")
    with pytest.raises(CatalogueFileError, match="could not determine a constructor"):
        load(tmp_path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(CatalogueFileError, match=r"facility\.yaml: No such file"):
        FilesCatalogue(tmp_path)


def rewrite(path: Path, text: str) -> None:
    part = path.with_name(f".{path.name}")
    part.write_text(text)
    part.rename(path)
    # Two writes in one tick of the file system's clock must not look alike.
    os.utime(path, ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns + 1_000_000))


async def test_changed_files_are_read_again(folder: Path, catalogue: FilesCatalogue) -> None:
    assert not catalogue.refresh()
    entry = proposal("ma5501", "100777")
    rewrite(folder / "proposals" / "ma5501.yaml", json.dumps({"proposals": [entry]}))
    assert catalogue.refresh()
    assert list(await catalogue.investigations_for(ME)) == []
    (folder / "proposals" / "hc4802.yaml").unlink()
    assert catalogue.refresh()
    assert await catalogue.investigation(InvestigationId("hc4802-1")) is None


async def test_broken_files_leave_the_last_content_for_a_while_only(folder: Path) -> None:
    lasting = FilesCatalogue(folder, grace_s=900)
    failing = FilesCatalogue(folder, grace_s=-1)
    good = (folder / "proposals" / "ma5501.yaml").read_text()
    rewrite(folder / "proposals" / "ma5501.yaml", "proposals: 7")
    assert not lasting.refresh()
    assert not failing.refresh()
    assert await lasting.investigation(InvestigationId("ma5501-1")) is not None
    with pytest.raises(CatalogueError):
        await failing.investigation(InvestigationId("ma5501-1"))
    rewrite(folder / "proposals" / "ma5501.yaml", good)
    assert failing.refresh()
    assert await failing.investigation(InvestigationId("ma5501-1")) is not None


async def test_the_watcher_finds_changes_by_itself_and_ends(folder: Path) -> None:
    catalogue = await FilesCatalogue.open(folder, every_s=0.01)
    (folder / "proposals" / "hc4802.yaml").unlink()
    async with asyncio.timeout(10):
        while await catalogue.investigation(InvestigationId("hc4802-1")) is not None:
            await asyncio.sleep(0.01)
    await catalogue.aclose()


def test_json_files_are_read_as_well(tmp_path: Path) -> None:
    write_facility(tmp_path)
    (tmp_path / "proposals" / "all.json").write_text(
        json.dumps({"proposals": [proposal("a1"), proposal("a2")]})
    )
    assert set(load(tmp_path).investigations) == {"a1-1", "a2-1"}
