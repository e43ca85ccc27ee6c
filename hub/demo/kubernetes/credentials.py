"""Keys, certificates, tokens and kubeconfig files of a cluster; new ones at each start."""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
import ipaddress
import secrets
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from hub.demo.kubernetes.addresses import DOMAIN, NODE_NAME, Addresses
from hub.demo.kubernetes.kubeconfig import write_kubeconfig, write_private

USERS = {
    "admin": ("admin", "system:masters"),
    "controller-manager": ("system:kube-controller-manager", "system:masters"),
    "scheduler": ("system:kube-scheduler", ""),
    "kubelet": (f"system:node:{NODE_NAME}", "system:nodes"),
    "proxy": ("system:kube-proxy", ""),
    "enforcer": ("panhub:enforcer", "system:masters"),
    "kwok": ("kwok", "system:masters"),
}
"""Who has a token: user and group, as the cluster's own roles name them (RBAC of Kubernetes)."""

_VALID = dt.timedelta(days=365)


@dataclass(frozen=True, slots=True)
class Credentials:
    """Files of the credentials; all but the authority's certificate are their owner's alone."""

    folder: Path
    secret: bytes = field(default_factory=lambda: secrets.token_bytes(32), repr=False)

    def token(self, name: str) -> str:
        """Token of one of `USERS`."""
        return hmac.new(self.secret, name.encode(), hashlib.sha256).hexdigest()

    @property
    def ca(self) -> Path:
        """Certificate of the authority that signs all others."""
        return self.folder / "ca.crt"

    @property
    def tokens(self) -> Path:
        """Static tokens of `USERS`, as the API server reads them."""
        return self.folder / "tokens.csv"

    @property
    def service_account_key(self) -> Path:
        """Key that signs the tokens of service accounts."""
        return self.folder / "service-account.key"

    def key(self, name: str) -> Path:
        """Private key of ``apiserver``, ``kubelet`` or ``kubelet-client``."""
        return self.folder / f"{name}.key"

    def certificate(self, name: str) -> Path:
        """Certificate of the same."""
        return self.folder / f"{name}.crt"

    def kubeconfig(self, name: str) -> Path:
        """How one of `USERS` talks to the cluster."""
        return self.folder / f"{name}.kubeconfig"


def make_credentials(folder: Path, at: Addresses) -> Credentials:
    """Make them all in a new folder."""
    folder.mkdir(mode=0o700)
    made = Credentials(folder)
    authority = _Authority()
    made.ca.write_bytes(authority.certificate.public_bytes(serialization.Encoding.PEM))
    names = ["localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc"]
    addresses = ["127.0.0.1", at.node, at.api_service]
    authority.issue(
        made, "apiserver", "kube-apiserver", names=[*names, f"{names[-1]}.{DOMAIN}"], addresses=addresses
    )
    authority.issue(made, "kubelet", NODE_NAME, names=[NODE_NAME], addresses=[at.node])
    authority.issue(made, "kubelet-client", "kube-apiserver-kubelet-client")
    _write_key(made.service_account_key, ec.generate_private_key(ec.SECP256R1()))
    lines = []
    for name, (user, group) in USERS.items():
        token = made.token(name)
        lines.append(f'{token},{user},{name},"{group}"' if group else f"{token},{user},{name}")
        write_kubeconfig(made.kubeconfig(name), at.api_url, made.ca, token)
    write_private(made.tokens, "\n".join(lines).encode() + b"\n")
    return made


class _Authority:
    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name("panhub-kubernetes")
        usage = x509.KeyUsage(True, False, False, False, False, True, True, False, False)
        self.certificate = (
            self._builder(self._name, self._key.public_key())
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(usage, critical=True)
            .sign(self._key, hashes.SHA256())
        )

    def issue(
        self,
        made: Credentials,
        file: str,
        subject: str,
        *,
        names: list[str] | None = None,
        addresses: list[str] | None = None,
    ) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        usages = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        builder = self._builder(_name(subject), key.public_key()).add_extension(
            x509.ExtendedKeyUsage(usages), critical=False
        )
        others: list[x509.GeneralName] = [x509.DNSName(name) for name in names or []]
        others += [x509.IPAddress(ipaddress.ip_address(address)) for address in addresses or []]
        if others:
            builder = builder.add_extension(x509.SubjectAlternativeName(others), critical=False)
        signed = builder.sign(self._key, hashes.SHA256())
        made.certificate(file).write_bytes(signed.public_bytes(serialization.Encoding.PEM))
        _write_key(made.key(file), key)

    def _builder(self, subject: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
        now = dt.datetime.now(dt.UTC)
        return x509.CertificateBuilder(
            issuer_name=self._name,
            subject_name=subject,
            public_key=key,
            serial_number=x509.random_serial_number(),
            # Clocks are one: this is for programs that round.
            not_valid_before=now - dt.timedelta(minutes=5),
            not_valid_after=now + _VALID,
        )


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _write_key(path: Path, key: ec.EllipticCurvePrivateKey) -> None:
    form = serialization.PrivateFormat.TraditionalOpenSSL
    write_private(path, key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()))
