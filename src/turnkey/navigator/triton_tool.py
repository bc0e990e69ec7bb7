"""The tool ``export-triton``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from turnkey.errors import UsageError
from turnkey.pipeline.quantity import count, positive_count
from turnkey.pipeline.tool import Argument, Arity, Tool, ToolKind

if TYPE_CHECKING:
    from turnkey.pipeline.state import State


class ExportTriton(Tool):
    """Write a variant as a model of a Triton model repository: config.pbtxt and a version folder.

    The recommended variant is taken, else the newest that the server can execute (ONNX, TorchScript). It must be
    verified: what is not verified is not shipped. Inputs and outputs are those of the file, without the batch axis.
    """

    name = "export-triton"
    kind = ToolKind.SEQUENCE
    progress = "Writing a Triton model repository"
    reads = "the variants of the build, their verification, the samples"
    writes = "REPOSITORY/<name>/config.pbtxt and REPOSITORY/<name>/<version>/model.*"
    example = "turnkey -i model.py discover export-pytorch verify export-triton --repository models"
    arguments: ClassVar[tuple[Argument, ...]] = (
        Argument(flags=("--repository",), metavar="DIR", help="The model repository."),
        Argument(
            flags=("--model-name",), metavar="NAME", default_text="the build's name", help="Name of the served model."
        ),
        Argument(flags=("--model-version",), parse=positive_count, default=1, metavar="N", help="Version folder."),
        Argument(
            flags=("--variant",), metavar="KEY", default_text="the recommended one", help="Which variant to export."
        ),
        Argument(
            flags=("--max-batch-size",),
            parse=positive_count,
            default=4,
            metavar="N",
            help="Largest batch of the server.",
        ),
        Argument(
            flags=("--max-queue-delay",),
            parse=count,
            default=0,
            metavar="US",
            help="Microseconds to wait for a batch.",
        ),
        Argument(flags=("--instances",), parse=positive_count, default=1, metavar="N", help="Instances of the model."),
        Argument(flags=("--gpu",), arity=Arity.FLAG, default=False, help="Instances run on GPUs."),
        Argument(flags=("--warmup",), arity=Arity.FLAG, default=False, help="Warm up before the model is ready."),
        Argument(flags=("--override",), arity=Arity.FLAG, default=False, help="Replace a version that is there."),
    )

    def run(self, state: State, **arguments: Any) -> State:
        """Write the repository.

        Raises:
            UsageError: no repository, an unknown variant, or a name that a repository cannot have.
            ConversionError: nothing verified that the server can execute, or the version is there.
        """
        from dataclasses import replace

        from turnkey.navigator.triton.model_repository import add_model
        from turnkey.navigator.triton.state_config import chosen_variant, config_of_variant

        if not arguments.get("repository"):
            raise UsageError("export-triton needs a repository", remedy="turnkey ... export-triton --repository DIR")
        variant = chosen_variant(state, arguments.get("variant"))
        config = config_of_variant(
            state,
            variant,
            max_batch_size=int(arguments.get("max_batch_size") or 4),
            queue_delay_us=int(arguments.get("max_queue_delay") or 0),
            instances=int(arguments.get("instances") or 1),
            on_gpu=bool(arguments.get("gpu")),
            warmup=bool(arguments.get("warmup")),
        )
        directory = add_model(
            arguments["repository"],
            arguments.get("model_name") or state.build_name,
            state.build_dir / variant.path,
            config,
            int(arguments.get("model_version") or 1),
            override=bool(arguments.get("override")),
        )
        return replace(state, listing=f"{variant.key}: {directory} (backend {config.backend.value})")
