"""How the server batches requests: dynamically, or along sequences with state."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from turnkey.navigator.exceptions import WrongParameterError
from turnkey.navigator.triton.parts import data_type, tensor_name, whole
from turnkey.navigator.triton.text import Enumerator


class TimeoutAction(Enum):
    """What happens to a request that waited too long."""

    REJECT = "REJECT"
    DELAY = "DELAY"


@dataclass(frozen=True, kw_only=True)
class QueuePolicy:
    """How long, and how many, requests wait. Times in microseconds; 0 is no limit."""

    timeout_action: TimeoutAction = TimeoutAction.REJECT
    default_timeout_microseconds: int = 0
    allow_timeout_override: bool = False
    max_queue_size: int = 0

    def __post_init__(self) -> None:
        whole("default_timeout_microseconds", self.default_timeout_microseconds)
        whole("max_queue_size", self.max_queue_size)

    def to_message(self) -> dict[str, Any]:
        return {
            "timeout_action": Enumerator(self.timeout_action.value),
            "default_timeout_microseconds": self.default_timeout_microseconds,
            "allow_timeout_override": self.allow_timeout_override,
            "max_queue_size": self.max_queue_size,
        }


@dataclass(frozen=True, kw_only=True)
class DynamicBatcher:
    """Requests of several clients become one batch.

    Attributes:
        priority_levels: 0 is no priorities; levels are 1 (highest) to this.
        priority_queue_policy: policy by level.
    """

    max_queue_delay_microseconds: int = 0
    preferred_batch_size: Sequence[int] | None = None
    preserve_ordering: bool = False
    priority_levels: int = 0
    default_priority_level: int = 0
    default_queue_policy: QueuePolicy | None = None
    priority_queue_policy: Mapping[int, QueuePolicy] | None = None

    def __post_init__(self) -> None:
        whole("max_queue_delay_microseconds", self.max_queue_delay_microseconds)
        whole("priority_levels", self.priority_levels)
        for size in self.preferred_batch_size or ():
            whole("a preferred batch size", size, least=1)
        if self.priority_levels:
            whole("default_priority_level", self.default_priority_level, least=1)
        elif self.default_priority_level or self.priority_queue_policy:
            raise WrongParameterError("there are no priority levels", evidence="priority_levels=0")
        levels = [self.default_priority_level, *(self.priority_queue_policy or {})]
        for level in levels if self.priority_levels else ():
            whole("a priority", level, least=1)
            if level > self.priority_levels:
                raise WrongParameterError(
                    "priorities go from 1 to the number of levels", evidence=f"{level} of {self.priority_levels}"
                )

    def to_message(self) -> dict[str, Any]:
        policies = {level: policy.to_message() for level, policy in (self.priority_queue_policy or {}).items()}
        return {
            "preferred_batch_size": list(self.preferred_batch_size or ()),
            "max_queue_delay_microseconds": self.max_queue_delay_microseconds,
            "preserve_ordering": self.preserve_ordering or None,
            "priority_levels": self.priority_levels or None,
            "default_priority_level": self.default_priority_level or None,
            "default_queue_policy": None
            if self.default_queue_policy is None
            else self.default_queue_policy.to_message(),
            "priority_queue_policy": [{"key": level, "value": policy} for level, policy in policies.items()],
        }


class SequenceBatcherControlKind(Enum):
    CONTROL_SEQUENCE_START = "CONTROL_SEQUENCE_START"
    CONTROL_SEQUENCE_READY = "CONTROL_SEQUENCE_READY"
    CONTROL_SEQUENCE_END = "CONTROL_SEQUENCE_END"
    CONTROL_SEQUENCE_CORRID = "CONTROL_SEQUENCE_CORRID"


@dataclass(frozen=True, kw_only=True)
class SequenceBatcherControl:
    """One signal of an input: its kind, and the two values that mean no and yes (or its type, for the id)."""

    kind: SequenceBatcherControlKind
    dtype: Any = None
    int32_false_true: Sequence[int] = ()
    fp32_false_true: Sequence[float] = ()
    bool_false_true: Sequence[bool] = ()

    def __post_init__(self) -> None:
        pairs = (self.int32_false_true, self.fp32_false_true, self.bool_false_true)
        if self.kind is SequenceBatcherControlKind.CONTROL_SEQUENCE_CORRID:
            if self.dtype is None or any(pairs):
                raise WrongParameterError("the correlation id needs a dtype and no values")
        elif self.dtype is not None or sum(bool(pair) for pair in pairs) != 1:
            raise WrongParameterError(f"{self.kind.value} needs one pair of values for no and yes")
        if any(pair and len(pair) != 2 for pair in pairs):
            raise WrongParameterError("a control has two values, for no and for yes")

    def to_message(self) -> dict[str, Any]:
        return {
            "kind": Enumerator(self.kind.value),
            "int32_false_true": list(self.int32_false_true),
            "fp32_false_true": list(self.fp32_false_true),
            "bool_false_true": list(self.bool_false_true),
            "data_type": None if self.dtype is None else data_type(self.dtype),
        }


@dataclass(frozen=True, kw_only=True)
class SequenceBatcherControlInput:
    """An input that carries signals."""

    input_name: str
    controls: Sequence[SequenceBatcherControl]

    def __post_init__(self) -> None:
        tensor_name(self.input_name)

    def to_message(self) -> dict[str, Any]:
        return {"name": self.input_name, "control": [control.to_message() for control in self.controls]}


@dataclass(frozen=True, kw_only=True)
class SequenceBatcherInitialState:
    """What a state begins with: zeros or the content of a file."""

    name: str
    shape: tuple[int, ...]
    dtype: Any
    zero_data: bool | None = None
    data_file: str | None = None

    def __post_init__(self) -> None:
        data_type(self.dtype)
        if (self.zero_data is None) == (self.data_file is None):
            raise WrongParameterError("an initial state needs zero_data or data_file, not both")

    def to_message(self) -> dict[str, Any]:
        return {
            "data_type": data_type(self.dtype),
            "dims": list(self.shape),
            "zero_data": self.zero_data,
            "data_file": self.data_file,
            "name": self.name,
        }


@dataclass(frozen=True, kw_only=True)
class SequenceBatcherState:
    """A tensor that one request of a sequence hands to the next."""

    input_name: str
    output_name: str
    dtype: Any
    shape: tuple[int, ...]
    initial_states: Sequence[SequenceBatcherInitialState] = ()

    def __post_init__(self) -> None:
        tensor_name(self.input_name)
        tensor_name(self.output_name)
        data_type(self.dtype)

    def to_message(self) -> dict[str, Any]:
        return {
            "input_name": self.input_name,
            "output_name": self.output_name,
            "data_type": data_type(self.dtype),
            "dims": list(self.shape),
            "initial_state": [state.to_message() for state in self.initial_states],
        }


@dataclass(frozen=True, kw_only=True)
class SequenceBatcherStrategyDirect:
    """Each sequence has a place in the batch of its own."""

    max_queue_delay_microseconds: int = 0
    minimum_slot_utilization: float = 0.0

    def __post_init__(self) -> None:
        whole("max_queue_delay_microseconds", self.max_queue_delay_microseconds)
        if not 0 <= self.minimum_slot_utilization <= 1:
            raise WrongParameterError(
                "minimum_slot_utilization is a share", evidence=str(self.minimum_slot_utilization)
            )

    def to_message(self) -> dict[str, Any]:
        return {
            "direct": {
                "max_queue_delay_microseconds": self.max_queue_delay_microseconds,
                "minimum_slot_utilization": self.minimum_slot_utilization,
            }
        }


@dataclass(frozen=True, kw_only=True)
class SequenceBatcherStrategyOldest:
    """The oldest requests of all sequences are batched dynamically."""

    max_candidate_sequences: int
    preferred_batch_size: Sequence[int] = ()
    max_queue_delay_microseconds: int = 0

    def __post_init__(self) -> None:
        whole("max_candidate_sequences", self.max_candidate_sequences, least=1)
        whole("max_queue_delay_microseconds", self.max_queue_delay_microseconds)

    def to_message(self) -> dict[str, Any]:
        return {
            "oldest": {
                "max_candidate_sequences": self.max_candidate_sequences,
                "preferred_batch_size": list(self.preferred_batch_size),
                "max_queue_delay_microseconds": self.max_queue_delay_microseconds,
            }
        }


@dataclass(frozen=True, kw_only=True)
class SequenceBatcher:
    """Requests of one sequence go to one instance."""

    strategy: SequenceBatcherStrategyDirect | SequenceBatcherStrategyOldest
    max_sequence_idle_microseconds: int | None = None
    control_inputs: Sequence[SequenceBatcherControlInput] = field(default_factory=tuple)
    states: Sequence[SequenceBatcherState] = field(default_factory=tuple)

    def __post_init__(self) -> None:
        if self.max_sequence_idle_microseconds is not None:
            whole("max_sequence_idle_microseconds", self.max_sequence_idle_microseconds)

    def to_message(self) -> dict[str, Any]:
        return {
            **self.strategy.to_message(),
            "max_sequence_idle_microseconds": self.max_sequence_idle_microseconds,
            "control_input": [each.to_message() for each in self.control_inputs],
            "state": [each.to_message() for each in self.states],
        }
