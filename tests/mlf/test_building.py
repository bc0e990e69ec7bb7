"""Building: once per content, whoever asks, and with no wider vectors than the tarball says."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import models
import numpy as np
import pytest
from changed_tarballs import files_without_sums

import turnkey.mlf as mlf
from turnkey.mlf.archive import Archive, pack
from turnkey.mlf.failures import MlfArtifactError
from turnkey.mlf.library import from_archive
from turnkey.mlf.toolchain import find_compiler

RACER = """
import sys
from pathlib import Path

import turnkey.mlf as mlf
from turnkey.mlf.building import build

module = mlf.load(sys.argv[1]).module()
print("ready", flush=True)
sys.stdin.readline()
print(build(module, cflags=("-O1", "-DRACE"), cache=Path(sys.argv[2])).from_cache)
"""


def test_two_processes_at_once_make_one_build(cnn_tar: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-c", RACER, str(cnn_tar), str(tmp_path)]
    racers = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    for racer in racers:
        assert racer.stdout is not None
        assert racer.stdout.readline() == "ready\n"
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("go\n")
        racer.stdin.flush()

    assert sorted(racer.communicate(timeout=120)[0] for racer in racers) == ["False\n", "True\n"]
    assert len([path for path in tmp_path.iterdir() if path.is_dir()]) == 1


def test_symbols_sections_and_stack_are_kept_with_the_library(cnn_tar: Path) -> None:
    module = mlf.load(cnn_tar).module()
    first, again = module.build().build, module.build().build
    assert again.from_cache
    assert (again.symbols, again.sections, again.call_graph) == (first.symbols, first.sections, first.call_graph)
    recorded = module.metadata.turnkey
    assert recorded["symbols"] == list(again.symbols or ())
    scratch_of_the_graph = {"TVMBackendAllocWorkspace", "TVMBackendFreeWorkspace"}
    assert {*recorded["symbols"]} <= {"memcpy", "memset", *scratch_of_the_graph}, "no heap, no mathematics"


@pytest.mark.needs("emx_onnx_cgen")
@pytest.mark.parametrize(("vector_bytes", "flag"), [(0, "vectorize"), (16, "=128"), (64, "")])
def test_vectors_are_no_wider_than_the_tarball_says(tmp_path: Path, vector_bytes: int, flag: str) -> None:
    if not find_compiler().target.startswith("x86_64"):
        pytest.skip("the flags are those of x86-64")
    path = tmp_path / "m.tar"
    mlf.export(models.model_of(models.MULTIPLY), path, name="m", vector_bytes=vector_bytes, compile=False)
    module = mlf.load(path).module()
    assert module.abi["vector_bytes"] == vector_bytes
    flags = " ".join(module.build().build.flags)
    assert (flag in flags) if flag else ("vector" not in flags)


@pytest.mark.needs("emx_onnx_cgen")
def test_a_tarball_of_objects_alone_links_and_runs(tmp_path: Path) -> None:
    path = tmp_path / "m.tar"
    mlf.export(models.model_of(models.MULTIPLY), path, name="m", objects=True, verify=False)
    files = files_without_sums(path)
    bare = {name: content for name, content in files.items() if not name.endswith((".c", ".h"))}
    x = np.ones((2, 3), np.float32)
    found = from_archive(Archive(path, bare)).module().run({"x": x})
    np.testing.assert_allclose(found["y"], mlf.load(path).module().run({"x": x})["y"], rtol=1e-6)
    nothing = {name: content for name, content in bare.items() if not name.endswith(".o")}
    with pytest.raises(MlfArtifactError, match="mlf-missing-part"):
        from_archive(Archive(path, nothing)).module().build()


FOREIGN = r"""
#include <stddef.h>
#include <stdint.h>
struct tvmgen_default_inputs { void *x; };
struct tvmgen_default_outputs { void *y; };
void *TVMBackendAllocWorkspace(int type, int id, uint64_t bytes, int code, int bits);
int TVMBackendFreeWorkspace(int type, int id, void *memory);
int32_t tvmgen_default_run(struct tvmgen_default_inputs *in, struct tvmgen_default_outputs *out);
int32_t tvmgen_default_run(struct tvmgen_default_inputs *in, struct tvmgen_default_outputs *out) {
  float *twice = (float *)TVMBackendAllocWorkspace(1, 0, 16, 2, 32);
  if (twice == NULL) return -1;
  for (int i = 0; i < 4; ++i) twice[i] = 2.0f * ((const float *)in->x)[i];
  for (int i = 0; i < 4; ++i) ((float *)out->y)[i] = twice[i] + 1.0f;
  return TVMBackendFreeWorkspace(1, 0, twice) == 0 ? 0 : -1;
}
"""


def test_a_foreign_tarball_that_asks_for_its_workspace_runs(tmp_path: Path) -> None:
    main = {
        "device": 1, "workspace_size_bytes": 16, "constants_size_bytes": 0, "io_size_bytes": 32,
        "inputs": {"x": {"size": 16, "dtype": "float32"}}, "outputs": {"y": {"size": 16, "dtype": "float32"}},
    }  # fmt: skip
    metadata = {
        "version": 7,
        "modules": {
            "default": {
                "model_name": "default", "style": "full-model", "target": ["c"], "executors": ["aot"],
                "export_datetime": "2022-01-01 00:00:00Z",
                "memory": {"functions": {"main": [main], "operator_functions": []}},
            }
        },
    }  # fmt: skip
    files = {"metadata.json": json.dumps(metadata).encode(), "codegen/host/src/default_lib0.c": FOREIGN.encode()}
    (tmp_path / "foreign.tar").write_bytes(pack(files, timestamp=0))
    module = mlf.load(tmp_path / "foreign.tar").module()
    found = module.run({"x": np.arange(4, dtype=np.float32)})
    np.testing.assert_array_equal(found["y"], [1, 3, 5, 7])
    other = from_archive(Archive(tmp_path, {**files, "codegen/host/src/default_lib0.c": b"int nothing;\n"})).module()
    with pytest.raises(MlfArtifactError, match="no ahead-of-time entry point"):
        other.run({"x": np.zeros(4, np.float32)})
