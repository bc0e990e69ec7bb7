"""Errors of the Model Library Format: rungs of the one ladder, each with a stable ``code`` in its message."""

from __future__ import annotations

from turnkey.errors import (
    ArtifactError,
    ConversionError,
    MissingDependencyError,
    TurnkeyError,
    UsageError,
    VerificationError,
)


class MlfError(TurnkeyError):
    """A rung with a code; the code ends the first line, so that it survives every border as text."""

    def __init__(self, what: str, *, code: str = "", evidence: str = "", remedy: str = "") -> None:
        super().__init__(f"{what} [{code}]" if code else what, evidence=evidence, remedy=remedy)
        self.code = code or what.rpartition("[")[2].rstrip("]")

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild, (type(self), self.what, self.evidence, self.remedy))


def _rebuild(kind: type[MlfError], what: str, evidence: str, remedy: str) -> MlfError:
    return kind(what, evidence=evidence, remedy=remedy)


class UnsupportedInModelLibraryFormatError(MlfError, ConversionError):
    """The model cannot become a Model Library Format tarball."""


class NonStaticShapeError(UnsupportedInModelLibraryFormatError):
    """A tensor's shape is not known before the program runs; memory is planned before it runs."""


class MlfUsageError(MlfError, UsageError):
    """An option or argument is wrong; nothing was done."""


class MlfMissingDependencyError(MlfError, MissingDependencyError):
    """The generator or a compiler is not there."""


class MlfVerificationError(MlfError, VerificationError):
    """The C code computes something else, or writes where it must not."""


class MlfArtifactError(MlfError, ArtifactError):
    """A tarball, or a part of it, is corrupt, hostile, or not what its metadata says."""


_CODES: dict[str, type[MlfError]] = {
    "mlf-dynamic-shape": NonStaticShapeError,
    **dict.fromkeys(
        (
            "mlf-unsupported-op",
            "mlf-unsupported-dtype",
            "mlf-non-tensor",
            "mlf-too-many-values",
            "mlf-name-clash",
            "mlf-unplanned-memory",
            "mlf-over-budget",
            "mlf-compile-failed",
        ),
        UnsupportedInModelLibraryFormatError,
    ),
    **dict.fromkeys(
        ("mlf-duplicate-module", "mlf-multiple-operators", "mlf-bad-option", "mlf-bad-sample"), MlfUsageError
    ),
    **dict.fromkeys(("mlf-no-generator", "mlf-no-compiler"), MlfMissingDependencyError),
    **dict.fromkeys(("mlf-mismatch", "mlf-overrun", "mlf-not-repeatable"), MlfVerificationError),
    **dict.fromkeys(
        (
            "mlf-bad-archive",
            "mlf-unsafe-path",
            "mlf-too-large",
            "mlf-missing-part",
            "mlf-bad-version",
            "mlf-bad-metadata",
            "mlf-bad-params",
            "mlf-bad-graph",
            "mlf-changed",
        ),
        MlfArtifactError,
    ),
}


def failure(code: str, what: str, *, evidence: str = "", remedy: str = "") -> MlfError:
    """The error of that code, to be raised. An unknown code is a defect of ours (KeyError)."""
    return _CODES[code](what, code=code, evidence=evidence, remedy=remedy)


def codes() -> tuple[str, ...]:
    """All codes, in the order of the table."""
    return tuple(_CODES)
