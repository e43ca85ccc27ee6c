"""How the service is put together: settings in, one object with all parts out.

Built once at start; each part gets only what it needs. Handlers reach their parts through `App`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from datetime import timedelta
from functools import partial
from pathlib import Path

from jupyterhub.services.auth import HubOAuth
from tornado.web import Application

import templates
from hub.access.service import AccessService
from hub.api.routes import routes
from hub.backends import Backends, make_backends, with_storage
from hub.catalogue.files import FilesCatalogue
from hub.catalogue.layout import LAYOUTS
from hub.database import Database
from hub.desktop import capability
from hub.desktop.settings import DesktopSettings
from hub.identity import persons
from hub.identity.accounts import make_resolver
from hub.identity.models import Person
from hub.launch import refusals
from hub.launch.feed import OPERATORS_TOPIC, Feed, wait_for_news
from hub.launch.handover import HandOver
from hub.launch.hubclient import HubClient
from hub.launch.idle import IdleEnds, IdleRule
from hub.launch.ledgering import Books
from hub.launch.notebooks import Notebooks
from hub.launch.outlook import Outlooks
from hub.launch.planner import Planner
from hub.launch.recheck import AccessRecheck
from hub.launch.reconciler import Reconciler
from hub.launch.runner import Runner
from hub.launch.service import LaunchService
from hub.launch.states import MAY_RUN, EndReason
from hub.launch.steering import every, want_stop
from hub.launch.store import Launch, in_states
from hub.launch.watcher import Watcher
from hub.pages.formview import Forms
from hub.pages.render import Renderer
from hub.settings import (
    SERVICE_CLIENT_ID,
    SERVICE_PREFIX,
    ConfigError,
    SessionSettings,
    Settings,
    read_secret,
)
from hub.sharing.directory import DesktopDirectory
from hub.sharing.service import Sharing
from hub.sharing.sessions import Sessions
from hub.sharing.workstations import Workstations
from hub.static.collect import load_manifest, static_folder
from profiles.loader import Profiles, load_profiles
from quota.ledger import Ledger
from quota.policy import Policy
from spawners.backend import Backend
from spawners.plan import Interface
from templates.catalogue import Library
from templates.inspector import Inspector

log = logging.getLogger(__name__)

_WATCH_S = 1.0
"""How often all backends are asked, one query each."""

_RECONCILE_S = 60.0
_SWEEP_S = 2.0
_DRAIN_S = 25.0
_SHIPPED_TEMPLATES = Path(templates.__file__).parent / "library"


class App:
    """All parts of the running service."""

    prefix = SERVICE_PREFIX

    def __init__(self, settings: Settings, *, backends: Mapping[str, Backend] | None = None) -> None:
        self.settings = settings
        self.public_url = settings.site.public_url
        self.internal_secret = read_secret(settings.service.internal_secret_file)
        self.db = Database(settings.database.url)
        self.feed = Feed()
        self.profiles = _profiles(settings)
        self.library = Library.load(_template_folders(settings))
        self.inspector = Inspector()
        self.catalogue = FilesCatalogue(settings.catalogue.folder)
        layout = LAYOUTS[settings.data.layout]
        self.access = AccessService(self.catalogue, settings.access, layout, settings.data.root)
        self.books = Books(Ledger(Policy(settings.quota)))
        self._places = Backends(backends) if backends is not None else make_backends(settings, self.profiles)
        self.backends = self._places.by_place
        self.hub_client = HubClient(settings.hub.api_url, read_secret(settings.hub.service_token_file))
        grace = timedelta(seconds=settings.sessions.hand_over_timeout_s)
        self.hand_over = HandOver(self.db, self.hub_client, self.feed, grace=grace)
        self.runner = Runner(
            db=self.db,
            books=self.books,
            feed=self.feed,
            backends=self.backends,
            report_base_url=settings.service.session_report_url or settings.service.url,
        )
        self.notebooks = Notebooks(self.library, self.inspector)
        self.planner = Planner(
            db=self.db,
            books=self.books,
            access=self.access,
            catalogue=self.catalogue,
            profiles=self.profiles,
            accounts=make_resolver(settings.identity.accounts),
            notebooks=self.notebooks,
            backends=self.backends,
        )
        self.launches = LaunchService(
            db=self.db,
            planner=self.planner,
            books=self.books,
            runner=self.runner,
            feed=self.feed,
            hand_over=self.hand_over,
            extend_step=timedelta(seconds=settings.sessions.extend_step_s),
        )
        self.watcher = Watcher(
            db=self.db, runner=self.runner, start_timeout=timedelta(seconds=settings.sessions.start_timeout_s)
        )
        self.idle = IdleEnds(
            db=self.db, runner=self.runner, hub=self.hub_client, rule=_idle_rule(settings.sessions)
        )
        self.outlooks = Outlooks(self.backends, self.watcher.last, self.idle.ends_at)
        self.reconciler = Reconciler(
            db=self.db, books=self.books, runner=self.runner, hand_over=self.hand_over, grace=grace
        )
        self.recheck = AccessRecheck(db=self.db, runner=self.runner, access=self.access)
        self.sharing: Sharing | None = None
        self.workstations: Workstations | None = None
        self.desktop_secret = self._desktop_key = ""
        if settings.desktop is not None:
            self.sharing = self._make_sharing(settings.desktop)
            self.desktop_secret = read_secret(settings.desktop.secret_file)
            self._desktop_key = capability.public_text(settings.desktop.key_file)
        self.renderer = Renderer(
            self.prefix, load_manifest(static_folder()), settings.site.name, support=settings.site.support
        )
        self.forms = Forms(
            access=self.access,
            profiles=self.profiles,
            planner=self.planner,
            launches=self.launches,
            notebooks=self.notebooks,
            backends=self.backends,
        )
        self.hub_auth = _hub_auth(settings)
        self._loops: list[asyncio.Task[None]] = []

    def _make_sharing(self, settings: DesktopSettings) -> Sharing:
        self.workstations = Workstations(settings.workstations, self.catalogue)
        directories: tuple[DesktopDirectory, ...] = (
            Sessions(self.db, self.access, self.idle.ends_at),
            self.workstations,
        )
        return Sharing(
            db=self.db,
            feed=self.feed,
            hub=self.hub_client,
            catalogue=self.catalogue,
            directories=directories,
            settings=settings,
            invitation_page=f"{self.public_url}{self.prefix}/invitations",
            recheck_s=self.settings.sessions.recheck_access_s,
        )

    def web(self) -> Application:
        """The tornado application."""
        return Application(
            routes(self),
            cookie_secret=self.internal_secret,
            xsrf_cookies=False,  # `PersonHandler.prepare` checks, by the hub's rules
            xsrf_cookie_kwargs={"samesite": "Lax"},
            log_function=_log_request,
            compress_response=True,
        )

    @property
    def session_environment(self) -> dict[str, str]:
        """What every session is told beside the hub's own variables: where its page is, when to warn."""
        warnings = ",".join(str(seconds) for seconds in self.settings.sessions.warn_before_s)
        idle = _idle_rule(self.settings.sessions)
        return {
            "PANHUB_SESSIONS_URL": f"{self.prefix}/",
            "PANHUB_WARN_BEFORE_S": warnings,
            **(idle.environment if idle else {}),
            **({"PANHUB_DESKTOP_KEY": self._desktop_key} if self._desktop_key else {}),
        }

    async def start(self) -> None:
        """Go on where the last service stopped, then keep looking."""
        self.catalogue.start()
        self._places.start()
        await self.reconciler.at_start()
        recheck_s = self.settings.sessions.recheck_access_s
        self._loops = [
            asyncio.create_task(every(_WATCH_S, "watcher", self.watcher.look)),
            asyncio.create_task(every(_RECONCILE_S, "reconciler", self.reconciler.reconcile)),
            asyncio.create_task(every(recheck_s, "access", self.recheck.look)),
            asyncio.create_task(every(_SWEEP_S, "sweep", self.hand_over.sweep)),
            asyncio.create_task(every(self.idle.period_s, "idle", self.idle.look)),
            asyncio.create_task(self.planner.warm_up()),
        ]
        if self.sharing is not None:
            self.sharing.start()

    async def owner_of(self, launch: Launch) -> Person:
        """The person whose launch it is.

        Raises
        ------
        RequestError
            If the person is no longer known or is blocked.
        """
        person = await self.db.run(lambda s: persons.by_id(s, launch.person_id))
        if person is None or person.is_blocked:
            raise refusals.login_required()
        return person

    async def drain(self) -> None:
        """End all sessions and wait until they are settled: for a demo's end."""
        for launch in await self.db.run(partial(in_states, states=MAY_RUN)):
            await want_stop(self.db, self.runner, launch, EndReason.SERVICE_STOPPED)
        deadline = asyncio.get_running_loop().time() + _DRAIN_S
        with self.feed.listen(OPERATORS_TOPIC) as news:
            while left := await self.db.run(partial(in_states, states=MAY_RUN)):
                if asyncio.get_running_loop().time() > deadline:
                    log.warning("%d sessions did not end in time", len(left))
                    return
                await wait_for_news(news, 1.0)

    async def aclose(self) -> None:
        """Stop looking, release everything; sessions go on."""
        for task in self._loops:
            task.cancel()
        await asyncio.gather(*self._loops, return_exceptions=True)
        if self.sharing is not None:
            await self.sharing.aclose()
        await self.watcher.aclose()
        await self.reconciler.aclose()
        if self.settings.service.stop_sessions_at_exit:
            await self.drain()
        await self.hand_over.aclose()
        await self.runner.aclose()
        await self._places.aclose()
        await self.inspector.aclose()
        await self.catalogue.aclose()
        self.hub_client.close()
        self.db.close()


def _profiles(settings: Settings) -> Profiles:
    root = settings.profiles.environments_root
    offered = with_storage(settings, load_profiles(settings.profiles.file, environments_root=root))
    if settings.desktop is not None:
        return offered
    try:
        return offered.without(Interface.DESKTOP)
    except ValueError as error:
        raise ConfigError(f"{settings.profiles.file}: {error}; set `desktop` in the configuration") from error


def _template_folders(settings: Settings) -> tuple[Path, ...]:
    shipped = (_SHIPPED_TEMPLATES,) if settings.templates.include_shipped else ()
    return (*shipped, *settings.templates.folders)


def _idle_rule(settings: SessionSettings) -> IdleRule | None:
    if settings.idle_end_s is None:
        return None
    return IdleRule(timedelta(seconds=settings.idle_end_s), timedelta(seconds=settings.idle_warn_s))


def _hub_auth(settings: Settings) -> HubOAuth:
    token = read_secret(settings.hub.service_token_file)
    return HubOAuth(
        api_url=settings.hub.api_url,
        api_token=token,
        base_url=f"{SERVICE_PREFIX}/",
        hub_prefix="/hub/",
        oauth_client_id=SERVICE_CLIENT_ID,
        oauth_redirect_uri=f"{SERVICE_PREFIX}/oauth_callback",
        oauth_authorization_url="/hub/api/oauth2/authorize",
        cookie_options={"samesite": "Lax"},
        access_scopes={"access:services", "access:services!service=panhub"},
        # A person whose token was taken back is out after this many seconds.
        cache_max_age=30,
    )


def _log_request(handler: object) -> None:
    """Log method, path and time; never a query, which may hold what is nobody's business."""
    request = handler.request  # type: ignore[attr-defined]
    status = handler.get_status()  # type: ignore[attr-defined]
    level = logging.INFO if status < 500 else logging.ERROR
    log.log(level, "%d %s %s %.0f ms", status, request.method, request.path, 1000 * request.request_time())
