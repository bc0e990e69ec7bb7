"""One visit to a script: run it, see its models, hand one on, and afterwards let everything go.

The script's ``__main__`` and modules stay in place while its model is in use; `let_go` ends that, and so does the
next visit. Memory: models live as long as a visit is current, so the caller ends it before the next input.
"""

from __future__ import annotations

import gc
import sys
import time
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from turnkey.discovery.listing import FoundModel, Listing
from turnkey.discovery.options import DiscoveryOptions
from turnkey.discovery.script import ScriptRun, split_arguments
from turnkey.discovery.script_outcome import ScriptOutcome
from turnkey.discovery.watch import Watch
from turnkey.errors import InputError, ModelError
from turnkey.formats.failure_text import one_line

if TYPE_CHECKING:  # torch comes only when the script loads it
    from turnkey.discovery.finding import Finding
    from turnkey.model.source import SourceModel

_WRONG_ARGUMENTS = 2
"""Exit code of a program that refuses its arguments: argparse's, click's, and every shell's."""


class Visit:
    """What one run of a script showed, with its models alive.

    Attributes:
        listing: as data; `select` marks the chosen entry.
        outcome: how the script ended.
        uses_torch: whether the script loaded torch.nn at all.
        imported_files: source files of the script's own modules.
        uncalled: names of models in the script that were never called, with their classes.
        failed: classes of modules whose every call raised.
    """

    def __init__(
        self,
        script: ScriptRun,
        outcome: ScriptOutcome,
        findings: list[Finding],
        failed: tuple[str, ...],
        seconds: float,
    ) -> None:
        self.outcome = outcome
        self.imported_files = script.imported_files()
        self.uncalled = _uncalled_models()
        self.failed = failed
        self.uses_torch = bool(findings or failed or self.uncalled) or _uses_torch(script)
        self._findings = findings
        models: tuple[FoundModel, ...] = ()
        if findings:
            from turnkey.discovery.finding import tree_of

            models = tree_of(findings)
        self.listing = Listing(
            path=script.path,
            exit_code=outcome.exit_code,
            seconds=seconds,
            models=models,
            traceback=outcome.traceback,
        )

    def select(self, target: str | None, *, build_dir: str = "") -> SourceModel:
        """Choose a model and mark it in the listing.

        Args:
            target: a hash of the listing; None takes the last discovered top-level model with parameters, or the last
                one if none has any.

        Raises:
            InputError: no entry has that hash.
            ModelError: nothing was found, or the chosen model cannot be called again.
        """
        from turnkey.discovery.finding import source_of, tree_of, with_weights_hash

        finding = self._find(target) if target else self._default()
        position = self._findings.index(finding)
        finding = self._with_note_of_others(with_weights_hash(finding))
        self._findings[position] = finding
        listing = replace(self.listing, models=tree_of(self._findings))
        chosen = listing.find(finding.found.hash)
        if finding.invocation.seen.module is None or finding.result is None or chosen is None:
            raise ModelError(
                f"{finding.found.class_name} was seen, but cannot be handed on",
                evidence=finding.found.note,
                remedy=f"select another model by its hash: turnkey -i {self.listing.path}::HASH …",
            )
        self.listing = listing.with_status(chosen, "selected" if target else "auto-selected", build_dir)
        return source_of(finding, self._findings)

    def _with_note_of_others(self, finding: Finding) -> Finding:
        """A note where further models share the digest: the plain hash means the first of them."""
        others = [
            other.found.hash
            for other in self._findings
            if other.invocation is not finding.invocation and other.found.model_hash == finding.found.model_hash
        ]
        text = f"{len(others) + 1} models share this hash, the others are {', '.join(others)}"
        if not others or text in finding.found.note:
            return finding
        note = f"{finding.found.note}; {text}" if finding.found.note else text
        return replace(finding, found=replace(finding.found, note=note))

    def _find(self, target: str) -> Finding:
        for finding in self._findings:
            if target in (finding.found.hash, finding.found.model_hash):
                return finding
        valid = [f"{model.hash}  {model.name or '–'} ({model.class_name})" for model in self.listing if model.hash]
        raise InputError(
            f"{self.listing.path} has no model with the hash {target}",
            evidence="\n".join(["it has:", *valid]) if valid else "no model was found in it",
            remedy=f"turnkey -i {self.listing.path}::{valid[0].split()[0]} …" if valid else "",
        )

    def _default(self) -> Finding:
        top = [finding for finding in self._findings if finding.invocation.depth == 0]
        if not top:
            raise self._nothing_found()
        return ([finding for finding in top if finding.found.parameter_count] or top)[-1]

    def _nothing_found(self) -> ModelError:
        facts = [f"the script ran {self.listing.seconds:.1f} s and ended with exit code {self.outcome.exit_code}"]
        if self.failed:
            facts.append(f"every call raised of: {', '.join(self.failed)}")
        if self.uncalled:
            facts.append(f"models that were never called: {', '.join(self.uncalled)}")
        return ModelError(
            f"no model was found in {self.listing.path}",
            evidence="\n".join(facts),
            remedy="call the model itself, net(x), with real inputs. Calls of net.forward(x), calls only inside a\n"
            "compiled function (--compiled eager shows them) and calls in child processes cannot be seen.",
        )


_current: list[ScriptRun] = []
"""At most one: two scripts cannot be ``__main__``."""


def let_go() -> None:
    """End the current visit: its ``__main__`` and modules leave, and its models as far as nobody else holds them."""
    if not _current:
        return
    _current.pop().leave()
    dynamo: Any = sys.modules.get("torch._dynamo")
    if dynamo is not None:
        dynamo.reset()  # compiled code holds the modules that it was made of
    if "torch" in sys.modules:
        gc.collect()  # models stand in cycles with the script's own functions


def visit(path: str, *, script_args: str = "", options: DiscoveryOptions | None = None) -> Visit:
    """Run a script and see its models.

    Args:
        path: the script, as the user named it. All of it runs, with the user's rights.
        script_args: one text, split as a shell would.

    Raises:
        InputError: the script cannot be read.
        UsageError: the arguments cannot be split.
        KeyboardInterrupt: the user interrupted the script.

    A script that fails is a visit too: see `Visit.outcome`.
    """
    arguments = split_arguments(script_args)
    options = options or DiscoveryOptions()
    let_go()
    script = ScriptRun(path, arguments)
    _current.append(script)
    watch = Watch(script, options)
    started = time.perf_counter()
    try:
        outcome = script.run(before=watch.begin, after=watch.end)
        seconds = time.perf_counter() - started
        return Visit(script, outcome, watch.findings(), watch.failed(), seconds)
    except BaseException:
        let_go()
        raise
    finally:
        watch.forget()


def _uncalled_models() -> tuple[str, ...]:
    """Models bound to names of ``__main__``, for the message that says that nothing was called."""
    torch: Any = sys.modules.get("torch")
    main = sys.modules.get("__main__")
    if torch is None or main is None or not hasattr(torch, "nn"):
        return ()
    return tuple(
        f"{name} ({type(value).__name__})"
        for name, value in vars(main).items()
        if isinstance(value, torch.nn.Module) and not name.startswith("_")
    )


def _uses_torch(script: ScriptRun) -> bool:
    """Whether the script, its own modules or a package that they import loaded torch.

    In a process where torch was loaded before, `sys.modules` cannot tell; what the script's own names lead to can.
    """
    if "torch" not in sys.modules:
        return False
    own = [sys.modules["__main__"], *(m for m in list(sys.modules.values()) if script.owns_module(m))]
    roots = {
        str(getattr(value, "__module__", None) or getattr(value, "__name__", "")).partition(".")[0]
        for module in own
        for value in list(vars(module).values())
    }
    roots -= {"", "__main__", "turnkey"}
    packages = [module for name, module in list(sys.modules.items()) if name.partition(".")[0] in roots]
    return "torch" in roots or any("torch" in getattr(module, "__dict__", {}) for module in packages)


def discover(path: str, script_args: str = "", max_depth: int = 0) -> Listing:
    """Run a script and list the models that it calls, as data; nothing is written and nothing stays in memory.

    Args:
        path: the script. All of it runs, with the user's rights.
        script_args: its arguments as one text.
        max_depth: module calls nested at most that deep are listed; 0 means top-level calls.

    Raises:
        InputError: the script cannot be read.
        ModelError: the script failed and called no model.
    """
    found = visit(path, script_args=script_args, options=DiscoveryOptions(max_depth=max_depth))
    try:
        if found.outcome.exit_code and not found.listing.models:
            raise script_failed(found)
        if found.listing.models:
            with suppress(ModelError):  # the listing says why none can be handed on
                found.select(None)
        return found.listing
    finally:
        let_go()


def script_failed(found: Visit, *, said: str = "") -> ModelError:
    """The error of a script that ended with another exit code than 0.

    Args:
        said: the last lines that it printed: what a parser of arguments complained of before it ended the script.
    """
    outcome = found.outcome
    is_silent = not outcome.traceback and bool(said)
    wants_arguments = is_silent and outcome.exit_code == _WRONG_ARGUMENTS
    models = [f"{model.hash or '–'} {model.name} ({model.class_name})" for model in found.listing.models]
    cause = f": {one_line(outcome.error)}" if outcome.error is not None else ""
    evidence = outcome.traceback.rstrip() or f"exit code {outcome.exit_code}"
    if is_silent:
        evidence += f"\n{said}"
    if models:
        evidence += f"\nmodels seen until then: {', '.join(models)}"
    return ModelError(
        f"the script {found.listing.path} ended with exit code {outcome.exit_code}{cause}",
        evidence=evidence,
        remedy=(
            f'give the script its arguments: turnkey -i {found.listing.path} discover --script-args="--name value"'
            if wants_arguments
            else "mend the script"
        )
        + ("; or go on with the models seen until then: discover --allow-script-failure" if models else ""),
    )
