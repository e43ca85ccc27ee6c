"""Network of the demo's cluster: services and names inside, this machine beside it, nothing outside."""

from __future__ import annotations

import ipaddress
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx

from hub.demo.kubernetes.cluster import Cluster
from tests.support.kubernetes import make_pod, output, wait, wait_pod


def test_services_have_names_in_pods_and_answer_the_machine(
    cluster: Cluster, namespace: str, busybox: str
) -> None:
    script = "mkdir /tmp/www; echo hello > /tmp/www/index.html; exec httpd -f -p 8000 -h /tmp/www"
    make_pod(cluster, namespace, "web", busybox, script)
    service = cluster.api.apply(
        f"/api/v1/namespaces/{namespace}/services/web",
        {
            "apiVersion": "v1",
            "kind": "Service",
            "spec": {
                "type": "NodePort",
                "selector": {"app": "web"},
                "ports": [{"port": 80, "targetPort": 8000}],
            },
        },
    )
    address = wait_pod(cluster, namespace, "web", "Running")["status"]["podIP"]
    port = service["spec"]["ports"][0]["nodePort"]
    for url in (
        f"http://{address}:8000",
        f"http://{service['spec']['clusterIP']}",
        f"http://{cluster.node_address}:{port}",
    ):
        wait(partial(answers_hello, url), f"{url} has not answered")
    assert output(cluster, namespace, "asker", busybox, f"wget -qO- http://web.{namespace}.svc") == "hello\n"
    assert "NXDOMAIN" in output(cluster, namespace, "unknown", busybox, "nslookup example.org; true")


def answers_hello(url: str) -> bool:
    """Whether the page has the text of the pod's."""
    try:
        return httpx.get(url, trust_env=False, timeout=5.0).text == "hello\n"
    except httpx.HTTPError:
        return False


def test_pods_reach_this_machine_and_nothing_else(cluster: Cluster, namespace: str, busybox: str) -> None:
    with listening(cluster.host_address) as port:
        script = f"wget -qO- http://{cluster.host_address}:{port}/; wget -qO- http://192.0.2.77/"
        said = output(cluster, namespace, "caller", busybox, script)
    # Refused at once by the node, which has no route.
    assert said == "the machine\nwget: can't connect to remote host (192.0.2.77): Network is unreachable\n"
    # And this machine's own packets to where nobody is stay on it.
    nowhere = str(ipaddress.ip_network(cluster.service_network).broadcast_address + 1000)
    asked = subprocess.run(["ip", "route", "get", nowhere], check=False, capture_output=True, text=True)
    assert (asked.returncode, "No route to host" in asked.stderr) == (2, True)


@contextmanager
def listening(address: str) -> Iterator[int]:
    """A page on this machine; gives its port."""

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"the machine\n")

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as in the base class
            pass

    server = ThreadingHTTPServer((address, 0), Page)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_network_policies_are_in_force(cluster: Cluster, namespace: str, busybox: str) -> None:
    script = "mkdir /tmp/www; echo hello > /tmp/www/index.html; exec httpd -f -p 8000 -h /tmp/www"
    make_pod(cluster, namespace, "web", busybox, script)
    address = wait_pod(cluster, namespace, "web", "Running")["status"]["podIP"]
    url = f"http://{address}:8000/"
    wait(partial(answers_hello, url), f"{url} has not answered")
    ingress = {"from": [{"podSelector": {"matchLabels": {"app": "friend"}}}], "ports": [{"port": 8000}]}
    cluster.api.apply(
        f"/apis/networking.k8s.io/v1/namespaces/{namespace}/networkpolicies/friends",
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "spec": {"podSelector": {"matchLabels": {"app": "web"}}, "ingress": [ingress]},
        },
    )
    wait(lambda: not answers_hello(url), "this machine is still let in")
    refused = f"wget: can't connect to remote host ({address}): No route to host\n"
    assert output(cluster, namespace, "stranger", busybox, f"wget -qO- {url}") == refused
    # A pod is let in once the API, and with it the node, knows its address.
    asks = f"until wget -qO- {url}; do sleep 1; done 2>/dev/null"
    assert output(cluster, namespace, "friend", busybox, asks) == "hello\n"
