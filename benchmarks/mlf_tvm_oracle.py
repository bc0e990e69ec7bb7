"""What Apache TVM makes of our files; run by `mlf_tvm.py` in an environment that holds TVM and not Turnkey.

Prints one JSON object: check to verdict, which begins with ``equal``, ``different`` or ``not possible``.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import tvm


def parameters(directory: Path) -> dict[str, str]:
    """TVM's reader against our values, and its writer against our bytes."""
    content = (directory / "oracle.params").read_bytes()
    expected = dict(np.load(directory / "parameters.npz"))
    found = tvm.runtime.load_param_dict(content)
    read = {name: array.numpy() if hasattr(array, "numpy") else array.asnumpy() for name, array in found.items()}
    same = read.keys() == expected.keys() and all(
        read[name].dtype == array.dtype and np.array_equal(read[name], array) for name, array in expected.items()
    )
    verdicts = {f"{tvm.__version__} reads .params": f"equal: {len(read)} arrays" if same else f"different: {read}"}
    written = bytes(tvm.runtime.save_param_dict({name: found[name] for name in expected}))
    verdicts["writes .params"] = "equal: the same bytes" if written == content else "different bytes"
    return verdicts


def graph(directory: Path) -> dict[str, str]:
    """TVM's graph executor over our graph, our parameters and our compiled kernels."""
    try:
        from tvm.contrib import graph_executor
    except ImportError as error:
        return {"graph executor": f"not possible: this version has none ({error})"}
    library = tvm.runtime.load_module(str(directory / "module.so"))
    text = (directory / "graph.json").read_text()
    executor = graph_executor.create(text, library, tvm.cpu())
    executor.load_params((directory / "oracle.params").read_bytes())
    for name, array in np.load(directory / "sample.npz").items():
        executor.set_input(name, tvm.nd.array(array))
    executor.run()
    verdicts = {}
    for index, expected in np.load(directory / "outputs.npz").items():
        actual = executor.get_output(int(index)).numpy()
        same = actual.dtype == expected.dtype and actual.tobytes() == expected.tobytes()
        verdicts[f"graph executor, output {index}"] = "equal: bit for bit" if same else f"different: {actual}"
    return verdicts


def main() -> None:
    directory = Path(sys.argv[1])
    print(json.dumps({**parameters(directory), **graph(directory)}))


if __name__ == "__main__":
    main()
