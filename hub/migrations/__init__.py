"""Revisions of the service's database, in `versions`; run by `hub.migrate`."""
