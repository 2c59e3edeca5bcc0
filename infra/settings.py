"""Whether functions have the settings that they need, asked before any of them is called."""

import importlib
from collections.abc import Iterable, Mapping

from functions.shared.settings import InvalidSettings, from_env
from infra.template import Function


def check_settings(functions: Iterable[Function], environ: Mapping[str, str]) -> None:
    """Import functions and read the settings of each once.

    Raises:
        InvalidSettings: one is missing or of the wrong type. The message names the function, too.
    """
    for function in functions:
        settings = getattr(importlib.import_module(function.handler.rpartition(".")[0]), "Settings", None)
        if settings is None:  # it needs none
            continue
        try:
            from_env(settings, environ)
        except InvalidSettings as error:
            raise InvalidSettings(f"{function.name} cannot run. {error}") from error
