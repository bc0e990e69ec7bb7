"""The C that leaves: header text, warnings, symbols, sanitizers, freestanding and cross builds."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import models
import numpy as np
import pytest
from changed_tarballs import planted

import turnkey.mlf as mlf
from turnkey.mlf.codegen.header import Interface, header_text
from turnkey.mlf.failures import MlfUsageError, MlfVerificationError
from turnkey.mlf.tensor import Tensor

pytestmark = pytest.mark.needs("emx_onnx_cgen")

ARM_GCC = "arm-linux-gnueabihf-gcc"
on_a_board = pytest.mark.needs("arm-none-eabi-gcc", "qemu-system-arm")

GOLDEN_HEADER = """\
#ifndef TVMGEN_KWS_H_
#define TVMGEN_KWS_H_
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/*!
 * \\brief Input tensor a_b size (in bytes) for TVM module "kws" 
 */
#define TVMGEN_KWS_A_B_SIZE 8
/*!
 * \\brief Output tensor y size (in bytes) for TVM module "kws" 
 */
#define TVMGEN_KWS_Y_SIZE 4
/*!
 * \\brief Input tensor pointers for TVM module "kws" 
 */
struct tvmgen_kws_inputs {
  void* a_b;
};

/*!
 * \\brief Output tensor pointers for TVM module "kws" 
 */
struct tvmgen_kws_outputs {
  void* y;
};

/*!
 * \\brief Workspace pool pointers for TVM module "kws" 
 */
struct tvmgen_kws_workspace_pools {
  void* workspace;
};

/*!
 * \\brief entrypoint function for TVM module "kws"
 * \\param inputs Input tensors for the module 
 * \\param outputs Output tensors for the module 
 * \\param workspace_pools Workspace memory pool pointers for the module 
 */
int32_t tvmgen_kws_run(
  struct tvmgen_kws_inputs* inputs,
  struct tvmgen_kws_outputs* outputs,
  struct tvmgen_kws_workspace_pools* workspace_pools
);
/*!
 * \\brief Workspace size for TVM module "kws" 
 */
#define TVMGEN_KWS_WORKSPACE_SIZE 64
/*!
 * \\brief workspace size for TVM module "kws" 
 */
#define TVMGEN_KWS_WORKSPACE_WORKSPACE_POOL_SIZE 64
/*!
 * \\brief Workspace alignment (in bytes) for TVM module "kws" 
 */
#define TVMGEN_KWS_WORKSPACE_ALIGNMENT 16
/* input a_b: float32[2] */
/* output y: int8[4] */

#ifdef __cplusplus
}
#endif

#endif // TVMGEN_KWS_H_
"""  # noqa: W291  (the format ends these lines with a blank)


@pytest.fixture
def unpacked(cnn_tar: Path, tmp_path: Path) -> Path:
    subprocess.run(["tar", "xf", str(cnn_tar), "-C", str(tmp_path)], check=True)
    return tmp_path


def compile_all(root: Path, *flags: str, cc: str = "gcc") -> list[Path]:
    """Each C unit compiled with warnings as errors; returns the objects."""
    objects = []
    for source in sorted((root / "codegen/host/src").glob("*.c")):
        target = root / f"{source.stem}.o"
        includes = [f"-I{root}/codegen/host/include", f"-I{root}/runtime/include"]
        subprocess.run([cc, "-c", str(source), "-o", str(target), *includes, *flags], check=True)
        objects.append(target)
    return objects


def test_the_header_has_the_wording_that_people_search_for() -> None:
    interface = Interface(
        module="kws",
        inputs=(Tensor(name="a.b", dtype="float32", shape=(2,)),),
        outputs=(Tensor(name="y", dtype="int8", shape=(4,)),),
        workspace="external",
        workspace_bytes=64,
        alignment=16,
    )
    assert header_text(interface) == GOLDEN_HEADER


@pytest.mark.parametrize("cc", [pytest.param(cc, marks=pytest.mark.needs(cc)) for cc in ("gcc", "clang")])
@pytest.mark.parametrize("standard", ["c99", "c11"])
def test_the_sources_compile_without_a_warning_in_pedantic_c(unpacked: Path, cc: str, standard: str) -> None:
    strict = (f"-std={standard}", "-Wall", "-Wextra", "-pedantic", "-Werror")
    compile_all(unpacked, *strict, cc=cc)
    runtime = unpacked / "runtime/src/turnkey_mlf.c"
    subprocess.run(
        [cc, "-c", str(runtime), "-o", str(unpacked / "r.o"), f"-I{unpacked}/runtime/include", *strict], check=True
    )


@pytest.mark.needs("gcc")
def test_the_documented_command_compiles_weights_that_lie_in_a_file(tmp_path: Path) -> None:
    model, tarball = models.model_of(models.MULTIPLY), tmp_path / "kws.tar"
    mlf.export(model, tarball, name="kws", constants="incbin", compile=False, verify=False)
    subprocess.run(["tar", "xf", "kws.tar"], cwd=tmp_path, check=True)
    pages = (Path(__file__).parents[2] / "docs/mlf.md", tmp_path / "runtime/README.md")
    documented, packed = (re.findall(r"^gcc (?:.*\\\n)*.*$", page.read_text(), re.M) for page in pages)
    assert documented == packed
    [command] = documented
    subprocess.run(["bash", "-euc", command], cwd=tmp_path, check=True)
    assert len(list(tmp_path.glob("*.o"))) == len(list(tmp_path.glob("codegen/host/src/*.c"))) > 0


@pytest.mark.needs("g++")
def test_the_header_compiles_as_cpp(unpacked: Path) -> None:
    program = unpacked / "use.cpp"
    program.write_text('#include "tvmgen_cnn.h"\nint main() { return tvmgen_cnn_run(0, 0, 0) == -1 ? 0 : 1; }\n')
    objects = [str(path) for path in compile_all(unpacked, "-DTVMGEN_NO_GRAPH")]
    flags = ["-std=c++17", "-Wall", "-Wextra", "-pedantic", "-Werror", f"-I{unpacked}/codegen/host/include"]
    subprocess.run(["g++", *flags, str(program), *objects, "-lm", "-o", str(unpacked / "use")], check=True)
    subprocess.run([str(unpacked / "use")], check=True)


def test_the_objects_need_no_heap_and_hold_no_mutable_data(unpacked: Path) -> None:
    objects = compile_all(unpacked, "-O2", "-DTVMGEN_NO_GRAPH")
    symbols = subprocess.run(["nm", *map(str, objects)], capture_output=True, text=True, check=True).stdout
    needed = set(re.findall(r" U (\w+)", symbols)) - set(re.findall(r" [TRD] (\w+)", symbols))
    assert needed <= {"expf", "memcpy", "memset", "fmaxf", "fminf", "_GLOBAL_OFFSET_TABLE_"}
    assert not re.findall(r" [dDbBC] (\w+)", symbols)
    foreign = [name for name in re.findall(r" [TDBR] (\w+)", symbols) if not name.startswith("tvmgen_cnn_")]
    assert not foreign


def test_the_code_links_freestanding_with_only_the_named_functions(unpacked: Path) -> None:
    objects = compile_all(unpacked, "-O2", "-ffreestanding", "-fno-stack-protector", "-fno-pic", "-DTVMGEN_NO_GRAPH")
    start = unpacked / "start.c"
    start.write_text(
        '#include <stddef.h>\n#include "tvmgen_cnn.h"\n'
        "float expf(float x) { return 1 + x; }\nfloat fmaxf(float a, float b) { return a > b ? a : b; }\n"
        "void *memcpy(void *t, const void *s, size_t n) { char *a = t; const char *b = s; while (n--) *a++ = *b++; "
        "return t; }\n"
        "void *memset(void *t, int v, size_t n) { char *a = t; while (n--) *a++ = (char)v; return t; }\n"
        "void _start(void) { tvmgen_cnn_run(NULL, NULL, NULL); for (;;) {} }\n"
    )
    flags = ["-ffreestanding", "-nostdlib", "-static", "-fno-builtin", "-O1", "-fno-pic", "-no-pie"]
    include = f"-I{unpacked}/codegen/host/include"
    command = ["gcc", *flags, include, str(start), *map(str, objects), "-o", str(unpacked / "bare")]
    subprocess.run(command, check=True)


def test_make_check_runs_the_samples_and_fails_on_a_changed_weight(unpacked: Path) -> None:
    host = unpacked / "templates/host"
    command = ["make", "-s", "-C", str(host), "check", "CFLAGS=-O1 -Wall -Wextra -Werror"]
    good = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "5 samples" in good.stdout, good.stderr
    unit = next(path for path in (unpacked / "codegen/host/src").glob("*.c") if "pool[" in path.read_text())
    rows = unit.read_text()
    first = rows.index('"', rows.index("TURNKEY_ALIGNED = {")) + 1
    unit.write_text(rows[:first] + rows[rows.index('"', first) :])  # the first weights become zero
    bad = subprocess.run(command, capture_output=True, text=True, check=False)
    assert bad.returncode != 0


def test_link_time_optimisation_changes_no_output(unpacked: Path) -> None:
    command = ["make", "-s", "-C", str(unpacked / "templates/host"), "check", "CFLAGS=-O3 -flto"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (result.returncode, "5 samples" in result.stdout) == (0, True), result.stderr


@pytest.mark.needs("cmake")
def test_cmake_builds_and_its_test_passes(unpacked: Path) -> None:
    build = unpacked / "build"
    for command in (
        ["cmake", "-S", str(unpacked / "templates/host"), "-B", str(build)],
        ["cmake", "--build", str(build)],
        ["ctest", "--test-dir", str(build)],
    ):
        subprocess.run(command, check=True, capture_output=True)


def test_the_registry_finds_every_function_and_calls_nothing_else(unpacked: Path) -> None:
    graph = mlf.load(unpacked).module().graph
    assert graph is not None
    functions = sorted({str(node.function) for node in graph.nodes if node.function not in (None, "__nop")})
    checks = "".join(f'  if (turnkey_mlf_find(m, "{name}", &f) != 0 || !f) return 1;\n' for name in functions)
    program = unpacked / "find.c"
    program.write_text(
        '#include "turnkey_mlf.h"\nint main(void) {\n  const TVMModule *m = TVMSystemLibEntryPoint();\n'
        f'  TVMBackendPackedCFunc f = NULL;\n{checks}  return turnkey_mlf_find(m, "no such", &f) == 0;\n}}\n'
    )
    objects = [str(path) for path in compile_all(unpacked)]
    command = ["gcc", f"-I{unpacked}/runtime/include", str(program), str(unpacked / "runtime/src/turnkey_mlf.c")]
    subprocess.run([*command, *objects, "-lm", "-o", str(unpacked / "find")], check=True)
    subprocess.run([str(unpacked / "find")], check=True)


def test_the_workspace_stack_of_the_runtime_is_last_in_first_out(unpacked: Path) -> None:
    program = unpacked / "stack.c"
    program.write_text(
        '#include "turnkey_mlf.h"\n#include <stdint.h>\nstatic uint8_t block[1024];\n'
        "const TVMModule *TVMSystemLibEntryPoint(void) { return NULL; }\n"
        "int main(void) {\n  void *a, *b;\n  turnkey_mlf_set_workspace(block, sizeof(block));\n"
        "  a = TVMBackendAllocWorkspace(1, 0, 100, 2, 8);\n  b = TVMBackendAllocWorkspace(1, 0, 100, 2, 8);\n"
        "  if (!a || !b || (uintptr_t)a % 64 || (uintptr_t)b % 64) return 1;\n"
        "  if (TVMBackendFreeWorkspace(1, 0, a) == 0) return 2;\n"
        "  if (TVMBackendFreeWorkspace(1, 0, b) != 0 || TVMBackendFreeWorkspace(1, 0, a) != 0) return 3;\n"
        "  if (TVMBackendAllocWorkspace(1, 0, 2000, 2, 8)) return 4;\n"
        "  return turnkey_mlf_workspace_high_water() == 0;\n}\n"
    )
    source = str(unpacked / "runtime/src/turnkey_mlf.c")
    flags = ["-fsanitize=address,undefined", "-fno-sanitize-recover", f"-I{unpacked}/runtime/include"]
    subprocess.run(["gcc", *flags, str(program), source, "-o", str(unpacked / "stack")], check=True)
    subprocess.run([str(unpacked / "stack")], check=True)


def test_sanitizers_stay_silent_and_see_a_planted_overrun(cnn_tar: Path) -> None:
    from turnkey.mlf.sanitized import run_sanitized

    sample = {"image": np.ones((1, 2, 8, 8), np.float32)}
    run_sanitized(mlf.load(cnn_tar).module(), [sample])
    call = "turnkey_row_softmax(in0 + 0, out0 + 0, 3)"
    with pytest.raises(MlfVerificationError):
        run_sanitized(planted(cnn_tar, call, call.replace("3)", "33)")), [sample])


@pytest.mark.needs(ARM_GCC, "qemu-arm")
def test_a_cross_build_for_arm_computes_the_same(unpacked: Path) -> None:
    host = unpacked / "templates/host"
    subprocess.run(["make", "-s", "-C", str(host), f"CC={ARM_GCC}", "CFLAGS=-O2 -static"], check=True)
    result = subprocess.run(
        ["qemu-arm", str(host / "main"), "--check", str(unpacked / "samples/cnn")],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "5 samples" in result.stdout


def _run_on_board(root: Path) -> None:
    result = subprocess.run(
        ["make", "-s", "-C", str(root / "templates/baremetal"), "run"],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert (result.returncode, "ok" in result.stdout + result.stderr) == (0, True), result.stderr[-2000:]


@on_a_board
def test_the_bare_metal_template_runs_on_an_emulated_cortex_m(unpacked: Path) -> None:
    _run_on_board(unpacked)


@on_a_board
def test_the_bare_metal_template_judges_halves_and_eight_bits_by_value(tmp_path: Path) -> None:
    mlf.export(models.model_of(models.NARROW), tmp_path / "narrow.tar", name="narrow")
    subprocess.run(["tar", "xf", "narrow.tar"], cwd=tmp_path, check=True)
    _run_on_board(tmp_path)


@on_a_board
def test_the_bare_metal_template_puts_a_pool_of_constants_into_flash(tmp_path: Path) -> None:
    mlf.export(models.model_of(models.MULTIPLY), tmp_path / "m.tar", name="m", constants="pool")
    subprocess.run(["tar", "xf", "m.tar"], cwd=tmp_path, check=True)
    _run_on_board(tmp_path)


@on_a_board
def test_the_bare_metal_template_builds_every_module_and_checks_the_first(tmp_path: Path) -> None:
    for name in ("first", "second"):
        mlf.export(models.model_of(models.MULTIPLY), tmp_path / f"{name}.tar", name=name, constants="incbin")
    mlf.merge([tmp_path / "first.tar", tmp_path / "second.tar"], tmp_path / "both.tar")
    subprocess.run(["tar", "xf", "both.tar"], cwd=tmp_path, check=True)
    _run_on_board(tmp_path)


@pytest.mark.needs(ARM_GCC)
def test_sizes_are_the_cross_compilers_and_numbers_are_checked_here(tmp_path: Path) -> None:
    path = tmp_path / "m.tar"
    made = mlf.export(models.model_of(models.MULTIPLY), path, name="m", cc=ARM_GCC, target="arm-linux-gnueabihf")
    module = mlf.load(path).module()
    facts = module.metadata.turnkey
    assert facts["compiler"]["target"] == "arm-linux-gnueabihf"
    assert facts["stack"].keys() == {"static_bytes"}  # what a run touched here says nothing about the device
    assert made.verify["m"].samples == 5
    with pytest.raises(MlfUsageError, match="cannot run here"):
        module.build(cc=ARM_GCC)


@pytest.mark.needs(ARM_GCC)
def test_without_a_compiler_for_this_machine_nothing_is_run_and_it_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CC", ARM_GCC)
    said: list[str] = []
    made = mlf.export(
        models.model_of(models.MULTIPLY), tmp_path / "m.tar", name="m", listen=lambda _, text, __: said.append(text)
    )
    assert not made.verify
    assert any("nothing was run" in text for text in said)


@pytest.mark.needs(ARM_GCC)
def test_objects_are_packed_for_the_named_compiler(tmp_path: Path) -> None:
    mlf.export(
        models.model_of(models.MULTIPLY), tmp_path / "o.tar", name="o", objects=True, cc=ARM_GCC, compile=False,
        target="arm-linux-gnueabihf",
    )  # fmt: skip
    library = mlf.load(tmp_path / "o.tar")
    content = library.archive.content("codegen/host/lib/o_lib0.o")
    assert content[:4] == b"\x7fELF"
    assert content[18:20] == b"\x28\x00"  # EM_ARM
    assert library.module().metadata.targets == ("c -keys=cpu -mtriple=arm-linux-gnueabihf",)
