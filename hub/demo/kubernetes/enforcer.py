"""Daemon of the node that keeps network policies in force: watches the API, writes rules of nftables.

The network plugin (ptp) knows no policies, and the agents that others run are not to be had as Go
modules. What a policy says is the business of `hub.demo.kubernetes.policies`; here it is kept up to
date. Between the start of a pod and the moment at which the API knows its address, a fraction of a
second, nothing is refused to it.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Never

import httpx

from hub.demo.kubernetes.kubeconfig import read_kubeconfig
from hub.demo.kubernetes.policies import Object, State, ruleset

_KINDS = {
    "namespaces": "/api/v1/namespaces",
    "pods": "/api/v1/pods",
    "policies": "/apis/networking.k8s.io/v1/networkpolicies",
}
_GATHER_S = 0.05
_RETRY_S = 0.5


def main() -> int:
    """Enforce for as long as it runs. Arguments: a kubeconfig file, and the network of the pods."""
    access, network = read_kubeconfig(Path(sys.argv[1])), sys.argv[2]
    with httpx.Client(
        base_url=access.server,
        headers=access.headers,
        verify=access.tls(),
        timeout=httpx.Timeout(30.0, read=None),
        trust_env=False,
    ) as client:
        seen = Seen()
        for kind, path in _KINDS.items():
            threading.Thread(target=_follow, args=(client, path, kind, seen), daemon=True).start()
        enforce(seen, network, _write)


def enforce(seen: Seen, network: str, write: Callable[[str], bool]) -> Never:
    """Keep the rules as the policies say; rules that ``write`` did not take are written again soon."""
    written, is_written = "", True
    while True:
        rules = ruleset(seen.wait(None if is_written else _RETRY_S), network)
        is_written = rules == written or write(rules)
        if is_written:
            written = rules


class Seen:
    """What the API has, by kind and uid."""

    def __init__(self) -> None:
        self._objects: dict[str, dict[str, Object]] = {}
        self._changed = threading.Condition()
        self._is_new = False

    def replace(self, kind: str, objects: dict[str, Object]) -> None:
        """Take all objects of a kind, by uid, in place of those before."""
        with self._changed:
            self._objects[kind] = objects
            self._notify()

    def change(self, kind: str, event: str, thing: Object) -> None:
        """Take one event of a watch."""
        with self._changed:
            uid = thing["metadata"]["uid"]
            slim = _slim(thing)
            if event == "DELETED":
                self._objects[kind].pop(uid, None)
            elif self._objects[kind].get(uid) == slim:
                return
            else:
                self._objects[kind][uid] = slim
            self._notify()

    def wait(self, timeout_s: float | None) -> State:
        """Wait until all kinds are known and something has changed; what changes at once is one change.

        Not longer than ``timeout_s``, once all kinds are known.
        """
        with self._changed:
            self._changed.wait_for(lambda: len(self._objects) == len(_KINDS))
            self._changed.wait_for(lambda: self._is_new, timeout_s)
        time.sleep(_GATHER_S)
        with self._changed:
            self._is_new = False
            return State(**{kind: list(found.values()) for kind, found in self._objects.items()})

    def _notify(self) -> None:
        self._is_new = True
        self._changed.notify_all()


def _follow(client: httpx.Client, path: str, kind: str, seen: Seen) -> None:
    while True:
        try:
            listed = client.get(path, timeout=30.0).raise_for_status().json()
            seen.replace(kind, {each["metadata"]["uid"]: _slim(each) for each in listed["items"]})
            for event in _events(client, path, listed["metadata"]["resourceVersion"]):
                if event["type"] == "ERROR":
                    # Too old, most often: all is read anew.
                    break
                seen.change(kind, event["type"], event["object"])
        except (httpx.HTTPError, ValueError, KeyError) as error:
            print(f"{path}: {error!r}", file=sys.stderr, flush=True)
            time.sleep(_RETRY_S)


def _events(client: httpx.Client, path: str, version: str) -> Iterator[dict[str, Any]]:
    asked = {"watch": "1", "resourceVersion": version}
    with client.stream("GET", path, params=asked) as answer:
        answer.raise_for_status()
        for line in answer.iter_lines():
            yield json.loads(line)


def _slim(thing: Object) -> Object:
    """What decides, without the rest: most changes of a pod change nothing of it."""
    metadata, spec, status = thing["metadata"], thing.get("spec", {}), thing.get("status", {})
    slim: dict[str, Any] = {"metadata": {key: metadata.get(key) for key in ("name", "namespace", "labels")}}
    if "containers" in spec:
        ports = [{"ports": each.get("ports")} for each in spec["containers"]]
        slim["spec"] = {"hostNetwork": spec.get("hostNetwork"), "containers": ports}
        slim["status"] = {"podIP": status.get("podIP", ""), "phase": status.get("phase")}
    else:
        slim["spec"] = spec
    return slim


def _write(rules: str) -> bool:
    done = subprocess.run(["nft", "-f", "-"], check=False, input=rules, capture_output=True, text=True)
    if done.returncode != 0:
        print(f"nft: {done.stderr}\n{rules}", file=sys.stderr, flush=True)
    return done.returncode == 0


if __name__ == "__main__":
    sys.exit(main())
