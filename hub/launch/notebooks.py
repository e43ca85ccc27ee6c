"""Templates on the launch path: which one, does it fit the data, and what files does it give.

The rules are in `templates`; here they meet the granted data and the paths of the session.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from hub.access.service import AccessResult, GrantedDataset
from hub.identity.models import Person
from hub.launch.models import LaunchRequest
from hub.launch.summary import TemplateSummary
from hub.problems import Problem, RequestError
from spawners.backend import View
from spawners.plan import Environment, LaunchId, Mount, MountMode, PlannedFile
from templates.catalogue import Library, Template
from templates.facts import FileFacts
from templates.inspector import Inspector
from templates.matching import Match, Verdict, match, rank
from templates.parameters import DatasetRef, ParameterError, effective, validate
from templates.render import RenderContext, render

AUTO = "auto"


@dataclass(frozen=True, slots=True)
class PlannedTemplate:
    """A template as it will lie in the session's working folder."""

    summary: TemplateSummary
    files: tuple[PlannedFile, ...]
    notebook: PurePosixPath


class Notebooks:
    """Chooses and renders templates for launches."""

    def __init__(self, library: Library, inspector: Inspector) -> None:
        self.library = library
        self._inspector = inspector

    async def warm_up(self) -> None:
        """Start the inspector's worker, so that the first person does not wait for it."""
        await self._inspector.start()

    async def ranked(self, one: GrantedDataset | None) -> Sequence[Match]:
        """All templates for a data set, the best fit first."""
        if one is None:
            return ()
        facts = await self._facts(one)
        return rank(
            self.library,
            facts,
            one.dataset.techniques,
            one.dataset.definition,
            one.investigation.instrument,
        )

    async def plan(
        self,
        person: Person,
        request: LaunchRequest,
        granted: AccessResult,
        *,
        mounts: Sequence[Mount],
        view: View,
        workdir: PurePosixPath,
        environment: Environment,
        launch_id: LaunchId,
    ) -> PlannedTemplate | None:
        """The request's template with its parameters filled in; None where none was asked for.

        Raises
        ------
        RequestError
            ``template_unknown``, ``template_needs_data``, ``template_not_applicable`` or
            ``parameter_invalid``.
        """
        one = granted.datasets[0] if granted.datasets else None
        chosen = await self._choose(request, one)
        if chosen is None:
            if request.parameters:
                raise _parameter_invalid("parameters", "There is no template that could take them.")
            return None
        if one is None:
            raise _needs_data(chosen.template)
        facts = await self._facts(one)
        dataset = DatasetRef(
            path=view.shown(one.target),
            name=one.dataset.name,
            output_dir=_output_dir(one, mounts, view, workdir),
        )
        context = RenderContext(
            dataset=dataset,
            dataset_pid=one.dataset.pid,
            proposal=one.investigation.proposal,
            investigation=one.investigation.id,
            environment_id=environment.id,
            lock_sha256=environment.lock_sha256,
            launch_id=launch_id,
            username=person.username,
            doi=one.dataset.doi or one.investigation.doi,
            kernel=environment.kernel,
        )
        try:
            given = validate(chosen.template, request.parameters)
            values = effective(chosen.template, given, dataset, facts)
        except ParameterError as error:
            raise _parameter_invalid(error.name, error.sentence) from error
        files = await asyncio.to_thread(render, chosen.template, values, context)
        return PlannedTemplate(
            summary=TemplateSummary(
                id=chosen.template.id,
                version=chosen.template.spec.version,
                title=chosen.template.spec.title,
                notebook=str(files[0].path),
                why=chosen.why,
            ),
            files=tuple(PlannedFile(file.path, file.content) for file in files),
            notebook=files[0].path,
        )

    async def _choose(self, request: LaunchRequest, one: GrantedDataset | None) -> Match | None:
        if request.template is None or (request.template == AUTO and one is None):
            return None
        if request.template == AUTO:
            best = next(iter(await self.ranked(one)), None)
            return best if best is not None and best.verdict is not Verdict.NO else None
        template = self.library.get(request.template)
        if template is None:
            raise _template_unknown(request.template)
        if one is None:
            raise _needs_data(template)
        facts = await self._facts(one)
        found = match(
            template, facts, one.dataset.techniques, one.dataset.definition, one.investigation.instrument
        )
        if found.verdict is Verdict.NO and facts is not None and found.score == 0:
            raise _not_applicable(found)
        return found

    async def _facts(self, one: GrantedDataset) -> FileFacts | None:
        return await self._inspector.facts(Path(one.source))


def _output_dir(
    one: GrantedDataset, mounts: Sequence[Mount], view: View, workdir: PurePosixPath
) -> PurePosixPath:
    """Where results go: the investigation's processed folder if it may be written, else the home."""
    root = one.target.parents[len(one.dataset.path.parts) - 1]
    for mount in mounts:
        is_processed = "processed" in mount.target.name.lower()
        if mount.mode is MountMode.READ_WRITE and is_processed and mount.target.is_relative_to(root):
            return view.shown(mount.target) / "panhub"
    return view.home / workdir / "results"


def _template_unknown(ref: str) -> RequestError:
    return RequestError(
        Problem(
            "template_unknown",
            404,
            "No such template",
            f"There is no template {ref} here.",
            "Choose one from the page Templates.",
        )
    )


def _needs_data(template: Template) -> RequestError:
    return RequestError(
        Problem(
            "template_needs_data",
            422,
            "A data set is needed",
            f"The template {template.spec.title} works on a data set.",
            "Choose a data set, or start without a template.",
        )
    )


def _not_applicable(found: Match) -> RequestError:
    return RequestError(
        Problem(
            "template_not_applicable",
            422,
            "The template does not fit the data",
            f"{found.template.spec.title}: {'; '.join(found.why)}.",
            "Choose another template, or let it be chosen (auto).",
        )
    )


def _parameter_invalid(name: str, sentence: str) -> RequestError:
    return RequestError(
        Problem(
            "parameter_invalid",
            422,
            "A parameter cannot be used",
            f"{name}: {sentence}",
            "Correct it, or leave it out to take the default.",
            extra={"parameter": name},
        )
    )
