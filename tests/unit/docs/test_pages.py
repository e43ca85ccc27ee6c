"""What pages name is there: links, commands, make's targets, files of the checkout, settings."""

from __future__ import annotations

import importlib.util
import re
import shlex
from collections.abc import Iterator, Mapping
from enum import Enum
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from pydantic import BaseModel

from hub.chart.values import Values
from hub.cli import parser
from hub.settings import Settings
from profiles.models import ProfilesFile
from spawners.slurm.gateway.settings import GatewaySettings

ROOT = Path(__file__).parents[3]
PAGES = sorted(
    [
        *(ROOT / name for name in ("README.md", "CHANGELOG.md")),
        *(path for top in ("docs", "helm", "images") for path in (ROOT / top).rglob("*.md")),
    ]
)
_FOLDERS = "docs|helm|hub|images|profiles|quota|requirements|spawners|templates|tests"
_FENCE = re.compile(r"^```+(\w*)\n(.*?)^```+$", re.MULTILINE | re.DOTALL)
_TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def _name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def _blocks(page: Path, *kinds: str) -> Iterator[str]:
    for kind, text in _FENCE.findall(page.read_text()):
        if kind in kinds:
            yield text


def _prose(page: Path) -> str:
    return _FENCE.sub("", page.read_text())


def _commands(page: Path) -> Iterator[list[str]]:
    """Words of each command line: of blocks, and of inline code."""
    for text in _blocks(page, "bash", "console"):
        for line in text.replace("\\\n", " ").splitlines():
            # What follows a pipe or a substitution is another program's.
            yield _words(line.removeprefix("$ ").split("|")[0].split("$(")[0])
    for code in re.findall(r"`([^`\n]+)`", _prose(page)):
        if code.startswith(("make ", "panhub ", "python -m ", "python3 ")):
            yield [*_words(code), "…"]


def _words(line: str) -> list[str]:
    try:
        return shlex.split(line, comments=True)
    except ValueError:
        # A quotation that goes on in the next line.
        return line.split()


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_links_lead_to_what_is_there(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", _prose(page)):
        if "://" in target:
            continue
        file, _, anchor = target.partition("#")
        path = (page.parent / file).resolve() if file else page
        assert path.exists(), target
        if anchor:
            assert anchor in _anchors(path), target


def _anchors(path: Path) -> set[str]:
    text = path.read_text()
    headings = re.findall(r"^#{1,3} (.+)$", text, re.MULTILINE)
    slugs = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
    return slugs | set(re.findall(r"^\((.+)\)=$", text, re.MULTILINE))


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_commands_are_ours(page):
    for words in _commands(page):
        for number, word in enumerate(words):
            rest = words[number + 1 :]
            if word == "make" and number == 0:
                assert rest[0] in _TARGETS, words
            elif word.rpartition("/")[2] == "panhub" and rest and _is_command(words, number):
                _parse(rest)
            elif (
                word in {"python", "python3"}
                and rest[:1] == ["-m"]
                and rest[1].startswith(("hub.", "tests."))
            ):
                assert importlib.util.find_spec(rest[1]) is not None, words
            elif word in {"python", "python3"} and rest and rest[0].startswith("hub/"):
                assert (ROOT / rest[0]).exists(), words


def _is_command(words: list[str], number: int) -> bool:
    return number == 0 or words[:number] == ["sudo", "-u", "panhub"]


def _parse(words: list[str]) -> None:
    """Whether our command line takes them; inline code may leave out what is needed."""
    (commands,) = [action for action in parser()._actions if action.dest == "command" or action.choices]
    assert words[0] in commands.choices, words
    options = set(commands.choices[words[0]]._option_string_actions)
    assert {word for word in words if word.startswith("--")} <= options, words
    if words[-1] != "…":
        parser().parse_args([word for word in words if word != "…"])


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_files_of_the_checkout_are_there(page):
    text = page.read_text()
    for path in re.findall(rf"(?<![\w/.-])(?:{_FOLDERS})/[\w./-]*[\w/]", re.sub(r"\]\([^)]*\)", "]", text)):
        if page.parent.joinpath(path).exists():
            continue
        assert (ROOT / path).exists(), path


@pytest.mark.parametrize("page", [path for path in PAGES if "docs" in path.parts], ids=_name)
def test_keys_of_examples_are_keys(page):
    for text in _blocks(page, "yaml"):
        raw = yaml.safe_load(re.sub(r"^ *…$", "", text, flags=re.MULTILINE).replace("…", "x"))
        if not isinstance(raw, dict) or not all(isinstance(key, str) for key in raw):
            continue
        candidates = [Values] if page.name == "chart.md" else [Settings, ProfilesFile, GatewaySettings]
        faults = {model: list(_unknown(model, raw, "")) for model in candidates if set(raw) <= _keys(model)}
        if faults:
            assert [] in faults.values(), faults


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_settings_that_are_named_are_settings(page):
    for dotted in re.findall(r"`([a-z_]+(?:\.(?:[a-z_]+|<\w+>))+)`", _prose(page)):
        names = dotted.removeprefix("settings.").split(".")
        # Some sections of the settings and of the chart's values have one name.
        models = [m for m in (Settings, Values, ProfilesFile) if names[0] in _keys(m) - {"settings"}]
        assert not models or any(_has(model, names) for model in models), dotted


def _keys(model: type[BaseModel]) -> set[str]:
    return {field.alias or name for name, field in model.model_fields.items()}


def _inner(kind: Any) -> Iterator[Any]:
    """All models behind a type: those of unions, of lists and of mappings' values."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        yield kind
    elif not (isinstance(kind, type) and issubclass(kind, Enum)):
        for each in get_args(kind):
            yield from _inner(each)


def _field(model: type[BaseModel], key: str) -> Any:
    return next((f.annotation for n, f in model.model_fields.items() if key in {n, f.alias}), None)


def _unknown(model: type[BaseModel], raw: Mapping[str, Any], where: str) -> Iterator[str]:
    for key, value in raw.items():
        if key not in _keys(model) | set(model.model_fields):
            yield f"{where}{key}"
            continue
        kind = _field(model, key)
        models = list(_inner(kind))
        if not models:
            continue
        is_mapping = "dict" in str(kind).lower() or "mapping" in str(kind).lower()
        if isinstance(value, dict) and is_mapping and not set(value) <= set.union(*map(_keys, models)):
            held = [(f"{where}{key}.{name}.", each) for name, each in value.items()]
        else:
            held = [(f"{where}{key}.", each) for each in (value if isinstance(value, list) else [value])]
        for inner, each in held:
            if isinstance(each, dict):
                found = [list(_unknown(candidate, each, inner)) for candidate in models]
                yield from min(found, key=len)


def _has(model: type[BaseModel], names: list[str]) -> bool:
    if not names:
        return True
    if names[0] not in _keys(model) | set(model.model_fields):
        return False
    models = list(_inner(_field(model, names[0])))
    rest = names[1:]
    if not rest:
        return True
    # One name may be that of an entry of a mapping.
    return any(_has(each, rest) or _has(each, rest[1:]) for each in models)
