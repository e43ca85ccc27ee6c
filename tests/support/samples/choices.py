"""What the form of a new session offers: data, templates, a summary of what will start."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

from hub.pages.placeviews import ExpectedStart
from hub.pages.startviews import (
    Choice,
    DataChoices,
    DatasetChoice,
    Hold,
    InvestigationGroup,
    ProposalGroup,
    Summary,
    TemplateView,
)
from hub.pages.views import Amount
from quota.models import Resource
from tests.support.samples.base import (
    LAB6,
    MEDIUM,
    PROPOSAL_METER,
    RESULTS,
    SESSIONS_METER,
    ago,
    ahead,
    cpu_hours,
)
from tests.support.samples.sessions import QUOTA_REFUSAL

CHOSEN = DatasetChoice(
    "dataset:ma1234-lab6",
    "LaB6 series",
    "team member",
    "X-ray powder diffraction",
    1200,
    2_100_000_000,
    ago(days=18),
    proposal="ma1234",
    description="Calibration series at 60 keV, Pilatus 1M",
    doi="10.15151/ESRF-ES-101",
)
DATA = DataChoices(
    groups=(
        ProposalGroup(
            "ma1234",
            "you are the principal investigator",
            (
                InvestigationGroup(
                    "ma1234-1",
                    "Phase changes in doped ceria under load",
                    "ID22",
                    ago(days=18),
                    (
                        DatasetChoice(
                            "dataset:ma1234-s1",
                            "sample_01",
                            "principal investigator",
                            "X-ray powder diffraction",
                            600,
                            1_050_000_000,
                        ),
                        DatasetChoice(
                            "dataset:ma1234-s2",
                            "sample_02",
                            "principal investigator",
                            "X-ray powder diffraction",
                            600,
                            1_040_000_000,
                            description="Second heating ramp",
                        ),
                    ),
                    14,
                ),
            ),
        ),
        ProposalGroup(
            "hc4021",
            "open data, public since 10 Oct 2025",
            (
                InvestigationGroup(
                    "hc4021-1",
                    "Standards for the new detector",
                    "ID31",
                    ago(days=1500),
                    (
                        DatasetChoice(
                            "dataset:hc4021-ceo2",
                            "CeO2 standard",
                            "open data",
                            "X-ray powder diffraction",
                            20,
                            84_000_000,
                            is_open=True,
                            doi="10.15151/ESRF-ES-77",
                        ),
                    ),
                    1,
                    date(2025, 10, 10),
                ),
            ),
            is_open=True,
        ),
    ),
    more=3,
)
SUMMARY = Summary(
    interface="JupyterLab",
    environment="Photon and neutron basics",
    place="This machine",
    resources=MEDIUM,
    walltime=timedelta(hours=2),
    payer="Proposal ma1234",
    template="Azimuthal integration",
    grants=(LAB6, RESULTS),
    holds=(
        Hold(cpu_hours(4), PROPOSAL_METER),
        Hold(Amount(Resource.SESSIONS, 1), replace(SESSIONS_METER, held=1)),
    ),
)
REFUSED_SUMMARY = replace(SUMMARY, refusal=QUOTA_REFUSAL, holds=())
LATER_SUMMARY = replace(
    SUMMARY,
    start=ExpectedStart(ahead(minutes=35), is_estimate=True),
    waiting="All 2 GPUs are taken; one is free at the end of another session.",
    place="Slurm gpu",
)

TEMPLATE_CHOICES = (
    Choice(
        "saxs-azimuthal-integration@1.2",
        "Azimuthal integration",
        "Fits: 2D detector series, calibration found",
        is_chosen=True,
    ),
    Choice("look-around@1.0", "Look around", "Fits any file"),
    Choice("none", "No template", "Start with an empty folder"),
    Choice("xrf-map@1.0", "XRF map", "Does not fit: needs spectra, these are images", is_allowed=False),
    Choice(
        "tomography-fbp@2.1",
        "Tomography, filtered back-projection",
        "Does not fit: no rotation axis",
        is_allowed=False,
    ),
)
TEMPLATES = (
    TemplateView(
        "saxs-azimuthal-integration",
        "1.2.0",
        "Azimuthal integration",
        "Integrates a series of detector images to patterns, with error bars and quality indicators.",
        "Powder rings or isotropic scattering on a 2D detector",
        "A 2D series (HDF5) and its calibration (PONI)",
        "X-ray powder diffraction",
        ("H. Brandt", "M. Lindqvist"),
        "H. Brandt",
        date(2026, 9, 14),
        "Photon and neutron basics",
    ),
    TemplateView(
        "look-around",
        "1.0.0",
        "Look around",
        "Opens any NeXus or HDF5 file, shows its tree and plots its default signal.",
        "A first look at data you do not know",
        "Any HDF5 or NeXus file",
        "any technique",
        ("Scientific computing",),
        environment="Photon and neutron basics",
    ),
)
