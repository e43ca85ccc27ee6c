"""How does a view become HTML?

A `Renderer` owns the Jinja environment: autoescape everywhere, undefined names are errors, all
addresses by `url` and `static`, which no template writes by hand. Pages never hold inline script
or style, so that the content security policy of `CONTENT_SECURITY_POLICY` can be strict.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from hub.pages import format as text
from hub.problems import Problem

_HTML = Path(__file__).parent / "html"

HUB_TEMPLATES = Path(__file__).parent / "hub_templates"
"""For ``JupyterHub.template_paths``: login, logout and error page of the hub in our look."""

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
"""Sent with every page of ours: nothing inline, nothing from elsewhere, in nobody's frame."""

_FILTERS = {
    "amount": lambda amount: text.amount(amount.value, amount.resource),
    "short_amount": lambda amount: text.short_amount(amount.value, amount.resource),
    "quantity": text.quantity,
    "unit": text.unit,
    "duration": text.duration,
    "memory": text.memory,
    "bytesize": text.bytesize,
    "clock": text.clock,
    "moment": text.moment,
    "day": text.day,
    "iso": text.iso,
    "number": text.number,
    "count": text.count,
    "start_words": text.start_words,
    "age": text.age,
}


class Renderer:
    """Renders the templates of ``hub/pages/html``. Making one takes half a second; rendering does not.

    Parameters
    ----------
    prefix
        Path at which the service is shown, as ``/services/panhub``.
    static_manifest
        Logical name of each static file → its name with a hash (`hub.static.collect`).
    site_name
        Name on every page.
    hub_prefix
        Path of the hub, for login and logout.
    support
        Whom to ask, shown on problems; may be empty.
    """

    def __init__(
        self,
        prefix: str,
        static_manifest: Mapping[str, str],
        site_name: str,
        *,
        hub_prefix: str = "/hub",
        support: str = "",
    ) -> None:
        self._prefix = prefix.rstrip("/")
        self._manifest = static_manifest
        self._environment = Environment(
            loader=FileSystemLoader(_HTML),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
            cache_size=-1,
        )
        self._environment.filters.update(_FILTERS)
        self._environment.filters["dom_id"] = _dom_id
        self._environment.globals.update(
            url=self.url,
            static=self.static,
            chip=text.chip,
            percent=text.percent,
            site_name=site_name,
            support=support,
            logout_url=f"{hub_prefix}/logout",
            now=_now,
        )
        # Compiled now: parsing a page takes 100 ms, too long for an event loop.
        for name in self._environment.list_templates():
            self._environment.get_template(name)

    def url(self, *segments: str, **query: str | int | None) -> str:
        """Address below the prefix, each segment and value quoted; None values are left out."""
        path = "/".join(quote(segment, safe="") for segment in segments)
        given = {key: value for key, value in query.items() if value is not None}
        return f"{self._prefix}/{path}" + (f"?{urlencode(given)}" if given else "")

    def static(self, name: str) -> str:
        """Address of a static file by its logical name.

        Raises
        ------
        KeyError
            If the manifest does not have it.
        """
        return f"{self._prefix}/static/{self._manifest[name]}"

    def render(self, template: str, **context: Any) -> str:
        """HTML of a page (``home.html``) or of a fragment (``parts/sessions.html``).

        Every page needs ``viewer`` (None before login) and ``xsrf``, the token of the request.
        """
        return self._environment.get_template(template).render(context)

    def problem(self, problem: Problem, **context: Any) -> str:
        """Page for a 4xx or 5xx."""
        return self.render("problem.html", problem=problem, **context)


def hub_template_vars(
    prefix: str, static_manifest: Mapping[str, str], site_name: str
) -> dict[str, dict[str, str]]:
    """Give the hub's own pages our look: for ``JupyterHub.template_vars``, with `HUB_TEMPLATES`."""
    static = f"{prefix.rstrip('/')}/static"
    return {
        "panhub_look": {
            "site_name": site_name,
            "home": f"{prefix.rstrip('/')}/",
            "stylesheet": f"{static}/{static_manifest['hub.css']}",
            "mark": f"{static}/{static_manifest['favicon.svg']}",
        }
    }


def _now() -> datetime:
    return datetime.now(UTC)


def _dom_id(value: str) -> str:
    """Id of an element for any value: stable, and free of characters that selectors know."""
    return "v" + hashlib.sha256(value.encode()).hexdigest()[:12]
