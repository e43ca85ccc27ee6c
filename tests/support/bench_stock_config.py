"""Configuration of the plain JupyterHub that benchmarks compare with; read by ``jupyterhub -f``.

``BENCH_SPAWNER`` chooses: ``null`` starts nothing, ``local`` is JupyterHub's own local spawner.
Everything that is not set is JupyterHub's default.
"""

import os

c = get_config()  # type: ignore[name-defined]  # noqa: F821  # JupyterHub defines it

c.JupyterHub.bind_url = os.environ["BENCH_PUBLIC_URL"]
c.JupyterHub.hub_bind_url = os.environ["BENCH_HUB_URL"]
c.JupyterHub.db_url = f"sqlite:///{os.environ['BENCH_FOLDER']}/jupyterhub.sqlite"
c.JupyterHub.cookie_secret_file = f"{os.environ['BENCH_FOLDER']}/cookie"
c.ConfigurableHTTPProxy.should_start = False
c.ConfigurableHTTPProxy.api_url = os.environ["BENCH_PROXY_API"]
c.ConfigurableHTTPProxy.auth_token = os.environ["CONFIGPROXY_AUTH_TOKEN"]

c.JupyterHub.authenticator_class = "dummy"
c.Authenticator.allow_all = True
c.DummyAuthenticator.password = os.environ["BENCH_PASSWORD"]
c.JupyterHub.allow_named_servers = True
# As ours: a limit of starts at once would measure the limit.
c.JupyterHub.concurrent_spawn_limit = 0

c.JupyterHub.services = [{"name": "bench", "api_token": os.environ["BENCH_TOKEN"]}]
c.JupyterHub.load_roles = [
    {
        "name": "bench",
        "services": ["bench"],
        "scopes": ["admin:users", "admin:servers", "tokens", "access:servers"],
    }
]

if os.environ["BENCH_SPAWNER"] == "null":
    from tests.support.bench_null import NullSpawner

    c.JupyterHub.spawner_class = NullSpawner
    c.NullSpawner.target = os.environ["BENCH_TARGET"]
else:
    c.JupyterHub.spawner_class = "simple"
    c.SimpleLocalProcessSpawner.home_dir_template = f"{os.environ['BENCH_FOLDER']}/homes/{{username}}"
    c.Spawner.cmd = [f"{os.environ['BENCH_ENVIRONMENT']}/bin/jupyterhub-singleuser"]
    # What ours does for the person, the site would set there: the environment's own programs first.
    c.Spawner.environment = {"PATH": f"{os.environ['BENCH_ENVIRONMENT']}/bin:/usr/local/bin:/usr/bin:/bin"}
    if os.geteuid() == 0:
        c.Spawner.args = ["--allow-root"]
