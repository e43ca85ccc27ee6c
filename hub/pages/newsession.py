"""Pages and changes around starting: the form, its parts, launch links, starting."""

from __future__ import annotations

from hub.launch import store
from hub.launch.models import LaunchRequest
from hub.pages.base import PageHandler
from hub.pages.formchoices import auto_payer
from hub.pages.formsummary import summary_view
from hub.pages.formview import Forms
from hub.pages.startviews import FormView, LaunchView, TemplateView
from hub.pages.state import fields_of, state_of, to_request
from hub.problems import RequestError
from profiles.choose import offers
from templates.catalogue import Template
from templates.techniques import panet


class FormBase(PageHandler):
    """What the form's pages and parts share."""

    @property
    def forms(self) -> Forms:
        """Builder of the form."""
        return self.app.forms

    async def request_of_query(self) -> LaunchRequest:
        """The request that an address stands for, completed with defaults."""
        source = self.get_query_argument("from", "")
        if source:
            return LaunchRequest.model_validate((await self.own_launch(source)).request)
        state = state_of(self.request.query_arguments)
        request = to_request(state, self.app.library)
        update: dict[str, object] = {}
        if state.inputs is None:
            last = await self.app.db.run(lambda s: store.of_person(s, self.person.id, limit=1))
            before = LaunchRequest.model_validate(last[0].request) if last else None
            update["inputs"] = await self.forms.default_inputs(self.person, before)
        if not state.one("template"):
            update["template"] = "auto"
        return request.model_copy(update=update)

    async def form(self, request: LaunchRequest) -> FormView:
        """The form as it stands for a request."""
        live = await self.live_launches()
        chosen = self.get_argument("chosen", "")
        return await self.forms.form(self.person, request, self.search(), live, chosen=chosen)

    def search(self) -> str:
        """Text searched for in the data."""
        return self.get_argument("q", "")[:100].strip()


class NewPage(FormBase):
    """``/new``"""

    async def get(self) -> None:
        """The form."""
        self.show("new.html", form=await self.form(await self.request_of_query()))


class FormPart(FormBase):
    """``/parts/form``"""

    async def get(self) -> None:
        """The form's fields for another choice."""
        self.show("parts/form.html", form=await self.form(await self.request_of_query()))


class SummaryPart(FormBase):
    """``/parts/summary``"""

    async def post(self) -> None:
        """The engine's dry run of the form."""
        state = state_of(self.request.body_arguments)
        try:
            request = to_request(state, self.app.library)
        except RequestError as error:
            # A field holds what cannot be: said in the summary, where its person looks.
            refusal = summary_view(None, error.problem, None, LaunchRequest(), ())
            self.show("parts/summary.html", summary=refusal)
            return
        said, problem = await self.app.launches.summarise(self.person, request)
        offered = offers(self.app.profiles, await self.app.planner.subject(self.person))
        wanted = said.profile.id if said else request.profile
        offer = next((x for x in offered if x.profile == wanted), offered[0] if offered else None)
        live = await self.live_launches() if problem else ()
        summary = summary_view(said, problem, offer, request, live)
        self.show("parts/summary.html", summary=summary, auto_payer=auto_payer(request, said))


class PlacesPart(FormBase):
    """``/parts/places``"""

    async def get(self) -> None:
        """What each place has free now, and when this would start there."""
        state = state_of(self.request.query_arguments)
        try:
            request = to_request(state, self.app.library)
        except RequestError:
            # The summary says what is wrong; what is free does not depend on it.
            request = to_request(state.without_numbers(), self.app.library)
        self.show("parts/places.html", places=await self.forms.places(self.person, request))


class DataPart(FormBase):
    """``/parts/data``"""

    async def get(self) -> None:
        """What a search in the data found."""
        self.show("parts/data_choices.html", data=await self.forms.data(self.person, self.search()))


class LaunchLinkPage(FormBase):
    """``/launch``: a link shows what will start, and starts nothing."""

    async def get(self) -> None:
        """The confirmation."""
        request = await self.request_of_query()
        said, problem = await self.app.launches.summarise(self.person, request)
        if said is not None and said.template is not None:
            chosen = f"{said.template.id}@{said.template.version}"
            request = request.model_copy(update={"template": chosen})
        live = await self.live_launches() if problem else ()
        summary = summary_view(said, problem, None, request, live)
        self.show("launch.html", launch=LaunchView(summary, fields_of(request)))


class StartLaunch(FormBase):
    """``/launches``"""

    async def post(self) -> None:
        """Start what the form says, or show the form again."""
        state = state_of(self.request.body_arguments)
        request = to_request(state, self.app.library)
        if self.get_body_argument("update", ""):
            self.to("new", fields=fields_of(request))
            return
        try:
            launch, _ = await self.app.launches.register(self.person, request, origin="form")
        except RequestError as error:
            self.show("new.html", status=error.problem.status, form=await self.form(request))
            return
        self.to("launches", launch.id)


class DataPage(FormBase):
    """``/data``"""

    async def get(self) -> None:
        """What one may read."""
        self.show("data.html", data=await self.forms.data(self.person, self.search()))


class TemplatesPage(FormBase):
    """``/templates``"""

    async def get(self) -> None:
        """The catalogue of templates."""
        query = self.search()
        words = query.lower().split()
        views = tuple(
            _template_view(template)
            for template in self.app.library.all()
            if all(word in _searchable(template) for word in words)
        )
        self.show("templates.html", templates=views, query=query)


def _searchable(template: Template) -> str:
    spec = template.spec
    return " ".join((spec.id, spec.title, spec.summary, *spec.keywords)).lower()


def _needs(template: Template) -> str:
    if not template.spec.inputs:
        return "no data"
    needs = (need.title for need in template.spec.inputs[0].match.require)
    return "; ".join(needs) or "any HDF5 file"


def _template_view(template: Template) -> TemplateView:
    spec = template.spec
    return TemplateView(
        id=spec.id,
        version=spec.version,
        title=spec.title,
        summary=spec.summary,
        when=", ".join(spec.keywords),
        inputs=_needs(template),
        technique=", ".join(panet().label(technique) for technique in spec.techniques) or "any technique",
        authors=tuple(author.name for author in spec.authors),
        reviewed_by=spec.review.by or "",
        reviewed_on=spec.review.date,
        environment=spec.environment.kernel,
    )
