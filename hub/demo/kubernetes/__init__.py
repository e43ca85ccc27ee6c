"""A real Kubernetes cluster on one machine, for the demo and for tests."""
