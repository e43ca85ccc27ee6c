"""Parts of the demo's Kubernetes that need no cluster: addresses, slots, credentials, images."""

from __future__ import annotations

import ipaddress
import itertools
import json
import stat
import tarfile
from pathlib import Path

import pytest
from cryptography import x509

from hub.demo.kubernetes.addresses import SLOTS, Addresses
from hub.demo.kubernetes.archives import read_archive, write_archive
from hub.demo.kubernetes.binaries import ARCHIVES, BUILT, MODULES, PROGRAMS, kubernetes_binaries
from hub.demo.kubernetes.credentials import USERS, make_credentials
from hub.demo.kubernetes.errors import KubernetesDemoError
from hub.demo.kubernetes.owner import take_slot
from hub.demo.kubernetes.store import replaced_images


def test_slots_share_no_address() -> None:
    everywhere = [Addresses(slot) for slot in range(SLOTS)]
    for one, other in itertools.combinations(everywhere, 2):
        assert not ipaddress.ip_network(one.whole).overlaps(ipaddress.ip_network(other.whole))
        assert (one.link, one.group) != (other.link, other.group)
    for at in everywhere:
        whole = ipaddress.IPv4Network(at.whole)
        assert whole.subnet_of(ipaddress.IPv4Network("198.18.0.0/15"))
        parts = [ipaddress.IPv4Network(each) for each in (at.pods, at.services, at.played, f"{at.node}/32")]
        assert all(part.subnet_of(whole) for part in parts)
        assert not any(one.overlaps(other) for one, other in itertools.combinations(parts, 2))
        assert len(at.link) < 16  # IFNAMSIZ
        services = ipaddress.ip_network(at.services)
        assert str(services[1]) == at.api_service
        assert ipaddress.ip_address(at.dns_service) in services


def test_a_slot_has_one_owner_at_a_time(tmp_path: Path) -> None:
    held = [take_slot(tmp_path / f"c{number}", 0.0, tmp_path) for number in range(SLOTS)]
    assert [slot for slot, _ in held] == list(range(SLOTS))
    with pytest.raises(KubernetesDemoError, match=f"process [0-9]+, in {tmp_path / 'c3'}"):
        take_slot(tmp_path / "late", 0.0, tmp_path)
    held[3][1].close()
    slot, file = take_slot(tmp_path / "late", 0.0, tmp_path)
    assert slot == 3
    for each in (file, *(other for _, other in held)):
        each.close()


def test_credentials_are_their_owners_alone(tmp_path: Path) -> None:
    made = make_credentials(tmp_path / "credentials", Addresses(2))
    assert stat.S_IMODE(made.folder.stat().st_mode) == 0o700
    public = {made.ca, *(made.certificate(name) for name in ("apiserver", "kubelet", "kubelet-client"))}
    for path in set(made.folder.iterdir()) - public:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
    rows = [line.split(",") for line in made.tokens.read_text().splitlines()]
    assert {row[2] for row in rows} == set(USERS)
    assert len({row[0] for row in rows}) == len(USERS)
    admin = json.loads(made.kubeconfig("admin").read_text())
    assert admin["users"][0]["user"]["token"] == made.token("admin") == rows[0][0]
    assert admin["clusters"][0]["cluster"]["server"] == "https://198.18.128.2:6443"
    assert made.token("admin") not in repr(made)

    ca = x509.load_pem_x509_certificate(made.ca.read_bytes())
    server = x509.load_pem_x509_certificate(made.certificate("apiserver").read_bytes())
    server.verify_directly_issued_by(ca)
    names = server.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert "kubernetes.default.svc" in names.get_values_for_type(x509.DNSName)
    addresses = [str(each) for each in names.get_values_for_type(x509.IPAddress)]
    assert {"198.18.128.2", "198.18.130.1"} <= set(addresses)


def test_an_archive_names_its_image(tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_bytes(b"x" * 1000)
    path = tmp_path / "image.tar"

    def write(path: Path) -> None:
        write_archive(
            path, "localhost/a/b:1", {"/bin/p": program}, command=("/bin/p",), links={"/bin/q": "p"}
        )

    write(path)
    image = read_archive(path)
    assert image.name == "localhost/a/b:1"
    assert image.reference == f"localhost/a/b@{image.digest}"
    # The same content has the same digest, however often it is made.
    write(tmp_path / "again.tar")
    assert read_archive(tmp_path / "again.tar") == image
    with tarfile.open(path) as tar:
        blobs = {Path(name).name for name in tar.getnames() if name.startswith("blobs/")}
    assert image.digest.removeprefix("sha256:") in blobs
    assert len(blobs) == 3


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({}, "no archive of an OCI image"),
        ({"index.json": {}}, "no archive of an OCI image"),
        ({"index.json": {"manifests": []}}, "has 0 images"),
        ({"index.json": {"manifests": [{"digest": "sha256:1"}]}}, "has no whole name"),
    ],
)
def test_other_archives_are_refused(tmp_path: Path, content: dict[str, object], said: str) -> None:
    path = tmp_path / "other.tar"
    with tarfile.open(path, "w") as tar:
        for name, body in content.items():
            (tmp_path / name).write_text(json.dumps(body))
            tar.add(tmp_path / name, name)
    with pytest.raises(ValueError, match=said):
        read_archive(path)


def test_an_archive_that_was_cut_off_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "cut.tar"
    program = tmp_path / "program"
    program.write_bytes(b"\x7fELF")
    write_archive(path, "localhost/a:1", {"/bin/a": program}, command=["/bin/a"])
    whole = path.read_bytes()
    for length in (0, 100, 700):
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match="no archive of an OCI image"):
            read_archive(path)


def test_images_without_a_tag_are_replaced_ones() -> None:
    listed = [
        ("localhost/a:1", "sha256:new"),
        ("localhost/a@sha256:new", "sha256:new"),
        ("localhost/a@sha256:old", "sha256:old"),
        ("sha256:config-of-old", "sha256:old"),
        ("sha256:config-of-new", "sha256:new"),
    ]
    assert replaced_images(listed) == ["localhost/a@sha256:old", "sha256:config-of-old"]


def test_what_is_built_is_pinned_and_named(tmp_path: Path) -> None:
    assert {module.name for module in BUILT} == {path.name for path in MODULES.iterdir() if path.is_dir()}
    for module in BUILT:
        folder = MODULES / module.name
        requires = "require" in (folder / "go.mod").read_text()
        assert (folder / "go.sum").exists() == requires, module.name
    assert {program for _, program in ARCHIVES.values()} <= set(PROGRAMS)
    assert kubernetes_binaries(tmp_path) is None
