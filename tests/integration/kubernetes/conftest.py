"""Fixtures of the Kubernetes tests."""

from __future__ import annotations

from tests.support.kubernetes import busybox, cluster, module_namespace, namespace, restored_cluster

__all__ = ["busybox", "cluster", "module_namespace", "namespace", "restored_cluster"]
