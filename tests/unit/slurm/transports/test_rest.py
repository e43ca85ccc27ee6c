"""The client of slurmrestd, against a scripted one on a unix socket."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_unix_socket
from tornado.web import Application, RequestHandler

from spawners.slurm.rest import client
from spawners.slurm.rest.transport import RestTransport
from spawners.slurm.settings import RestSettings
from spawners.slurm.transport import SlurmError, SlurmUnavailableError
from tests.unit.slurm.transports.test_submission import SPEC

RECORDED = Path(__file__).parent / "recorded"
UNKNOWN = (404, b"Unable find requested URL. Please view /openapi/v3 for API reference.")


def errors(number: int, text: str, **more: object) -> bytes:
    return json.dumps({"errors": [{"error_number": number, "error": text}], **more}).encode()


@dataclass
class Script:
    """Answers by path, or in turn; keeps what was asked."""

    answers: dict[str, list[tuple[int, bytes]]] = field(default_factory=dict)
    asked: list[tuple[str, str, str, str]] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)

    def put(self, path: str, *answers: tuple[int, bytes]) -> None:
        self.answers[path] = list(answers)


class Handler(RequestHandler):
    def initialize(self, script: Script) -> None:
        self.script = script

    def answer(self) -> None:
        headers = self.request.headers
        asked = (headers["X-SLURM-USER-NAME"], headers["X-SLURM-USER-TOKEN"])
        self.script.asked.append((self.request.method or "", self.request.uri or "", *asked))
        self.script.bodies.append(self.request.body)
        found = self.script.answers.get(self.request.path)
        status, body = UNKNOWN if not found else found.pop(0) if len(found) > 1 else found[0]
        self.set_status(status)
        self.finish(body)

    get = post = delete = answer


class Tokens:
    """Numbered tokens."""

    def __init__(self) -> None:
        self.numbers: dict[str, int] = {}

    async def token(self, user: str) -> str:
        return f"token-{user}-{self.numbers.get(user, 0)}"

    def forget(self, user: str) -> None:
        self.numbers[user] = self.numbers.get(user, 0) + 1


@pytest.fixture
async def script(tmp_path):
    made = Script()
    server = HTTPServer(Application([(".*", Handler, {"script": made})], log_function=lambda handler: None))
    server.add_socket(bind_unix_socket(str(tmp_path / "s")))
    yield made
    server.stop()
    await server.close_all_connections()


@pytest.fixture
async def transport(script, tmp_path):
    made = RestTransport(
        RestSettings(kind="rest", url=f"unix:{tmp_path}/s", version="v0.0.41", timeout_s=2),
        "panhub",
        Tokens(),
    )
    yield made
    await made.aclose()


@pytest.fixture
async def old(script, tmp_path):
    made = RestTransport(
        RestSettings(kind="rest", url=f"unix:{tmp_path}/s", version="v0.0.38", timeout_s=2),
        "panhub",
        Tokens(),
    )
    yield made
    await made.aclose()


NODES = (200, (RECORDED / "v0.0.41" / "nodes.json").read_bytes())
UP = {
    version: (200, (RECORDED / version / "ping.json").read_bytes())
    for version in ("v0.0.38", "v0.0.41", "v0.0.42")
}


async def test_queries_carry_the_token_of_the_service(script, transport):
    script.put("/slurm/v0.0.41/nodes/", NODES)
    assert len(await transport.nodes()) == 3
    assert script.asked == [("GET", "/slurm/v0.0.41/nodes/", "panhub", "token-panhub-0")]


@pytest.mark.parametrize(
    "refused",
    [
        (401, b"Authentication failure"),
        (511, errors(1007, "Protocol authentication error")),
        (500, errors(1007, "Protocol authentication error")),
        (500, errors(-1, "Unspecified error")),
        (502, errors(7000, "Unable to connect to database")),
    ],
)
async def test_a_token_that_is_not_accepted_is_renewed_once(script, transport, refused):
    script.put("/slurm/v0.0.41/nodes/", refused, NODES)
    assert len(await transport.nodes()) == 3
    assert [asked[3] for asked in script.asked] == ["token-panhub-0", "token-panhub-1"]
    script.put("/slurm/v0.0.41/nodes/", refused)
    with pytest.raises(SlurmUnavailableError):
        await transport.nodes()
    # What may be a daemon that is down is a reason for a new token once a minute.
    assert len(script.asked) == (4 if refused[0] in (401, 511) or b"1007" in refused[1] else 3)


async def test_the_newest_common_version_is_taken(script, tmp_path):
    made = RestTransport(RestSettings(kind="rest", url=f"unix:{tmp_path}/s", timeout_s=2), "panhub", Tokens())
    for version in ("v0.0.38", "v0.0.41", "v0.0.42"):
        script.put(f"/slurm/{version}/ping/", UP[version])
    await made.ping()
    await made.ping()
    asked = [asked[1].split("/")[2] for asked in script.asked]
    assert asked == ["v0.0.45", "v0.0.44", "v0.0.43", "v0.0.42", "v0.0.42", "v0.0.42"]
    await made.aclose()


async def test_a_slurmrestd_that_was_replaced_is_asked_again_what_it_speaks(script, tmp_path):
    made = RestTransport(RestSettings(kind="rest", url=f"unix:{tmp_path}/s", timeout_s=2), "panhub", Tokens())
    script.put("/slurm/v0.0.42/ping/", UP["v0.0.42"])
    await made.ping()
    script.put("/slurm/v0.0.42/nodes/", UNKNOWN)
    del script.answers["/slurm/v0.0.42/ping/"]
    script.put("/slurm/v0.0.41/ping/", UP["v0.0.41"])
    script.put("/slurm/v0.0.41/nodes/", NODES)
    with pytest.raises(SlurmUnavailableError, match="any more"):
        await made.nodes()
    assert len(await made.nodes()) == 3
    await made.aclose()


async def test_no_common_version(tmp_path, script):
    made = RestTransport(RestSettings(kind="rest", url=f"unix:{tmp_path}/s", timeout_s=2), "panhub", Tokens())
    with pytest.raises(SlurmUnavailableError, match="speaks none of"):
        await made.jobs()
    await made.aclose()


SUBMIT = "/slurm/v0.0.41/job/submit"


async def test_a_submission_carries_the_persons_token(script, transport):
    script.put(SUBMIT, (200, b'{"job_id": 7, "errors": [], "job_submit_user_msg": ""}'))
    assert await transport.submit(SPEC) == 7
    assert script.asked == [("POST", SUBMIT, "maja", "token-maja-0")]
    assert json.loads(script.bodies[0])["job"]["environment"] == ["TOKEN=s3cret", "LINES=a\nb=c"]


@pytest.mark.parametrize(
    ("status", "body", "text"),
    [
        (500, errors(2045, "Invalid account"), "^Invalid account$"),
        (
            500,
            errors(2050, "Policy", job_submit_user_msg="No GPU on Sundays"),
            "^No GPU on Sundays · Policy$",
        ),
        (400, errors(9001, "Failure during parsing"), "parsing"),
        (200, errors(2000, "Invalid partition\x1b[2J name"), "^Invalid partition \\[2J name$"),
        (500, errors(2000, "x" * 5000), "^x{499}…$"),
    ],
)
async def test_a_refusal_is_slurms_own_text(script, transport, status, body, text):
    script.put(SUBMIT, (status, body))
    with pytest.raises(SlurmError, match=text):
        await transport.submit(SPEC)
    assert len(script.asked) == 1


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (500, errors(5005, "Zero Bytes were transmitted or received")),
        (500, errors(-1, "Unspecified error")),
        (500, errors(1800, "Unable to contact slurm controller (connect failure)")),
        (504, errors(5004, "Socket timed out on send/recv operation")),
        (502, b"<html>Bad gateway</html>"),
        (500, b"{}"),
        (200, b'{"errors": []}'),
        (200, b'{"job_id": "", "errors": []}'),
        (200, b""),
    ],
)
async def test_an_outcome_that_is_not_known_is_not_sent_again(script, transport, status, body):
    script.put(SUBMIT, (status, body))
    with pytest.raises(SlurmUnavailableError):
        await transport.submit(SPEC)
    assert len(script.asked) == 1


async def test_a_submission_with_a_bad_token_is_sent_again(script, transport):
    script.put(
        SUBMIT, (511, errors(1007, "Protocol authentication error")), (200, b'{"job_id": 7, "errors": []}')
    )
    assert await transport.submit(SPEC) == 7
    assert [asked[3] for asked in script.asked] == ["token-maja-0", "token-maja-1"]


async def test_0_0_38_tries_the_token_before_it_submits(script, old):
    script.put("/slurm/v0.0.38/ping/", (500, errors(-1, "Unspecified error")), UP["v0.0.38"])
    script.put("/slurm/v0.0.38/job/submit", (200, b'{"job_id": 7, "errors": []}'))
    assert await old.submit(SPEC) == 7
    assert [asked[1:] for asked in script.asked] == [
        ("/slurm/v0.0.38/ping/", "maja", "token-maja-0"),
        ("/slurm/v0.0.38/ping/", "maja", "token-maja-1"),
        ("/slurm/v0.0.38/job/submit", "maja", "token-maja-1"),
    ]


@pytest.mark.parametrize("number", [2017, 2021, 2084])
async def test_cancelling_what_is_over_is_no_error(script, transport, old, number):
    script.put("/slurm/v0.0.38/ping/", UP["v0.0.38"])
    script.put("/slurm/v0.0.38/job/7", (500, errors(number, "Invalid job id specified")))
    await old.cancel(7, user="maja")
    script.put("/slurm/v0.0.41/jobs/", (200, status(number, "Invalid job id specified")))
    await transport.cancel(7, user="maja")
    assert [asked[:3] for asked in script.asked] == [
        ("GET", "/slurm/v0.0.38/ping/", "maja"),
        ("DELETE", "/slurm/v0.0.38/job/7", "maja"),
        ("DELETE", "/slurm/v0.0.41/jobs/", "maja"),
    ]
    assert json.loads(script.bodies[2]) == {"jobs": ["7"]}


async def test_cancelling_with_a_token_that_has_expired_renews_it_first(script, old):
    script.put("/slurm/v0.0.38/ping/", (500, errors(-1, "Unspecified error")), UP["v0.0.38"])
    script.put("/slurm/v0.0.38/job/7", (200, b'{"errors": []}'))
    await old.cancel(7, user="maja")
    assert script.asked[-1][1:] == ("/slurm/v0.0.38/job/7", "maja", "token-maja-1")


async def test_cancelling_without_the_right_is_refused(script, transport, old):
    script.put("/slurm/v0.0.38/ping/", UP["v0.0.38"])
    script.put("/slurm/v0.0.38/ping/", UP["v0.0.38"])
    script.put("/slurm/v0.0.38/job/7", (500, errors(2002, "Access/permission denied")))
    script.put("/slurm/v0.0.41/jobs/", (200, status(2002, "Access/permission denied")))
    for one in (old, transport):
        with pytest.raises(SlurmError, match=r"^Access/permission denied$"):
            await one.cancel(7, user="maja")
    script.put("/slurm/v0.0.41/jobs/", (200, status(0, "No error")))
    await transport.cancel(7, user="maja")


def status(code: int, text: str) -> bytes:
    return json.dumps({"status": [{"error": {"string": text, "code": code}}], "errors": []}).encode()


async def test_a_time_limit_is_set_by_the_service(script, transport):
    script.put(
        "/slurm/v0.0.41/job/7",
        (200, b'{"job_id": "", "errors": []}'),
        (500, errors(2002, "Access/permission denied")),
    )
    await transport.set_time_limit(7, timedelta(minutes=9, seconds=1))
    assert json.loads(script.bodies[0]) == {"time_limit": {"set": True, "infinite": False, "number": 10}}
    assert script.asked[0][2] == "panhub"
    with pytest.raises(SlurmError, match="denied"):
        await transport.set_time_limit(7, timedelta(minutes=9))


async def test_job_ids_are_asked_for_in_the_form_of_the_version(script, transport, old):
    answer = (200, (RECORDED / "v0.0.41" / "accounted.json").read_bytes())
    script.put("/slurmdb/v0.0.41/jobs/", answer)
    script.put("/slurmdb/v0.0.38/jobs/", (200, (RECORDED / "v0.0.38" / "accounted.json").read_bytes()))
    assert {run.id for run in await transport.accounted({2, 18})} == {2, 18}
    assert {run.id for run in await old.accounted({2, 18})} == {2, 18}
    assert [asked[1] for asked in script.asked] == [
        "/slurmdb/v0.0.41/jobs/?step=2&step=18&show_duplicates=true",
        "/slurmdb/v0.0.38/jobs/?step=2%2C18",
    ]


async def test_0_0_38_says_nothing_found_as_an_error(script, old):
    script.put("/slurmdb/v0.0.38/jobs/", (500, errors(9003, "Nothing found with query", jobs=[])))
    assert await old.accounted([5]) == ()
    script.put("/slurmdb/v0.0.38/jobs/", (500, errors(7000, "Unable to connect to database", jobs=[])))
    with pytest.raises(SlurmUnavailableError, match="database"):
        await old.accounted([5])


async def test_one_of_several_clusters_is_not_guessed(script, transport):
    script.put(
        "/slurmdb/v0.0.41/clusters/", (200, b'{"clusters": [{"name": "a"}, {"name": "b"}], "errors": []}')
    )
    with pytest.raises(SlurmUnavailableError, match="2 clusters"):
        await transport.associations()


async def test_an_answer_without_end_is_cut(script, tmp_path, monkeypatch):
    monkeypatch.setattr(client, "MOST_ANSWER", 1000)
    made = RestTransport(
        RestSettings(kind="rest", url=f"unix:{tmp_path}/s", version="v0.0.41", timeout_s=2),
        "panhub",
        Tokens(),
    )
    script.put("/slurm/v0.0.41/nodes/", NODES)
    with pytest.raises(SlurmUnavailableError):
        await made.nodes()
    await made.aclose()


async def test_no_token_in_any_log_or_text(script, transport, caplog, tmp_path):
    caplog.set_level(logging.DEBUG)
    script.put("/slurm/v0.0.41/nodes/", (401, b"Authentication failure"))
    with pytest.raises(SlurmUnavailableError) as refused:
        await transport.nodes()
    gone = RestTransport(
        RestSettings(kind="rest", url=f"unix:{tmp_path}/none", version="v0.0.41", timeout_s=1),
        "panhub",
        Tokens(),
    )
    with pytest.raises(SlurmUnavailableError) as dead:
        await gone.submit(SPEC)
    await gone.aclose()
    assert "No such file" in str(dead.value)
    for text in (caplog.text, str(refused.value), str(dead.value)):
        assert "token-" not in text
        assert "s3cret" not in text
