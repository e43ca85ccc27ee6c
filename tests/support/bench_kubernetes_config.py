"""Configuration of the JupyterHub with KubeSpawner; read by ``jupyterhub -f``.

As ``bench_stock_config.py`` but for the spawner. What is not set is KubeSpawner's default; what is set is
what our pods have: image, size, account, home, and what the namespace demands.
"""

import os

c = get_config()  # type: ignore[name-defined]  # noqa: F821  # JupyterHub defines it
load_subconfig("bench_stock_config.py", os.path.dirname(__file__))  # type: ignore[name-defined]  # noqa: F821, PTH120  # so does traitlets

_PREFIX = os.environ["BENCH_PREFIX"]
_UID = int(os.environ["BENCH_UID"])

c.JupyterHub.spawner_class = "kubespawner.KubeSpawner"
c.KubeSpawner.namespace = os.environ["BENCH_NAMESPACE"]
c.KubeSpawner.image = os.environ["BENCH_IMAGE"]
c.KubeSpawner.image_pull_policy = "Never"
c.KubeSpawner.service_account = os.environ["BENCH_ACCOUNT"]
c.KubeSpawner.priority_class_name = os.environ["BENCH_PRIORITY"]
c.KubeSpawner.cmd = [f"{_PREFIX}/bin/jupyterhub-singleuser"]
c.KubeSpawner.environment = {"HOME": "/home/maja", "PATH": f"{_PREFIX}/bin:/usr/local/bin:/usr/bin:/bin"}
c.KubeSpawner.cpu_guarantee = 0.1
c.KubeSpawner.cpu_limit = 1
c.KubeSpawner.mem_guarantee = c.KubeSpawner.mem_limit = "2048M"
c.KubeSpawner.uid = c.KubeSpawner.gid = _UID
c.KubeSpawner.pod_security_context = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
c.KubeSpawner.container_security_context = {"capabilities": {"drop": ["ALL"]}}
c.KubeSpawner.volumes = [{"name": "homes", "persistentVolumeClaim": {"claimName": "homes"}}]
c.KubeSpawner.volume_mounts = [{"name": "homes", "mountPath": "/home/maja", "subPath": "maja"}]
