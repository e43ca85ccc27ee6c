"""Is an error text of Slurm a refusal, or the news that nobody answered?"""

from __future__ import annotations

import re

# slurm_errno.c: errors of the way to the daemons, and states in which a daemon cannot say. A job
# whose submission met one of these may exist.
_NO_ANSWER = re.compile(
    r"unable to contact|timed out|connection (?:refused|failure|reset|timed)|zero bytes were transmitted"
    r"|communication|message (?:send|receive)|unexpected message|header lengths|protocol version"
    r"|temporarily unable|standby mode|data_?base|slurmdbd|in an invalid state for requests"
    r"|unspecified error|authentication|protocol authentication|munge|no such host|unable to establish",
    re.IGNORECASE,
)


def is_no_answer(text: str) -> bool:
    """Whether the text means that it is not known what became of the request."""
    return _NO_ANSWER.search(text) is not None
