"""What this door raises: the product's ladder, told apart by the types that the Navigator documents.

Each class stands below one rung of ``turnkey.errors`` and keeps its three parts. The documented names
(``ModelNavigatorConfigurationError`` …) are the same classes under their old names.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from turnkey import errors


class NavigatorError(errors.TurnkeyError):
    """Base of this door's errors.

    Args:
        log_path: log of the step that failed, where there is one.
    """

    def __init__(self, what: str, *, evidence: str = "", remedy: str = "", log_path: str | None = None) -> None:
        super().__init__(what, evidence=evidence, remedy=remedy)
        self.log_path = log_path

    @property
    def message(self) -> str:
        """What happened, in one sentence."""
        return self.what


class ConfigurationError(NavigatorError, errors.UsageError):
    """The call contradicts itself; nothing was run. All problems of a call are in one error."""


class WrongParameterError(NavigatorError, errors.UsageError):
    """A value that a configuration cannot have."""


class UserInputError(NavigatorError, errors.UsageError):
    """What was fed is not what the model takes."""


class TensorTypeError(UserInputError, TypeError):
    """An input has another dtype or shape than the model takes."""


class NotFoundError(NavigatorError, errors.InputError):
    """A model, runner or file that the package does not have."""


class BackwardCompatibilityError(NavigatorError, errors.ArtifactError):
    """A package of a format that cannot be read."""


class DeployerError(NavigatorError, errors.ConversionError):
    """A model repository could not be written."""


class RuntimeAnalyzerError(NavigatorError, errors.VerificationError):
    """No runtime matches the strategies; the evidence names each candidate with the reason against it."""


class MissingSourceModelError(NavigatorError, errors.UsageError):
    """The source model is asked for, and a package that was loaded has none attached."""


class EmptyPackageError(NavigatorError, errors.UsageError):
    """A package without any usable model."""


class ProfilingError(NavigatorError, errors.MeasurementInvalid):
    """A model could not be profiled."""


class UnstableMeasurementError(ProfilingError):
    """Windows of one batch size did not agree within the trials.

    Attributes:
        rungs: results of the batch sizes that were finished before, ascending.
        means_ms: mean of each window of the batch size that was not stable, milliseconds.
    """

    def __init__(
        self,
        what: str,
        *,
        evidence: str = "",
        remedy: str = "",
        log_path: str | None = None,
        rungs: Sequence[Mapping[str, Any]] = (),
        means_ms: Sequence[float] = (),
    ) -> None:
        super().__init__(what, evidence=evidence, remedy=remedy, log_path=log_path)
        self.rungs = tuple(rungs)
        self.means_ms = tuple(means_ms)


class ConfigurationWarning(UserWarning):
    """A part of the call has no effect."""


ModelNavigatorError = NavigatorError
ModelNavigatorUserInputError = UserInputError
ModelNavigatorNotFoundError = NotFoundError
ModelNavigatorBackwardCompatibilityError = BackwardCompatibilityError
ModelNavigatorDeployerError = DeployerError
ModelNavigatorWrongParameterError = WrongParameterError
ModelNavigatorRuntimeAnalyzerError = RuntimeAnalyzerError
ModelNavigatorMissingSourceModelError = MissingSourceModelError
ModelNavigatorEmptyPackageError = EmptyPackageError
ModelNavigatorTensorTypeError = TensorTypeError
ModelNavigatorProfilingError = ProfilingError
ModelNavigatorConfigurationError = ConfigurationError
ModelNavigatorConfigurationWarning = ConfigurationWarning
