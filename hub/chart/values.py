"""The values of the chart `helm/panhub`: what an operator sets for a deployment on Kubernetes.

`settings` is the tree of the application's own settings (`hub.settings`) without what the chart decides
(`OWNED`); `profiles` is the profiles file. All else is about Kubernetes. From these models come the chart's
schema, its values.yaml and its reference page (`hub.chart.schema`).
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import Field

from hub.chart.parts import (
    Annotations,
    Closed,
    Component,
    Expose,
    ImageName,
    ImageSettings,
    Labels,
    Network,
    Port,
    Quantity,
    Resources,
    SecretFile,
    SecretKey,
    Storage,
    UserId,
    Volume,
    resources,
)
from spawners.kubernetes.settings import ObjectName

OWNED: Final[dict[str, tuple[str, ...]]] = {
    "ServiceSettings": (
        "bind",
        "address",
        "port",
        "internal_secret_file",
        "state",
        "stop_sessions_at_exit",
    ),
    "HubSettings": (
        "bind",
        "address",
        "port",
        "database",
        "service_token_file",
        "crypt_key_file",
        "cookie_secret_file",
        "proxy_api_url",
        "proxy_token_file",
    ),
    "IdentitySettings": ("client_secret_file",),
    "ProfilesSettings": ("file",),
    "BatchspawnerSettings": ("state",),
    "DesktopSettings": (
        "bind",
        "address",
        "port",
        "secret_file",
        "service_token_file",
        "key_file",
        "guacd",
    ),
    "Settings": ("database", "local"),
}
"""Settings that the chart decides, by the model that has them: nobody writes them into the values."""

OWNED_GATEWAY: Final = ("socket", "socket_group", "key_file", "peers")
"""Settings of the token gateway that the chart decides."""


class RunAs(Closed):
    """Account of all our containers; any will do, and null leaves it to the platform."""

    user: UserId | None = Field(default=64010, description="User id.")
    group: UserId | None = Field(default=64010, description="Main group id, and group of the volumes.")
    supplementary_groups: tuple[UserId, ...] = Field(
        default=(), description="Further group ids of the service, by which it may look at the data."
    )


class OidcSecret(Closed):
    """Where the secret of the client at the identity provider is."""

    existing_secret: ObjectName = Field(description="Name of the Secret.")
    key: SecretKey = Field(default="client-secret", description="Its key.")


class Secrets(Closed):
    """Secrets by reference; those that are ours alone are made once, and kept by upgrades."""

    existing_secret: ObjectName | None = Field(
        default=None,
        description="A Secret with the keys internal, service-token, crypt-key, cookie, proxy-token, "
        "desktop, desktop-token (each of 64 hexadecimal digits) and desktop-key (Ed25519, PEM). Null: the "
        "chart makes one, which needs `helm install` itself: what renders without the cluster would make "
        "new ones every time.",
    )
    oidc: OidcSecret = Field(description="The client's secret at the identity provider.")


class TrustedCertificates(Closed):
    """Certificates of authorities of the site, trusted beside those of the image."""

    config_map: ObjectName = Field(description="ConfigMap of the release's namespace.")
    key: SecretKey = Field(default="ca.crt", description="Its key: PEM.")


class Proxy(Component):
    """The proxy: all that browsers reach."""

    resources: Resources = Field(
        default=resources("100m", "128Mi", "2", "1Gi"), description="Resources of its container."
    )
    expose: Expose = Field(default=Expose(), description="How it is seen from outside.")
    log_level: Literal["debug", "info", "warn", "error"] = Field(default="warn", description="What it logs.")


class Hub(Component):
    """The hub: sign-in and routes."""

    resources: Resources = Field(
        default=resources("100m", "256Mi", "2", "2Gi"), description="Resources of its container."
    )
    expose: Expose = Field(
        default=Expose(), description="How nodes outside the cluster (Slurm) reach it; browsers never do."
    )
    upgrade_database: bool = Field(
        default=True,
        strict=True,
        description="Whether it brings its tables up to date when it starts. Back the database up before.",
    )


class Service(Component):
    """The service: pages, spawn API and engine. There is exactly one."""

    resources: Resources = Field(
        default=resources("200m", "512Mi", "2", "2Gi"), description="Resources of its container."
    )
    expose: Expose = Field(
        default=Expose(), description="How nodes outside the cluster (Slurm) reach it; browsers never do."
    )
    storage: Storage | None = Field(
        default=None,
        description="Claim for what must survive a restart: records of batchspawner's jobs. Null: none.",
    )
    volumes: tuple[Volume, ...] = Field(
        default=(),
        description="Folders it sees: the data (its root and layout are looked at, never written), the files "
        "of the catalogue, templates of the site.",
    )
    secret_files: tuple[SecretFile, ...] = Field(
        default=(), description="Further secrets as files: a kubeconfig of another cluster."
    )


class Guacd(Closed):
    """guacd, which draws what desktops send."""

    kind: Literal["sidecar", "sandbox"] = Field(
        default="sidecar",
        description="`sidecar`: a container beside the tunnel, one for all desktops. `sandbox`: one in a "
        "namespace of its own for each desktop; the nodes must let pods make user namespaces and mounts in "
        "them, which their usual profiles do not: see `seccompProfile` and `appArmorProfile`.",
    )
    image: ImageName | None = Field(default=None, description="Image of the sidecar; null: ours.")
    command: tuple[str, ...] = Field(
        default=("guacd", "-f", "-b", "127.0.0.1", "-l", "4822", "-L", "warning"),
        min_length=1,
        description="Its command; it must listen on the loopback alone.",
    )
    probe: tuple[str, ...] = Field(
        default=(
            "python3",
            "-I",
            "-S",
            "-c",
            "import socket; socket.create_connection(('127.0.0.1', 4822), 5).close()",
        ),
        min_length=1,
        description="Command in its container that ends with 0 while it answers; for other images: "
        "[nc, -z, 127.0.0.1, '4822'].",
    )
    resources: Resources = Field(
        default=resources("50m", "64Mi", "2", "1Gi"), description="Resources of the sidecar."
    )


class Desktop(Component):
    """The tunnel of desktops."""

    enabled: bool = Field(default=True, strict=True, description="Whether there are desktops.")
    resources: Resources = Field(
        default=resources("100m", "128Mi", "2", "1Gi"), description="Resources of the tunnel."
    )
    guacd: Guacd = Field(default=Guacd(), description="guacd.")
    seccomp_profile: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_./-]{0,250}$",
        description="Profile on the nodes (Localhost) that lets the tunnel make user namespaces; null: "
        "RuntimeDefault.",
    )
    app_armor_profile: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_./-]{0,250}$",
        description="Profile on the nodes (Localhost) that lets the tunnel mount; null: RuntimeDefault where "
        "nodes have AppArmor.",
    )
    secret_files: tuple[SecretFile, ...] = Field(
        default=(), description="Passwords and keys of workstations, as files."
    )
    workstation_networks: tuple[Network, ...] = Field(
        default=(), description="Networks of the workstations; the tunnel reaches no others."
    )


class SlurmKey(Closed):
    """Where Slurm's signing key is."""

    existing_secret: ObjectName = Field(description="Name of the Secret.")
    key: SecretKey = Field(default="jwt_hs256.key", description="Its key.")


class TokenGateway(Closed):
    """The token gateway of Slurm, beside the service but under an account of its own."""

    enabled: bool = Field(default=False, strict=True, description="Whether there is one.")
    key: SlurmKey | None = Field(
        default=None, description="Slurm's signing key; only the gateway's container has it."
    )
    user: UserId = Field(default=64011, description="Its user id; not that of the others.")
    settings: dict[str, Any] = Field(
        default_factory=dict, description="Its settings without socket, key and peers."
    )
    volumes: tuple[Volume, ...] = Field(
        default=(), description="What it needs to know people: /etc/passwd and /etc/group, sockets of SSSD."
    )
    resources: Resources = Field(
        default=resources("20m", "64Mi", "1", "256Mi"), description="Resources of its container."
    )


class PasswordSecret(Closed):
    """Passwords of the databases, in the form of PostgreSQL's ~/.pgpass."""

    existing_secret: ObjectName = Field(description="Name of the Secret.")
    key: SecretKey = Field(default="pgpass", description="Its key.")


class ExternalDatabase(Closed):
    """PostgreSQL of the site."""

    hub_url: str = Field(
        default="",
        pattern=r"^(postgresql\+psycopg://[^\s:@/]+@[^\s@]+)?$",
        description="URL of the hub's database, without a password.",
    )
    url: str = Field(
        default="",
        pattern=r"^(postgresql\+psycopg://[^\s:@/]+@[^\s@]+)?$",
        description="URL of the service's database, without a password; never the same.",
    )
    passwords: PasswordSecret | None = Field(default=None, description="Their passwords.")


class BundledDatabase(Closed):
    """PostgreSQL for a trial, in one pod, without backups."""

    image: ImageName = Field(
        default="postgres:17", description="Image in the manner of the official one (POSTGRES_PASSWORD_FILE)."
    )
    user: UserId = Field(default=999, description="User and group id that it runs as.")
    storage: Storage = Field(default=Storage(size="8Gi"), description="Its claim.")
    resources: Resources = Field(
        default=resources("100m", "256Mi", "2", "1Gi"), description="Resources of its container."
    )


class Database(Closed):
    """Where hub and service keep what they know: two databases, always."""

    kind: Literal["external", "bundled", "sqlite"] = Field(
        default="external",
        description="`external`: PostgreSQL of the site. For a trial: `bundled` PostgreSQL, or files of "
        "`sqlite`.",
    )
    external: ExternalDatabase = Field(default=ExternalDatabase(), description="For `external`.")
    bundled: BundledDatabase = Field(default=BundledDatabase(), description="For `bundled`.")
    sqlite: Storage = Field(
        default=Storage(size="1Gi"), description="Claims of hub and service for `sqlite`."
    )


class ParentRef(Closed):
    """A Gateway that takes our route."""

    name: ObjectName = Field(description="Name of the Gateway.")
    namespace: ObjectName | None = Field(default=None, description="Its namespace; null: ours.")
    section_name: ObjectName | None = Field(default=None, description="Its listener; null: any.")


class Ingress(Closed):
    """How browsers come to the proxy. The host is that of `settings.site.public_url`."""

    kind: Literal["none", "ingress", "gateway"] = Field(
        default="none", description="An Ingress, a route of the Gateway API, or nothing of ours."
    )
    class_name: ObjectName | None = Field(default=None, description="IngressClass; null: the default.")
    annotations: Annotations = Field(
        default_factory=dict,
        description="Of Ingress or route: WebSockets need a time-out of an hour or more at some controllers.",
    )
    tls_secret: ObjectName | None = Field(
        default=None, description="Secret with the certificate of an Ingress; null: none of ours."
    )
    parents: tuple[ParentRef, ...] = Field(default=(), description="Gateways.")


class PriorityClass(Closed):
    """A PriorityClass."""

    create: bool = Field(default=True, strict=True, description="Whether the chart makes it.")
    name: ObjectName = Field(description="Its name, the same in all the cluster.")
    value: Annotated[int, Field(ge=-1_000_000_000, le=1_000_000_000)] = Field(description="Its value.")


class Sessions(Closed):
    """The namespace of the sessions' pods in this cluster."""

    namespace: ObjectName = Field(
        default="panhub-sessions", description="The namespace; never that of the release."
    )
    create_namespace: bool = Field(default=True, strict=True, description="Whether the chart makes it.")
    keep_namespace: bool = Field(
        default=True,
        strict=True,
        description="Whether it outlives the release: claims in it (homes!) would go with it.",
    )
    pod_security: Literal["restricted", "baseline", "privileged"] = Field(
        default="restricted",
        description="Pod security standard that the namespace enforces; folders of nodes (kind `host`) need "
        "privileged.",
    )
    priority_class: PriorityClass = Field(
        default=PriorityClass(name="panhub-session", value=1000), description="PriorityClass of sessions."
    )
    warm_priority_class: PriorityClass = Field(
        default=PriorityClass(name="panhub-warm", value=-10),
        description="PriorityClass of placeholders, below all else.",
    )
    resource_quota: dict[str, Quantity] = Field(
        default_factory=dict,
        description="Hard limits of a ResourceQuota for all sessions together; empty: none.",
        examples=[{"requests.cpu": "200", "requests.memory": "800Gi", "pods": "300"}],
    )
    protect_from_drain: bool = Field(
        default=True,
        strict=True,
        description="Whether a drain of a node waits for the sessions on it, in place of ending them.",
    )


class DnsPolicy(Closed):
    """Where names are resolved."""

    namespace: ObjectName = Field(default="kube-system", description="Namespace of the cluster's DNS.")
    pod_labels: Labels = Field(default={"k8s-app": "kube-dns"}, description="Labels of its pods.")
    networks: tuple[Network, ...] = Field(
        default=(), description="Networks of servers that are no such pods: NodeLocal DNSCache."
    )
    port: Port = Field(default=53, description="Port of its pods.")


class Egress(Closed):
    """Where sessions may go beside the hub and the service."""

    network: Network = Field(description="Network.")
    but: tuple[Network, ...] = Field(
        default=(), description="Networks within it that they may not: those of nodes, services and pods."
    )
    ports: tuple[Port, ...] = Field(default=(), description="TCP ports; none: all.")


class NetworkPolicies(Closed):
    """Who may talk to whom. The cluster's network must enforce policies."""

    enabled: bool = Field(default=True, strict=True, description="Whether there are any.")
    dns: DnsPolicy = Field(default=DnsPolicy(), description="Where names are resolved.")
    proxy_from: tuple[Labels, ...] = Field(
        default=(),
        description="Labels of the namespaces whose pods may come to the proxy (that of the ingress "
        "controller); none: everybody.",
    )
    node_networks: tuple[Network, ...] = Field(
        default=(), description="Networks of nodes outside the cluster (Slurm) whose sessions are ours."
    )
    session_egress: tuple[Egress, ...] = Field(
        default=(), description="Where sessions may go; none: DNS, hub and service only."
    )


class Disruption(Closed):
    """PodDisruptionBudgets of our own processes."""

    enabled: bool = Field(default=True, strict=True, description="Whether there are any.")
    max_unavailable: Annotated[int, Field(ge=0, le=1)] = Field(
        default=1,
        description="1: a drain may move each of them, one restart of some seconds; 0: it has to wait.",
    )


class Uninstall(Closed):
    """What happens to running sessions when the release is removed."""

    end_sessions: bool = Field(
        default=True, strict=True, description="Whether they are ended and settled before all else goes."
    )
    patience_s: Annotated[int, Field(ge=10, le=3600)] = Field(
        default=180,
        description="How long the engine has for that, in seconds; what is left is removed unsettled. Give "
        "`helm uninstall --timeout` more.",
    )
    resources: Resources = Field(
        default=resources("50m", "96Mi", "1", "256Mi"), description="Resources of the job."
    )


class Values(Closed):
    """All values."""

    image: ImageSettings = Field(default=ImageSettings(), description="The image of all our processes.")
    run_as: RunAs = Field(default=RunAs(), description="Account of our containers.")
    settings: dict[str, Any] = Field(
        description="The application's settings, as on their reference page, without those that the chart "
        "decides. Relative paths start at /etc/panhub.",
    )
    profiles: dict[str, Any] = Field(description="The profiles file, as on its reference page.")
    secrets: Secrets = Field(description="Secrets by reference.")
    trusted_certificates: TrustedCertificates | None = Field(
        default=None, description="Authorities of the site, for its identity provider."
    )
    proxy: Proxy = Field(default=Proxy(), description="The proxy.")
    hub: Hub = Field(default=Hub(), description="The hub.")
    service: Service = Field(default=Service(), description="The service.")
    desktop: Desktop = Field(default=Desktop(), description="Desktops.")
    token_gateway: TokenGateway = Field(default=TokenGateway(), description="The token gateway of Slurm.")
    database: Database = Field(default=Database(), description="Databases.")
    ingress: Ingress = Field(default=Ingress(), description="The way in.")
    sessions: Sessions = Field(default=Sessions(), description="Sessions in this cluster.")
    network_policy: NetworkPolicies = Field(default=NetworkPolicies(), description="Who may talk to whom.")
    pod_disruption_budget: Disruption = Field(default=Disruption(), description="Drains of nodes.")
    uninstall: Uninstall = Field(default=Uninstall(), description="Removing it.")
