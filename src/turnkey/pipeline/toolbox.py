"""All tools by name: the built-in ones and those of other distributions (entry points ``turnkey.tools``)."""

from __future__ import annotations

from turnkey.errors import UsageError
from turnkey.pipeline.tool import Tool
from turnkey.plugins import PluginTable

# Text, not imports: tools stand on a higher floor, and one command must not import the modules of all tools.
TOOLS = PluginTable(
    group="turnkey.tools",
    noun="tool",
    builtin={
        "discover": "turnkey.tools.discover:Discover",
        "load-onnx": "turnkey.tools.load_onnx:LoadOnnx",
        "load-build": "turnkey.tools.load_build:LoadBuild",
        "export-pytorch": "turnkey.tools.export_pytorch:ExportPytorchModel",
        "convert": "turnkey.tools.convert:Convert",
        "optimize-ort": "turnkey.tools.optimize_ort:OptimizeOnnxModel",
        "convert-fp16": "turnkey.tools.convert_fp16:ConvertOnnxToFp16",
        "quantize": "turnkey.tools.quantize:Quantize",
        "optimize": "turnkey.tools.optimize:Optimize",
        "export-mlf": "turnkey.tools.export_mlf:ExportMlf",
        "load-mlf": "turnkey.tools.load_mlf:LoadMlf",
        "show-mlf": "turnkey.tools.show_mlf:ShowMlf",
        "tune-mlf": "turnkey.tools.tune_mlf:TuneMlf",
        "export-triton": "turnkey.navigator.triton_tool:ExportTriton",
        "verify-exporter": "turnkey.tools.verify_exporter:VerifyOnnxExporter",
        "verify": "turnkey.tools.verify:Verify",
        "benchmark": "turnkey.tools.benchmark:Benchmark",
        "profile": "turnkey.tools.profile:Profile",
        "explain": "turnkey.tools.explain:Explain",
        "version": "turnkey.tools.version:Version",
        "cache": "turnkey.tools.cache:Cache",
        "models-location": "turnkey.tools.models_location:ModelsLocation",
        "system-info": "turnkey.tools.system_info:SystemInfo",
        "doctor": "turnkey.tools.doctor:Doctor",
        "report": "turnkey.tools.report:Report",
        "compare": "turnkey.tools.compare:Compare",
        "gate": "turnkey.tools.gate:Gate",
        "history": "turnkey.tools.history:History",
        "lexer-benchmark": "turnkey.lexer.benchmark_tool:LexerBenchmark",
        "lexer": "turnkey.lexer.tool:LexerFiles",
        "package": "turnkey.navigator.tool:PackageTool",
        "completion": "turnkey.cli.completion:Completion",
    },
)


def find_tool(name: str) -> type[Tool]:
    """The class of a tool.

    Raises:
        UsageError: no tool has that name, or the plug-in of that name is not a tool.
    """
    found = TOOLS.load(name)
    if not (isinstance(found, type) and issubclass(found, Tool) and getattr(found, "name", None) == name):
        raise UsageError(
            f"the tool {name!r} of {TOOLS.distributions(name)[0]} is not a tool",
            evidence=f"its entry point leads to {found!r}, not to a subclass of Tool with the name {name!r}",
        )
    return found
