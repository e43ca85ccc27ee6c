"""Jobs from inside a session, on its card."""

from __future__ import annotations

import pytest

from hub.pages.jobs import job_lines, log_path, own_job
from spawners.backend import InnerJob


def test_what_runs_comes_first_then_what_waits_then_what_is_over_newest_first():
    states = ["COMPLETED", "PENDING", "RUNNING", "FAILED", "RUNNING"]
    lines = job_lines(InnerJob(str(n), "work", state) for n, state in enumerate(states))
    assert [line.id for line in lines] == ["4", "2", "1", "3", "0"]


@pytest.mark.parametrize(
    ("state", "words", "tone"),
    [
        ("RUNNING", "running", "good"),
        ("PENDING", "waiting", "info"),
        ("CANCELLED by 1000", "cancelled", "neutral"),
        ("COMPLETED+", "done", "neutral"),
        ("OUT_OF_MEMORY", "out of memory", "bad"),
        ("SOMETHING_NEW", "something new", "neutral"),
    ],
)
def test_a_state_is_in_words(state, words, tone):
    (line,) = job_lines([InnerJob("7", "work", state)])
    assert (line.state, line.tone) == (words, tone)


def test_a_reason_is_said_only_while_a_job_waits():
    waiting, running = InnerJob("1", "a", "PENDING", "Resources"), InnerJob("2", "b", "RUNNING", "None")
    assert [line.reason for line in job_lines([waiting, running])] == ["", "Resources"]


def test_a_farm_of_workers_does_not_bury_the_card():
    assert len(job_lines(InnerJob(f"9_{n}", "worker", "PENDING") for n in range(500))) == 20


def test_a_session_at_a_scheduler_names_its_job_and_its_log():
    handle = {"cluster": "pan", "job": 4711, "user": "maja"}
    assert own_job(handle) == "Slurm job 4711 on pan"
    assert log_path("3f9c0a7b21de4455", handle) == "~/.panhub/logs/3f9c0a7b21de4455.log"
    pod = {"cluster": "pan", "namespace": "panhub-sessions", "name": "maja--work", "uid": "1-2"}
    assert own_job(pod) == "Pod maja--work in panhub-sessions on pan"
    assert log_path("3f9c0a7b21de4455", pod) == "~/.panhub/logs/3f9c0a7b21de4455.log"
    assert own_job({"pid": 1}) == own_job(None) == log_path("x", None) == ""
