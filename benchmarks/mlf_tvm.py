"""Our tarball read by Apache TVM itself: its reader of `.params`, its GraphExecutor over our graph and our kernels.

    python benchmarks/mlf_tvm.py                 # the newest TVM
    python benchmarks/mlf_tvm.py --tvm 0.25.0    # another one

The graph executor left TVM after version 0.18; a version that has none says so.
TVM is no dependency of Turnkey: each version is installed from the package index into an environment of its own below
a temporary directory, which is removed. The exit code is 1 if TVM reads or computes other values than we do.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

import numpy as np
import onnx.parser

ORACLE = Path(__file__).with_name("mlf_tvm_oracle.py")

MODEL = """
<ir_version: 8, opset_import: ["" : 17]>
oracle (float[1,3,16,16] image, bool[1,4] mask) => (float[1,4] scores, bool[1,4] kept)
<float[8,3,3,3] w, float[8] b, float[8,4] v>
{
  c = Conv<pads=[1,1,1,1]>(image, w, b)
  r = Relu(c)
  p = GlobalAveragePool(r)
  f = Flatten(p)
  scores = MatMul(f, v)
  kept = Not(mask)
}
"""


def made(directory: Path) -> None:
    """Tarball, parameters, graph, shared library, a sample and its outputs, as files for the oracle."""
    import turnkey.mlf as mlf

    model = onnx.parser.parse_model(MODEL)
    generator = np.random.default_rng(0)
    for value in model.graph.value_info:
        shape = [dim.dim_value for dim in value.type.tensor_type.shape.dim]
        values = np.asarray(generator.standard_normal(shape), np.float32)
        model.graph.initializer.append(onnx.numpy_helper.from_array(values, value.name))
    mlf.export(model, directory / "oracle.tar", name="oracle")
    library = mlf.load(directory / "oracle.tar")
    module = library.module()
    (directory / "oracle.params").write_bytes(library.archive.content("parameters/oracle.params"))
    (directory / "graph.json").write_bytes(library.archive.content("executor-config/graph/graph.json"))
    np.savez(directory / "parameters.npz", **module.parameters())
    runner = module.build()
    (directory / "module.so").write_bytes(runner.build.library.read_bytes())
    sample = {
        "image": generator.standard_normal((1, 3, 16, 16)).astype(np.float32),
        "mask": np.array([[True, False, True, True]]),
    }
    np.savez(directory / "sample.npz", **sample)
    outputs = runner.run(sample)
    np.savez(directory / "outputs.npz", **{f"{i}": outputs[t.name] for i, t in enumerate(module.outputs)})


def asked(version: str, directory: Path) -> dict[str, str]:
    """What one version of TVM says about the files: check to verdict."""
    place = directory / f"tvm-{version or 'newest'}"
    venv.create(place, with_pip=True)
    python = str(place / "bin/python")
    wanted = f"apache-tvm=={version}" if version else "apache-tvm"
    install = [
        python,
        "-m",
        "pip",
        "install",
        "-q",
        "--disable-pip-version-check",
        wanted,
        "numpy",
        "typing-extensions",
    ]
    if version:  # the older one was made for numpy 1
        install[-2] = "numpy<2"
    installed = subprocess.run(install, capture_output=True, text=True, check=False)
    if installed.returncode != 0:
        return {"installed": f"no: {installed.stderr.strip().splitlines()[-1][:200]}"}
    result = subprocess.run(
        [python, str(ORACLE), str(directory)], capture_output=True, text=True, check=False, cwd=directory
    )
    if result.returncode != 0:
        return {"ran": f"no: {(result.stderr.strip().splitlines() or ['nothing said'])[-1][:300]}"}
    answers: dict[str, str] = json.loads(result.stdout.splitlines()[-1])
    return answers


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tvm", nargs="+", default=[""], metavar="VERSION")
    arguments = parser.parse_args()
    good = False
    bad = False
    with tempfile.TemporaryDirectory(prefix="turnkey-tvm-") as name:
        directory = Path(name)
        made(directory)
        for version in arguments.tvm:
            for check, verdict in asked(version, directory).items():
                print(f"apache-tvm {version or 'newest'}: {check}: {verdict}")
                good |= verdict.startswith("equal")
                bad |= verdict.startswith("different")
    return 0 if good and not bad else 1


if __name__ == "__main__":
    sys.exit(main())
