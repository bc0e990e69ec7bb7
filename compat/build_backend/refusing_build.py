"""setuptools' build backend, which first looks whether an original is installed where this would be installed.

A build runs with the interpreter of the environment that is installed into, though without its packages on the path;
its directory is asked for by name.
"""

from __future__ import annotations

import os
import sysconfig
from collections.abc import Iterator
from importlib.metadata import Distribution, distributions

from setuptools import build_meta
from setuptools.build_meta import *  # noqa: F403  the hooks that need no guard

ROOTS = ("lexer", "model_navigator")
OURS = "turnkey-compat"
VARIABLE = "TURNKEY_COMPAT_OVER_ORIGINALS"


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):  # type: ignore[no-untyped-def]
    """Build the wheel, unless it would be written over an original."""
    _refuse_originals()
    return build_meta.build_wheel(wheel_directory, config_settings, metadata_directory)


def build_editable(wheel_directory, config_settings=None, metadata_directory=None):  # type: ignore[no-untyped-def]
    """As `build_wheel`."""
    _refuse_originals()
    return build_meta.build_editable(wheel_directory, config_settings, metadata_directory)


def _refuse_originals() -> None:
    if os.environ.get(VARIABLE) == "1":
        return
    places = list(dict.fromkeys([sysconfig.get_path("purelib"), sysconfig.get_path("platlib")]))
    found = sorted({f"{root} belongs to {each.name} {each.version}" for each, root in _owners(places)})
    if found:
        raise SystemExit(
            "\nturnkey-compat would be written over packages of others:\n"
            + "".join(f"  {line}\n" for line in found)
            + f"  do: pip uninstall them first, or set {VARIABLE}=1 to install all the same\n"
        )


def _owners(places: list[str]) -> Iterator[tuple[Distribution, str]]:
    for each in distributions(path=places):
        if (each.name or "").lower().replace("_", "-") == OURS:
            continue
        files = {str(file).replace("\\", "/").partition("/")[0] for file in each.files or ()}
        yield from ((each, root) for root in ROOTS if root in files)
