"""The one ladder of errors. A message has three parts: what happened, the evidence, what to do.

Whatever the user did wrong, or what a model, a runtime or a file did to us, is one of these types and prints
without a traceback. Anything else that escapes is a defect of Turnkey and says so.
"""

from __future__ import annotations


class TurnkeyError(Exception):
    """Root of the ladder.

    Args:
        what: one sentence, what happened, in the user's words.
        evidence: value, path, line, or log tail that shows it; may have several lines.
        remedy: what to do, with a command that can be pasted where one exists.

    Attributes:
        state: what a tool had found until it failed, a `turnkey.pipeline.state.State`: the sequence keeps it.
    """

    title = "error"
    state: object = None

    def __init__(self, what: str, *, evidence: str = "", remedy: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.evidence = evidence
        self.remedy = remedy

    def __str__(self) -> str:
        lines = [f"{self.title}: {self.what}"]
        for label, text in (("evidence", self.evidence), ("do", self.remedy)):
            if text:
                first, *rest = text.splitlines()
                lines.append(f"  {label + ':':<9} {first}")
                lines.extend(f"  {'':<9} {line}" for line in rest)
        return "\n".join(lines)

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild, (type(self), self.what, self.evidence, self.remedy))

    def to_dict(self) -> dict[str, str]:
        """The same facts for ``--json``, records and the pipe of a worker."""
        return {
            "type": self.title,
            "what": self.what,
            "evidence": self.evidence,
            "remedy": self.remedy,
        }


def _rebuild(kind: type[TurnkeyError], what: str, evidence: str, remedy: str) -> TurnkeyError:
    return kind(what, evidence=evidence, remedy=remedy)


class UsageError(TurnkeyError, ValueError):
    """The command or the call is wrong; nothing was run."""

    title = "usage error"


class InputError(TurnkeyError):
    """An input file is missing, of the wrong kind, or not what its name says."""

    title = "bad input"


class MissingDependencyError(TurnkeyError, ImportError):
    """Something optional is not installed; the remedy is the exact install command."""

    title = "missing dependency"


class ModelError(TurnkeyError):
    """The user's script or model failed, timed out or was killed."""

    title = "model failed"


class ConversionError(TurnkeyError):
    """A format could not be produced or loaded by its runtime."""

    title = "conversion failed"


class VerificationError(TurnkeyError):
    """A variant does not compute what the source model computes, or nothing could prove that it does."""

    title = "verification failed"


class MeasurementInvalid(TurnkeyError, RuntimeError):
    """A measurement must not be used, and the caller asked for that to be an error."""

    title = "measurement invalid"


class ArtifactError(TurnkeyError):
    """A file that Turnkey reads back (state, statistics, samples, record, archive) is corrupt or hostile."""

    title = "corrupt or hostile artifact"


_KINDS = {
    kind.title: kind
    for kind in (
        UsageError,
        InputError,
        MissingDependencyError,
        ModelError,
        ConversionError,
        VerificationError,
        MeasurementInvalid,
        ArtifactError,
    )
}


def from_dict(fields: dict[str, str]) -> TurnkeyError:
    """Rebuild an error that crossed a process border as ``to_dict()``; an unknown type is the root."""
    kind = _KINDS.get(fields.get("type", ""), TurnkeyError)
    return kind(
        fields.get("what", ""),
        evidence=fields.get("evidence", ""),
        remedy=fields.get("remedy", ""),
    )
