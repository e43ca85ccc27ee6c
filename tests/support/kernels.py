"""A kernel in a session that keeps its state between questions, as a notebook's does."""

from __future__ import annotations

import asyncio
import json
import os
from typing import Any

from tornado.httpclient import HTTPRequest
from tornado.websocket import websocket_connect

from tests.support.platform import Session


class Kernel:
    """One kernel of a session, reached through the proxy; each question has a connection of its own."""

    def __init__(self, session: Session) -> None:
        self._session = session
        client = session.visitor.client
        headers = {"X-XSRFToken": session.visitor.xsrf(session.base), "Sec-Fetch-Mode": "cors"}
        reply = client.post(f"{session.base}api/kernels", json={}, headers=headers)
        assert reply.status_code == 201, reply.text
        self.id: str = reply.json()["id"]

    def run(self, code: str) -> None:
        """Run statements."""
        self._ask(code, {})

    def value(self, expression: str) -> str:
        """Value of an expression, as Python shows it."""
        found = self._ask("", {"x": expression})["user_expressions"]["x"]
        assert found["status"] == "ok", found
        text: str = found["data"]["text/plain"]
        return text

    def _ask(self, code: str, expressions: dict[str, str]) -> dict[str, Any]:
        return asyncio.run(asyncio.wait_for(self._execute(code, expressions), 60))

    async def _execute(self, code: str, expressions: dict[str, str]) -> dict[str, Any]:
        visitor, base = self._session.visitor, self._session.base
        cookies = "; ".join(
            f"{c.name}={c.value}" for c in visitor.client.cookies.jar if base.startswith(c.path.rstrip("/"))
        )
        url = f"{visitor.platform.url}{base}api/kernels/{self.id}/channels".replace("http", "ws", 1)
        headers = {"Cookie": cookies, "Origin": visitor.platform.url}
        connection = await websocket_connect(HTTPRequest(url, headers=headers))
        number = os.urandom(8).hex()
        await connection.write_message(_execute_request(number, code, expressions))
        while True:
            message = await connection.read_message()
            assert message is not None, "the kernel's channel closed"
            answer = json.loads(message)
            is_reply = answer.get("msg_type") == "execute_reply"
            if is_reply and answer["parent_header"].get("msg_id") == number:
                connection.close()
                content: dict[str, Any] = answer["content"]
                return content


def _execute_request(number: str, code: str, expressions: dict[str, str]) -> str:
    """Message of the kernel protocol, as the browser sends it."""
    content = {
        "code": code,
        "silent": False,
        "store_history": False,
        "allow_stdin": False,
        "stop_on_error": True,
        "user_expressions": expressions,
    }
    header = {
        "msg_id": number,
        "msg_type": "execute_request",
        "session": number,
        "username": "",
        "version": "5.3",
    }
    message = {"header": header, "parent_header": {}, "metadata": {}, "content": content}
    return json.dumps({**message, "channel": "shell", "buffers": []})
