"""What must not come into a log of ours, though a library would write it there.

JupyterHub notes the id of a browser's session when it gives out a token against forgery, and
services send that id in a query. Whoever reads logs has no use for either.
"""

from __future__ import annotations

import logging

import jupyterhub.log


def keep_cookies_out() -> None:
    """Keep ids of browser sessions out of this process's log."""
    if "session_id" not in jupyterhub.log.SCRUB_PARAM_KEYS:
        jupyterhub.log.SCRUB_PARAM_KEYS = (*jupyterhub.log.SCRUB_PARAM_KEYS, "session_id")
    logging.getLogger("tornado.application").addFilter(_is_no_cookie)


def _is_no_cookie(record: logging.LogRecord) -> bool:
    return record.module != "_xsrf_utils" or record.levelno > logging.INFO
