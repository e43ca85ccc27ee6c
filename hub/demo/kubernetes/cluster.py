"""A whole Kubernetes cluster on one machine: API, scheduler, a node with real containers. Needs root."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TextIO

from hub.demo.kubernetes.addresses import DOMAIN, NODE_NAME, Addresses
from hub.demo.kubernetes.api import Api
from hub.demo.kubernetes.binaries import ARCHIVES
from hub.demo.kubernetes.configuration import write_configuration
from hub.demo.kubernetes.control import Control
from hub.demo.kubernetes.credentials import make_credentials
from hub.demo.kubernetes.daemons import PATH, make_daemon
from hub.demo.kubernetes.errors import KubernetesDemoError
from hub.demo.kubernetes.kubeconfig import write_kubeconfig
from hub.demo.kubernetes.machine import check_machine, check_nftables, snapshotter_of
from hub.demo.kubernetes.namespace import Namespace
from hub.demo.kubernetes.objects import first_objects
from hub.demo.kubernetes.owner import take_slot
from hub.demo.kubernetes.specs import daemon_specs, store_client
from hub.demo.kubernetes.store import Store

_START_S = 180.0
_TOKEN_S = 12 * 3600
_REMADE = ("credentials", "configuration", "etcd", "kubelet", "cni", "pods", "containers", "logs")


class Cluster(Control):
    """One cluster with one real node, `node`; its pods are containers of this machine.

    Parameters
    ----------
    folder
        Folder of all that it writes. Everything in it is new at each start, except images.
    images
        Folder in which images stay unpacked from one start to the next, below it a store for each
        cluster that runs at once; by default they go with ``folder``.
    wait_s
        How long to wait for another cluster to end where the machine has as many as it can.
    gpus
        Number of pretend GPUs that the node offers; nothing is behind them.

    Pods see this machine's folders (``hostPath``), and reach what listens at `host_address` on it.
    Nothing else of the machine, and nothing outside of it, can be reached from the pods' network.
    Every process ends, and everything is removed, when the process that started it ends.
    """

    server_inside = f"https://kubernetes.default.svc.{DOMAIN}"
    node = NODE_NAME

    def __init__(
        self, folder: Path, *, images: Path | None = None, wait_s: float = 0.0, gpus: int = 4
    ) -> None:
        super().__init__(gpus)
        self.folder = folder.absolute()
        self._images = None if images is None else images.absolute()
        self._wait_s = wait_s
        self._held: TextIO | None = None
        self._store: Store | None = None

    @property
    def kubeconfig(self) -> Path:
        """How the administrator talks to it."""
        return self._credentials.kubeconfig("admin")

    @property
    def ca(self) -> Path:
        """Certificate of its authority."""
        return self._credentials.ca

    @property
    def server(self) -> str:
        """URL of the API server, for programs of this machine."""
        return self._at.api_url

    @property
    def host_address(self) -> str:
        """Address of this machine at which pods reach what listens on it."""
        return self._at.host

    @property
    def node_address(self) -> str:
        """Address of the node, with the ports of services of type NodePort."""
        return self._at.node

    @property
    def pod_network(self) -> str:
        """Network of the pods; this machine reaches them."""
        return self._at.pods

    @property
    def service_network(self) -> str:
        """Network of the services; this machine reaches them too."""
        return self._at.services

    # Start and stop

    def start(self) -> None:
        """Start all daemons and wait until the node takes pods. Blocking.

        Raises
        ------
        KubernetesDemoError
            If something is missing, another cluster runs, or a daemon does not come up; nothing is
            left running then.
        """
        if self.is_running:
            return
        binaries = check_machine()
        slot, self._held = take_slot(self.folder, self._wait_s)
        self._slot = Addresses(slot)
        try:
            self._prepare(binaries)
            self._start_daemons()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End every process of it, and remove all that it has made but its folder. Idempotent."""
        api, self._api = self._api, None
        namespace, self._namespace = self._namespace, None
        daemons, self._daemons = self._daemons, {}
        held, self._held = self._held, None
        # The last that is put in is done first, and each is done whatever becomes of the others.
        with ExitStack() as steps:
            if held is not None:
                steps.callback(held.close)
            for daemon in daemons.values():
                steps.callback(daemon.forget)
            if namespace is not None:
                steps.callback(namespace.stop)
            if api is not None:
                steps.callback(api.close)

    def _prepare(self, binaries: Path) -> None:
        for name in _REMADE:
            shutil.rmtree(self.folder / name, ignore_errors=True)
        store = self.folder / "store" if self._images is None else self._images / f"store-{self._at.slot}"
        for path in (self.folder / "logs", store):
            path.mkdir(parents=True, exist_ok=True)
        self._binaries = binaries
        self._made = make_credentials(self.folder / "credentials", self._at)
        snapshotter = snapshotter_of(store)
        files = write_configuration(self.folder / "configuration", self._made, self._at, snapshotter)
        self._namespace = Namespace(self.folder, store, self._at, self._held_file.fileno())
        self._namespace.start()
        check_nftables(self.run)
        self._store = Store(store_client(binaries), self.run)
        for spec in daemon_specs(binaries, self.folder, files, self._made, self._at):
            self._daemons[spec.name] = make_daemon(spec, self._namespace, self.folder / "logs")
        self._api = Api(self.server, self.ca, self._made.token("admin"))

    def _start_daemons(self) -> None:
        for name in ("etcd", "kube-apiserver", "containerd"):
            self._daemons[name].start()
        with ThreadPoolExecutor(1) as pool:
            store = pool.submit(self._prepare_store)
            self.wait_apiserver(_START_S)
            for name in ("kube-controller-manager", "kube-scheduler", "kube-proxy", "enforcer"):
                self._daemons[name].start()
            self._daemons["kubelet"].start()
            # Made by the API server itself, but after it says that it is ready.
            self._daemons["kube-apiserver"].wait(self._has_namespace, "made no namespace", _START_S)
            for path, body in first_objects(self._at):
                self.api.apply(path, body)
            store.result()
        self.wait_node(is_ready=True, timeout_s=_START_S)
        self.offer_gpus()
        manager = self._daemons["kube-controller-manager"]
        manager.wait(self._has_accounts, "made no service account", _START_S)
        manager.wait(self._has_names, "the name server was not ready", _START_S)

    def _prepare_store(self) -> None:
        store = self._images_of_node
        self._daemons["containerd"].wait(store.answers, "did not answer", _START_S)
        store.clean()
        for name in ARCHIVES:
            store.import_image(self._binaries / name)

    def _has_namespace(self) -> bool:
        return self.api.answers("/api/v1/namespaces/kube-system")

    def _has_accounts(self) -> bool:
        return self.api.answers("/api/v1/namespaces/default/serviceaccounts/default")

    def _has_names(self) -> bool:
        found = self.api.request("GET", "/apis/apps/v1/namespaces/kube-system/deployments/coredns")
        return bool(found["status"].get("readyReplicas"))

    # Images and accounts

    def import_image(self, archive: Path) -> str:
        """Take an image from an archive (OCI layout in a tar file, of one image). Blocking.

        Returns the image's name by digest, for a pod's ``image`` with ``imagePullPolicy: Never``; its
        name with the tag works as well.

        Raises
        ------
        KubernetesDemoError
            If it is no such archive or cannot be unpacked.
        """
        return self._images_of_node.import_image(archive)

    def kubeconfig_for(self, service_account: str, namespace: str) -> Path:
        """Write a kubeconfig file with a bound token of a service account; returns it."""
        made = self.folder / "credentials" / f"{namespace}.{service_account}.kubeconfig"
        write_kubeconfig(made, self.server, self.ca, self.token(service_account, namespace), namespace)
        return made

    def api_as(self, service_account: str, namespace: str) -> Api:
        """The API as a service account sees it; the caller closes it."""
        return Api(self.server, self.ca, self.token(service_account, namespace))

    def token(self, service_account: str, namespace: str) -> str:
        """A bound token (TokenRequest) of a service account, good for twelve hours."""
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{service_account}/token"
        request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest"}
        answer = self.api.request("POST", path, {**request, "spec": {"expirationSeconds": _TOKEN_S}})
        token: str = answer["status"]["token"]
        return token

    def run(self, *argv: str, timeout_s: float = 60.0) -> subprocess.CompletedProcess[str]:
        """Run a command on the node: in its network and with its mounts."""
        return subprocess.run(
            self._inside.enter(*argv),
            check=False,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            env={"PATH": PATH, "LANG": "C.UTF-8"},
            cwd="/",
            timeout=timeout_s,
        )

    @property
    def _images_of_node(self) -> Store:
        if self._store is None:
            raise KubernetesDemoError("The cluster has not been started.")
        return self._store

    @property
    def _held_file(self) -> TextIO:
        assert self._held is not None
        return self._held


@contextmanager
def running_cluster(
    folder: Path, *, images: Path | None = None, wait_s: float = 0.0, gpus: int = 4
) -> Iterator[Cluster]:
    """Run a cluster for as long as the context lasts. Parameters: `Cluster`."""
    cluster = Cluster(folder, images=images, wait_s=wait_s, gpus=gpus)
    cluster.start()
    try:
        yield cluster
    finally:
        cluster.stop()
