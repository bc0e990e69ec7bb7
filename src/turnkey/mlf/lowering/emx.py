"""The only module that knows emx-onnx-cgen, the generator of C for single ONNX operators (pinned, extra ``mlf``).

It is used as a kernel generator: a small model whose weights are inputs goes in, C text comes out; `emx_text` takes
that text apart. Its own memory scheme (a buffer per tensor, the heap above 1 KB, weights as globals) never appears.

Trade-off: the generator installs a top-level package called ``shared``. A ``shared`` of the user's own in front of it
on the path would break its import, so that ours happens with the working directory off the path, and what
was imported is checked.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from turnkey import settings
from turnkey.mlf.failures import failure
from turnkey.mlf.node import is_standard

if TYPE_CHECKING:
    import onnx

DISTRIBUTION = "emx-onnx-cgen"
VERSION = "1.4.0"
_INSTALL = "pip install 'turnkey[mlf]'"
_REFUSAL = "refused: "
_KNOWN_DOMAINS = ("ai.onnx.", "com.microsoft")
_LOCK = threading.Lock()  # the one compiler instance keeps state while it compiles


class Refused(Exception):
    """The generator cannot make C of this model; the text is its reason."""


def version() -> str:
    """The installed version.

    Raises:
        MlfMissingDependencyError: none is installed, or not the pinned one.
    """
    try:
        found = importlib.metadata.version(DISTRIBUTION)
    except importlib.metadata.PackageNotFoundError as error:
        raise failure(
            "mlf-no-generator",
            f"the C code generator {DISTRIBUTION} is not installed",
            evidence=f"no distribution named {DISTRIBUTION}",
            remedy=_INSTALL,
        ) from error
    if found != VERSION:
        raise failure(
            "mlf-no-generator",
            f"{DISTRIBUTION} {found} is installed, {VERSION} is the version that is tested",
            evidence="its generated text is taken apart, which other versions may change",
            remedy=f"pip install {DISTRIBUTION}=={VERSION}",
        )
    return found


def generate(model: onnx.ModelProto) -> str:
    """C text for a model.

    Raises:
        Refused: with the generator's reason.
        MlfMissingDependencyError: it is not installed.
    """
    _refuse_namesakes(model)
    known = _cached(model)
    text = _kept(known)
    if text is None:
        try:
            text = _compiled(model)
        except Refused as error:
            text = f"{_REFUSAL}{error}"
        _keep(known, text)
    if text.startswith(_REFUSAL):
        raise Refused(text.removeprefix(_REFUSAL))
    return text


def _refuse_namesakes(model: onnx.ModelProto) -> None:
    """The generator looks at names alone: an operator of somebody's own is not the standard one of its name."""
    from turnkey.formats.onnx_graph import nodes_of  # with onnx: only where there is a model

    for node in nodes_of(model):
        if not is_standard(node) and not node.domain.startswith(_KNOWN_DOMAINS):
            raise Refused(f"nothing is known of the domain {node.domain!r}")


def _keep(path: Path, text: str) -> None:
    """Write a text under its own sum, without waiting for the disk: a torn file is noticed and made again."""
    with contextlib.suppress(OSError):  # a cache that cannot be written costs time, not the export
        path.parent.mkdir(parents=True, exist_ok=True)
        staged = path.with_suffix(f".{os.getpid()}.{threading.get_ident()}")
        staged.write_text(f"{hashlib.sha256(text.encode()).hexdigest()}\n{text}", encoding="utf-8")
        os.replace(staged, path)


def _kept(path: Path) -> str | None:
    """A cached text; None if there is none, or only a part of one."""
    try:
        total, _, text = path.read_text(encoding="utf-8").partition("\n")
    except (OSError, UnicodeDecodeError):
        return None
    return text if hashlib.sha256(text.encode()).hexdigest() == total else None


def _cached(model: onnx.ModelProto) -> Path:
    """Where the text for an equal model of this version of the generator is kept: its start-up costs seconds."""
    content = model.SerializeToString(deterministic=True)
    key = hashlib.sha256(f"{version()}:2:".encode() + content).hexdigest()
    return settings.cache_dir() / "mlf-kernels" / key[:2] / f"{key[2:34]}.txt"


def _compiled(model: onnx.ModelProto) -> str:
    compiler = _compiler()
    with _LOCK:
        try:
            text: str = compiler.compile(model)
        except Exception as error:
            raise Refused(f"{type(error).__name__}: {' '.join(str(error).split())[:300]}") from error
    return text


@cache
def _compiler() -> Any:
    version()
    with _clean_path():
        from emx_onnx_cgen import compiler as module

        shared = sys.modules.get("shared")
    origin = os.path.dirname(getattr(shared, "__file__", None) or "")
    package = os.path.dirname(os.path.dirname(module.__file__))
    if os.path.dirname(origin) != package:
        raise failure(
            "mlf-no-generator",
            f"another package called 'shared' hides the one that {DISTRIBUTION} needs",
            evidence=f"imported from {origin}, expected below {package}",
            remedy="rename that package, or run turnkey from another directory",
        )
    # Arrays without restrict: outputs may overwrite a dying input, which restrict would forbid.
    return module.Compiler(
        module.CompilerOptions(model_name="m", restrict_arrays=False, large_weight_threshold=1 << 40)
    )


@contextmanager
def _clean_path() -> Iterator[None]:
    """``sys.path`` without the working directory and the script's, while the generator is imported."""
    kept = list(sys.path)
    here = os.getcwd()
    script = os.path.dirname(os.path.abspath(getattr(sys.modules.get("__main__"), "__file__", None) or here))
    sys.path[:] = [entry for entry in kept if entry and os.path.abspath(entry) not in (here, script)]
    try:
        yield
    finally:
        sys.path[:] = kept
