"""Endpoints by kind of label: every module of this package that declares one."""

from __future__ import annotations

import importlib
import pkgutil

from claimpt_tf.errors import TaskError
from claimpt_tf.training import endpoints
from claimpt_tf.training.endpoints.endpoint import Endpoint

_ABOUT = ("endpoint", "registry")


def endpoint_names() -> list[str]:
    """The kinds of label that have an endpoint here; yes and no has a head of its own.

    Example:
      >>> endpoint_names()
      ['multi_class', 'multi_label', 'regression', 'time_to_event']
    """
    modules = (module.name for module in pkgutil.iter_modules(endpoints.__path__))
    return sorted(name for name in modules if name not in _ABOUT)


def endpoint_for(kind: str | None) -> type[Endpoint]:
    """The endpoint of a kind of label.

    Raises:
      TaskError: "labels that are 'ordinal' cannot be learned; these can: ...".
    """
    known = endpoint_names()
    if kind not in known:
        raise TaskError(
            f"labels that are {kind!r} cannot be learned; these can: binary, "
            f"{', '.join(known)}"
        )
    module = importlib.import_module(f"{endpoints.__name__}.{kind}")
    found: type[Endpoint] = module.ENDPOINT
    return found
