"""What holds for every page: it renders, keeps the content security policy, and guards its forms."""

from __future__ import annotations

import re
from dataclasses import fields, is_dataclass, replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from jinja2 import ChoiceLoader, Environment, FileSystemLoader, PrefixLoader
from jupyterhub._data import DATA_FILES_PATH

from hub.pages.render import CONTENT_SECURITY_POLICY, HUB_TEMPLATES, Renderer, hub_template_vars
from hub.static.collect import ICONS, LIBRARIES, SCRIPTS, STYLES
from tests.support.samples.base import XSRF
from tests.support.samples.pages import PAGES, PARTS

PREFIX = "/services/panhub"
MANIFEST = {name: f"hashed-{name}" for name in (*LIBRARIES, *STYLES, *SCRIPTS, "favicon.svg", "icons.svg")}
SAMPLES = {**PAGES, **{f"part-{name}": sample for name, sample in PARTS.items()}}
ROOT = Path(__file__).parents[3]
HTML = ROOT / "hub" / "pages" / "html"
HOSTILE = "\"><script>alert(1)</script><img src=x onerror=alert(1)>'{{7*7}}"
VOID = {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}
HTTP_ATTRIBUTES = {"action", "formaction", "href", "src", "hx-get", "hx-post"}


class Page(HTMLParser):
    """Elements of a page with their attributes and ancestors, and faults of nesting."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None], tuple[str, ...]]] = []
        self.forms: list[list[tuple[str, dict[str, str | None]]]] = []
        self.attributes_of_forms: list[dict[str, str | None]] = []
        self.script_text = ""
        self.faults: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        self.faults += [f"<{tag}> is not closed" for tag in self._open]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        self.elements.append((tag, attributes, tuple(self._open)))
        if tag == "form":
            if "form" in self._open:
                self.faults.append("a form in a form")
            self.forms.append([])
            self.attributes_of_forms.append(attributes)
        if "form" in self._open:
            self.forms[-1].append((tag, attributes))
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if not self._open or self._open.pop() != tag:
            self.faults.append(f"</{tag}> does not fit")

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] in {"script", "style"}:
            self.script_text += data


@pytest.fixture(scope="module")
def renderer():
    return Renderer(PREFIX, MANIFEST, "PaNHub", support="help@facility.example")


@pytest.fixture(params=SAMPLES)
def sample(request, renderer):
    template, context = SAMPLES[request.param]
    return renderer.render(template, **context)


def test_every_page_is_well_formed(sample):
    assert Page(sample).faults == []


def test_no_page_has_inline_script_or_style(sample):
    page = Page(sample)
    assert page.script_text.strip() == ""
    for tag, attributes, _ in page.elements:
        assert tag not in {"style", "base", "iframe", "object", "embed"}
        assert tag != "script" or attributes.get("src")
        assert [name for name in attributes if name == "style" or name.startswith(("on", "hx-on"))] == []


def test_no_address_leaves_the_site(sample):
    for _, attributes, _ in Page(sample).elements:
        for name in HTTP_ATTRIBUTES & attributes.keys():
            assert re.match(r"^(/(?!/)|#)", attributes[name] or ""), attributes


def test_every_form_that_changes_has_the_xsrf_field_and_no_other_has(sample):
    page = Page(sample)
    for attributes, inside in zip(page.attributes_of_forms, page.forms, strict=True):
        tokens = [item for tag, item in inside if tag == "input" and item.get("name") == "_xsrf"]
        is_post = attributes.get("method") == "post"
        assert [token.get("value") for token in tokens] == ([XSRF] if is_post else [])


def test_the_xsrf_token_is_never_in_an_address(sample):
    for _, attributes, _ in Page(sample).elements:
        for name in HTTP_ATTRIBUTES & attributes.keys():
            assert XSRF not in (attributes[name] or "")


def test_ids_are_unique(sample):
    ids = [attributes["id"] for _, attributes, _ in Page(sample).elements if attributes.get("id")]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("name", PAGES)
def test_every_button_says_what_kind_it_is_or_sends_a_form(renderer, name):
    template, context = PAGES[name]
    for tag, attributes, ancestors in Page(renderer.render(template, **context)).elements:
        if tag == "button" and attributes.get("type") != "button" and "disabled" not in attributes:
            assert "form" in ancestors


@pytest.mark.parametrize("name", SAMPLES)
def test_hostile_text_is_escaped_everywhere(renderer, name):
    template, context = SAMPLES[name]
    hostile = {key: _poison(value) for key, value in context.items() if key != "xsrf"}
    page = Page(renderer.render(template, xsrf=HOSTILE, **hostile))
    assert page.faults == []
    assert page.script_text.strip() == ""
    for tag, attributes, _ in page.elements:
        assert tag != "img" or (attributes["src"] or "").startswith(PREFIX)
        assert not [name for name in attributes if name.startswith("on")]


def _poison(value: Any) -> Any:
    """The same view with hostile text in every plain string that a person or a catalogue may set."""
    if is_dataclass(value) and not isinstance(value, type):
        return replace(
            value,
            **{field.name: _poison(getattr(value, field.name)) for field in fields(value) if field.init},
        )
    if isinstance(value, tuple):
        return tuple(_poison(item) for item in value)
    return HOSTILE if type(value) is str and value not in {"get", "post"} else value


@pytest.mark.parametrize("name", PAGES)
def test_scripts_of_a_page_stay_below_their_budget(renderer, name):
    if not (ROOT / "node_modules").is_dir():
        pytest.fail("run `npm ci` first: the libraries are not installed")
    template, context = PAGES[name]
    scripts = {
        attributes["src"].rpartition("hashed-")[2]
        for tag, attributes, _ in Page(renderer.render(template, **context)).elements
        if tag == "script"
    }
    sources = ROOT / "hub" / "static" / "src" / "js"
    size = sum(
        ((ROOT / "node_modules") / LIBRARIES[name] if name in LIBRARIES else sources / name).stat().st_size
        for name in scripts - {"echarts.js"}
    )
    assert size <= 150_000
    assert ("echarts.js" in scripts) == (template == "usage.html")


def test_every_icon_that_a_page_names_is_shipped():
    used = set()
    for path in HTML.rglob("*.html"):
        text = path.read_text(encoding="utf-8")
        used |= set(re.findall(r'icon\("([a-z0-9-]+)"', text))
        used |= set(re.findall(r'(?:name=|ui\.empty\()"([a-z0-9-]+)"', text)) & set(ICONS)
    for _, context in SAMPLES.values():
        used |= set(re.findall(r"icon='([a-z0-9-]+)'", repr(context)))
    assert used <= set(ICONS)


def test_every_state_names_a_shipped_icon(renderer):
    rendered = "".join(renderer.render(template, **context) for template, context in SAMPLES.values())
    assert set(re.findall(r"#([a-z0-9-]+)\"></use>", rendered)) <= {*ICONS, "brand"}


def test_addresses_are_quoted(renderer):
    assert (
        renderer.url("launches", "a/b?c", q="ä&b", none=None) == f"{PREFIX}/launches/a%2Fb%3Fc?q=%C3%A4%26b"
    )


def test_the_policy_allows_nothing_inline():
    assert "unsafe" not in CONTENT_SECURITY_POLICY
    assert CONTENT_SECURITY_POLICY.startswith("default-src 'none'")


def test_disabled_extension_says_why(renderer):
    template, context = PAGES["home"]
    assert "8 h is the longest" in renderer.render(template, **context)


def test_operators_alone_see_the_way_to_operate(renderer):
    template, context = PAGES["home"]
    assert ">Operate</a>" not in renderer.render(template, **context)
    template, context = PAGES["operate"]
    assert ">Operate</a>" in renderer.render(template, **context)


@pytest.mark.parametrize("name", ["login.html", "logout.html", "error.html"])
def test_pages_of_the_hub_take_our_look(name):
    base = [str(HUB_TEMPLATES), str(Path(DATA_FILES_PATH) / "templates")]
    loader = ChoiceLoader([PrefixLoader({"templates": FileSystemLoader(base[1])}), FileSystemLoader(base)])
    environment = Environment(loader=loader, autoescape=True)
    html = environment.get_template(name).render(
        **hub_template_vars(PREFIX, MANIFEST, "Light & Neutrons"),
        static_url=lambda path, **_: f"/hub/static/{path}",
        login_service="the facility",
        authenticator_login_url="/hub/oauth_login",
        login_url="/hub/login",
        status_code=404,
        status_message="Not Found",
        message=HOSTILE,
        authenticator={},
    )
    assert f"{PREFIX}/static/hashed-hub.css" in html
    assert "Light &amp; Neutrons" in html
    assert "<img src=x" not in html
