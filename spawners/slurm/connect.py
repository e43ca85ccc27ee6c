"""Which transport does a cluster have? The settings say."""

from __future__ import annotations

import importlib
import inspect
from typing import Any, cast

from spawners.slurm.cli.transport import CliTransport
from spawners.slurm.rest.transport import RestTransport
from spawners.slurm.settings import CliSettings, ClusterSettings, CustomSettings, RestSettings
from spawners.slurm.transport import Tokens, Transport


class TransportSettingsError(ValueError):
    """The settings name no transport that can be used; the text says why."""


def make_transport(settings: ClusterSettings, tokens: Tokens | None) -> Transport:
    """Transport of a cluster; opens no connection.

    A class of the site's own is called with its ``options`` and, where its constructor has
    parameters of these names, with ``tokens`` and ``service_account``.

    Raises
    ------
    TransportSettingsError
        If slurmrestd is named without tokens, or the site's class is not a transport.
    """
    transport = settings.transport
    if isinstance(transport, CliSettings):
        return CliTransport(transport, settings.service_account)
    if isinstance(transport, RestSettings):
        if tokens is None:
            raise TransportSettingsError("slurmrestd needs tokens: set gateway_socket.")
        return RestTransport(transport, settings.service_account, tokens)
    return _custom(transport, settings, tokens)


def _custom(named: CustomSettings, settings: ClusterSettings, tokens: Tokens | None) -> Transport:
    module_name, _, class_name = named.class_name.partition(":")
    try:
        found = getattr(importlib.import_module(module_name), class_name)
    except (ImportError, AttributeError) as e:
        raise TransportSettingsError(f"{named.class_name} cannot be imported: {e}") from e
    if not inspect.isclass(found):
        raise TransportSettingsError(f"{named.class_name} is not a class.")
    missing = [name for name in _methods() if not inspect.iscoroutinefunction(getattr(found, name, None))]
    if missing:
        raise TransportSettingsError(f"{named.class_name} lacks the async methods {', '.join(missing)}.")
    given: dict[str, Any] = dict(named.options)
    known = inspect.signature(found).parameters
    given |= {"tokens": tokens} if "tokens" in known else {}
    given |= {"service_account": settings.service_account} if "service_account" in known else {}
    try:
        return cast(Transport, found(**given))
    except (TypeError, ValueError) as e:
        raise TransportSettingsError(f"{named.class_name} cannot be made: {e}") from e


def _methods() -> list[str]:
    return [name for name, _ in inspect.getmembers(Transport, inspect.isfunction) if not name.startswith("_")]
