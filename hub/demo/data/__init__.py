"""Makers of the demo's data files; they need the sessions' environment."""

VERSION = 1
"""Raise it when what a maker writes changes: files of an older version are made again."""
