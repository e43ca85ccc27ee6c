"""Kernels of a session that is asked directly, without hub and proxy; and environments for them."""

from __future__ import annotations

import asyncio
import json
import subprocess
from pathlib import Path

from tornado.httpclient import HTTPRequest
from tornado.websocket import websocket_connect


def own_environment(prefix: Path, base) -> Path:
    """A virtual environment of a person's own with ipykernel, taken from another environment."""
    python = Path(base) / "bin" / "python"
    subprocess.run([python, "-m", "venv", "--without-pip", str(prefix)], check=True)
    packages = next(prefix.glob("lib/python3.*/site-packages"))
    lent = Path(base) / packages.relative_to(prefix)
    (packages / "lent.pth").write_text(f"{lent}\n")
    (packages / "ipykernel").symlink_to(lent / "ipykernel")
    return prefix


async def execute(port, token, kernel, code):
    """What code prints in a kernel."""
    url = f"ws://127.0.0.1:{port}/user/alice/api/kernels/{kernel}/channels"
    connection = await websocket_connect(HTTPRequest(url, headers={"Authorization": f"token {token}"}))
    content = {"code": code, "silent": False, "store_history": False}
    header = {"msg_id": "1", "msg_type": "execute_request", "username": "", "session": "s", "version": "5.3"}
    message = {
        "header": header,
        "parent_header": {},
        "metadata": {},
        "content": content,
        "channel": "shell",
        "buffers": [],
    }
    await connection.write_message(json.dumps(message))
    printed = ""
    while True:
        answer = json.loads(await asyncio.wait_for(connection.read_message(), 60))
        if answer["parent_header"].get("msg_id") != "1":
            continue
        if answer["msg_type"] == "stream":
            printed += answer["content"]["text"]
        if answer["msg_type"] == "error":
            raise AssertionError("\n".join(answer["content"]["traceback"]))
        # Output and reply come by different channels, in any order; idle comes after all output.
        if answer["msg_type"] == "status" and answer["content"]["execution_state"] == "idle":
            connection.close()
            return printed
