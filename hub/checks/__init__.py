"""Checks of `panhub check` that need more than a function. See `hub.check`."""
