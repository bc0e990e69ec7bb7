"""The tool ``quantize``."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from turnkey.errors import ConversionError, UsageError
from turnkey.pipeline.quantity import tolerance
from turnkey.pipeline.tool import Argument, Arity, Tool, ToolKind
from turnkey.tools.measuring_arguments import MEASURING, measuring_settings
from turnkey.tools.metric import parse_metric

if TYPE_CHECKING:
    from turnkey.pipeline.state import State
    from turnkey.tools.quantized import Quantized

_FROM_ONNX = ("onnx-int8-dynamic", "onnx-int8-static", "onnx-int4", "openvino-int8")
_FROM_TORCH = ("torch-aoti-int8-static", "torch-aoti-int8-dynamic", "executorch-int8")
SCHEMES = (*_FROM_ONNX, *_FROM_TORCH)
_BY_DEFAULT = ("onnx-int8-dynamic", "onnx-int8-static")


def parse_scheme(text: str) -> str:
    """One of `SCHEMES`."""
    if text not in SCHEMES:
        raise ValueError(f"one of: {', '.join(SCHEMES)}")
    return text


class Quantize(Tool):
    """Quantise the model, and keep only what proves that it pays.

    Each scheme is made from the newest ONNX file, or from the live module for AOTInductor and ExecuTorch. It is
    calibrated on some of the captured inputs, verified against the source model, and raced against the same form in
    full precision, all in one experiment. Told are the speed with its verdict, the size, what every output
    loses on inputs that were not used to calibrate, and the value of a metric of your own. A scheme that is slower
    here, wrong, or loses too much is named with its reason, and the build goes on with the form before it.
    """

    name = "quantize"
    kind = ToolKind.SEQUENCE
    progress = "Quantizing the model"
    measures = True
    reads = "the newest ONNX file of the build, the samples, the source model"
    writes = "a variant per scheme; verification and measurements in the state"
    example = "turnkey -i model.py discover export-pytorch quantize --metric metric.py:accuracy"
    arguments: ClassVar[tuple[Argument, ...]] = (
        Argument(
            flags=("--to",),
            arity=Arity.MANY,
            parse=parse_scheme,
            default=_BY_DEFAULT,
            metavar="SCHEME",
            help=f"Schemes: {', '.join(SCHEMES)}.",
        ),
        Argument(
            flags=("--calibration",),
            metavar="FILE.npz",
            default_text="half of the captured inputs",
            help="Inputs to calibrate with: an array per input, with one axis more in front.",
        ),
        Argument(
            flags=("--metric",),
            parse=parse_metric,
            metavar="SCRIPT.py:FUNCTION",
            help="function(outputs, references) to a number, more is better, or to a verdict (True: good enough).",
        ),
        Argument(
            flags=("--max-drop",),
            parse=tolerance,
            metavar="D",
            default_text="any drop is told, none refuses",
            help="Refuse what makes the metric fall by more than this.",
        ),
        Argument(
            flags=("--per-layer",),
            arity=Arity.FLAG,
            default=False,
            help="Tell what every layer adds to the loss, fed with right values.",
        ),
        Argument(
            flags=("--operators",),
            arity=Arity.MANY,
            default=(),
            metavar="OP",
            default_text="all that have an 8-bit form",
            help="Quantise these operator types only, such as MatMul Conv.",
        ),
        Argument(
            flags=("--exclude",),
            arity=Arity.MANY,
            default=(),
            metavar="NODE",
            help="Nodes that stay as they are.",
        ),
        Argument(
            flags=("--skip-benchmark",),
            arity=Arity.FLAG,
            default=False,
            help="Do not measure: nothing is said about speed, and nothing is chosen.",
        ),
        *MEASURING,
    )

    @classmethod
    def needs_live_model(cls, state: State, **arguments: Any) -> bool:
        """Layers are those of the live module, and some schemes start from it; outputs may have been kept."""
        wanted = bool(arguments.get("per_layer")) or not state.verification
        wanted = wanted or bool({*_FROM_TORCH} & {*(arguments.get("to") or ())})
        return wanted and all(variant.exporter != "loaded" for variant in state.variants)

    def run(self, state: State, **arguments: Any) -> State:
        """Quantise, verify, measure, choose.

        Raises:
            ConversionError: there is no ONNX file, or no scheme could be made at all.
            InputError: a calibration file or a metric that cannot be used.
            UsageError: a limit for the drop of a metric, and no metric.
        """
        from pathlib import Path

        from turnkey.pipeline.stored_source import source_of
        from turnkey.tools.calibration import calibrating, read_calibration, split
        from turnkey.tools.metric import load_metric
        from turnkey.tools.quantization import float_forms, judged, made, raced, with_layers
        from turnkey.tools.quantized import conclusions

        if arguments.get("max_drop") is not None and not arguments.get("metric"):
            raise UsageError(
                "--max-drop says how far a metric may fall, and there is none",
                remedy="quantize --metric SCRIPT.py:FUNCTION --max-drop D",
            )
        metric = load_metric(arguments["metric"]) if arguments.get("metric") else None
        source = source_of(state)
        captured = source.samples.inputs
        given = read_calibration(Path(arguments["calibration"]), captured[0]) if arguments.get("calibration") else ()
        calibration = split(captured, given=given)
        print(calibration.note, flush=True)

        schemes = tuple(arguments.get("to") or _BY_DEFAULT)
        state, bases = float_forms(state, source, schemes)
        settings = {
            "operators": list(arguments.get("operators") or ()),
            "exclude": list(arguments.get("exclude") or ()),
        }
        state, attempts = made(state, calibrating(source, calibration), schemes, bases, settings)
        if not any(attempt.key for attempt in attempts):
            error = ConversionError(
                "nothing could be quantised",
                evidence="\n".join(f"{attempt.scheme}: {attempt.refusal}" for attempt in attempts),
                remedy="the logs log_convert-*.txt of the build tell more",
            )
            error.state = state
            raise error
        state, attempts = judged(
            state, source, attempts, calibration, metric=metric, max_drop=arguments.get("max_drop")
        )
        if arguments.get("per_layer"):
            attempts = with_layers(state, source, attempts)
        measured = not arguments.get("skip_benchmark")
        if measured:
            state, attempts = raced(state, source, attempts, measuring_settings(state, arguments))
            print(state.listing, flush=True)  # of the race; what follows from it is shown
        told = conclusions(attempts, measured=measured)
        return _finished(state, attempts, [*told, calibration.note], before=bases["onnx"].key)


def _finished(state: State, attempts: tuple[Quantized, ...], told: list[str], *, before: str) -> State:
    """The build goes on with the fastest form that pays, else with the form before."""
    paying = [attempt for attempt in attempts if attempt.pays]
    best = max(paying, key=lambda attempt: attempt.speedup or 0.0, default=None)
    return replace(state, results=best.key if best is not None else before, listing="\n".join(told)).with_statistics(
        quantized=best.key if best is not None else "none",
        quantization=[attempt.to_dict() for attempt in attempts],
    )
