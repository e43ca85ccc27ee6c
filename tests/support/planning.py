"""A real planner over a small facility in files and backends that the test sets; nothing starts.

Data of each proposal is in ``/…/data/<proposal>``, homes in ``/home``. A launch asks by `plan`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from types import SimpleNamespace
from typing import Any

import yaml

from hub.access.policy import AccessPolicy
from hub.access.service import AccessService
from hub.catalogue.files import FilesCatalogue
from hub.catalogue.layout import LAYOUTS
from hub.database import ALL_METADATA, Database, sqlite_url
from hub.launch.ledgering import Books
from hub.launch.models import LaunchRequest
from hub.launch.planner import Planner, Prepared
from hub.problems import Problem, RequestError
from profiles.loader import load_profiles
from quota.ledger import Ledger
from quota.policy import Policy, QuotaSettings
from spawners.backend import Backend
from spawners.plan import Account, LaunchId
from tests.support import access
from tests.support.catalogues import proposal, write_data, write_facility

HOME = PurePosixPath("/home/maja")
PROPOSALS = ("ma5501", "ma5502")


def data_set(name: str = "ma5501") -> dict[str, Any]:
    """A request for the raw data of a proposal."""
    return {"inputs": [{"kind": "dataset", "ref": f"ds-{name}-raw"}]}


class Planning:
    """One planner. ``places`` are of the profiles file, by id; ``profiles`` names those of each profile."""

    def __init__(
        self,
        folder: Path,
        backends: Mapping[str, Backend],
        places: Mapping[str, Mapping[str, Any]] | None = None,
        profiles: Mapping[str, tuple[str, ...]] | None = None,
        **quota: Any,
    ) -> None:
        self.root = folder / "data"
        entries = [proposal(name, access.ME) for name in PROPOSALS]
        write_facility(folder / "catalogue", *entries)
        write_data(self.root, *entries)
        offered = {"lab": tuple(backends), **(profiles or {})}
        file = folder / "profiles.yaml"
        file.write_text(yaml.safe_dump(self._file(backends, places or {}, offered)))
        self.db = Database(sqlite_url(folder / "panhub.sqlite"))
        for metadata in ALL_METADATA:
            metadata.create_all(self.db.engine)
        catalogue = FilesCatalogue(folder / "catalogue")
        settings = QuotaSettings.model_validate({"enforcement": "enforced", "unlisted": "allow", **quota})
        self.books = Books(Ledger(Policy(settings)))
        self.planner = Planner(
            db=self.db,
            books=self.books,
            access=AccessService(catalogue, AccessPolicy(), LAYOUTS["esrf-v3"], self.root),
            catalogue=catalogue,
            profiles=load_profiles(file),
            accounts=SimpleNamespace(resolve=self._account),
            notebooks=SimpleNamespace(plan=self._no_template),  # type: ignore[arg-type]  # the same one call
            backends=backends,
        )
        self.person = access.person()

    def _file(
        self,
        backends: Mapping[str, Backend],
        places: Mapping[str, Mapping[str, Any]],
        profiles: Mapping[str, tuple[str, ...]],
    ) -> dict[str, Any]:
        profile = {
            "interfaces": ["lab"], "environment": "core", "sizes": ["s"], "default_size": "s",
            "walltime": {"default": "2 h", "max": "8 h"}, "overflow_after": "15 min", "allow": "everyone",
        }  # fmt: skip
        return {
            "environments": {"core": {"title": "Core", "prefix": "/opt/core", "lock_sha256": "0" * 64}},
            "sizes": {"s": {"title": "S", "cpus": 2, "memory_mib": 512}},
            "places": {
                name: {"title": name.upper(), "backend": "local", **self._at_root(places.get(name, {}))}
                for name in backends
            },
            "profiles": {
                name: {**profile, "title": name.title(), "places": list(of_it)}
                for name, of_it in profiles.items()
            },
            "default_profile": "lab",
        }

    def _at_root(self, place: Mapping[str, Any]) -> dict[str, Any]:
        """A place whose storage below ``data`` is that of this facility."""
        storage = place.get("storage")
        if storage is None:
            return dict(place)
        seen = [str(self.root.parent / path) if path.startswith("data") else path for path in storage]
        return {**place, "storage": seen}

    async def plan(self, **request: Any) -> Prepared:
        """A launch as it would be."""
        return await self.planner.prepare(
            self.person,
            LaunchRequest.model_validate(request),
            launch_id=LaunchId("0" * 16),
            server_name="work",
        )

    async def refused(self, **request: Any) -> Problem:
        """Why a launch is refused."""
        try:
            await self.plan(**request)
        except RequestError as error:
            return error.problem
        raise AssertionError(f"{request} was not refused")

    def close(self) -> None:
        """Release the database."""
        self.db.close()

    @staticmethod
    async def _account(person: Any) -> Account:
        return Account("maja", 2001, 2001, HOME)

    @staticmethod
    async def _no_template(*args: Any, **kwargs: Any) -> None:
        return None
