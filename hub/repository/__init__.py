"""An environment from a repository: what its lock says, as an image above ours."""
