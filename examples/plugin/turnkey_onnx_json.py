"""A format, ONNX files as JSON, and a runtime that executes them with onnx's reference evaluator."""

from turnkey.formats import Conversion
from turnkey.formats.format import NoSettings


class OnnxJson:
    name = stored_as = "onnx-json"
    converts_from = ("onnx",)
    suffix = ".json"
    requires = ("onnx",)
    install = "pip install onnx"
    settings_type = NoSettings

    def convert(self, request):
        import onnx  # where it is needed: looking at all formats imports every module, and must stay fast
        from google.protobuf import json_format

        request.path.parent.mkdir(parents=True, exist_ok=True)
        request.path.write_text(json_format.MessageToJson(onnx.load(request.parent)))
        return Conversion(path=request.path, exporter="protobuf")


class OnnxJsonRunner:
    def __init__(self, evaluator):
        self.run = lambda feed: evaluator.run(None, feed)  # what is timed
        self.prepare = dict  # a sample is a mapping of names to arrays already
        self.outputs = lambda result: dict(zip(evaluator.output_names, result, strict=True))
        self.close = lambda: None

    def describe(self):
        return {"runtime_version": "1.0", "device": "cpu", "placement": {}, "fallback": None, "notes": []}


class OnnxJsonRuntime:
    name, aliases, executes, devices = "onnx-json", (), ("onnx-json",), ("cpu",)
    requires, install, compiles = ("onnx",), "pip install onnx", False

    def load(self, request):
        import onnx
        from google.protobuf import json_format
        from onnx.reference import ReferenceEvaluator

        return OnnxJsonRunner(ReferenceEvaluator(json_format.Parse(request.path.read_text(), onnx.ModelProto())))


FORMAT, RUNTIME = OnnxJson(), OnnxJsonRuntime()
