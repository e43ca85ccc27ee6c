"""Sessions as pods of a Kubernetes cluster, driven by the engine."""
