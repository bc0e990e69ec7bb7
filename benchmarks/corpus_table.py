"""What becomes of real architectures: discover, export, verify, benchmark; written to docs/corpus.md.

    python benchmarks/corpus_table.py                     # all, or what is missing of them
    python benchmarks/corpus_table.py --only bert t5      # some, again
    python benchmarks/corpus_table.py --table-only        # the page from what is there
    python benchmarks/corpus_table.py --place DIR --runtimes torch onnxruntime   # elsewhere, for a report; no page

Networks have random weights and are small (two layers of width 128 where the configuration allows it, small inputs for
timm), since what is shown is whether they survive, not how fast they are. One result per architecture is written to
``.benchmarks/corpus/<library>-<name>.json`` as soon as it is there, so that an interrupted run goes on where it was.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import turnkey

REPOSITORY = Path(__file__).parents[1]
RESULTS = REPOSITORY / ".benchmarks" / "corpus"
PAGE = REPOSITORY / "docs" / "corpus.md"
STEPS = ("discover", "export-pytorch", "verify", "benchmark")


class Architecture(NamedTuple):
    """One row: ``arguments`` go to the library's script beside ``--arch``."""

    library: str
    name: str
    family: str
    arguments: str = ""

    def result(self, place: Path) -> Path:
        return place / f"{self.library}-{self.name}.json"


TIMM = (
    ("resnet18", "ResNet"), ("resnet10t", "ResNet"), ("mobilenetv2_050", "MobileNet"),
    ("mobilenetv3_small_050", "MobileNet"), ("efficientnet_b0", "EfficientNet"), ("ghostnet_050", "GhostNet"),
    ("regnetx_002", "RegNet"), ("convnext_atto", "ConvNeXt"), ("convnextv2_atto", "ConvNeXt"),
    ("vit_tiny_patch16_224", "ViT", "--layers 2"), ("deit_tiny_patch16_224", "ViT", "--layers 2"),
    ("mixer_s32_224", "MLP-Mixer"), ("swin_tiny_patch4_window7_224", "Swin", "--layers 1"),
    ("levit_128s", "LeViT"), ("mobilevit_xxs", "MobileViT"), ("repvgg_a0", "RepVGG"),
)  # fmt: skip
TRANSFORMERS = (
    ("bert", "BERT"), ("roberta", "BERT"), ("distilbert", "BERT"), ("albert", "ALBERT"), ("electra", "ELECTRA"),
    ("deberta-v2", "DeBERTa"), ("xlnet", "XLNet"), ("fnet", "FNet"), ("gpt2", "GPT"), ("gpt_neox", "GPT"),
    ("bloom", "BLOOM"), ("opt", "OPT"), ("llama", "Llama"), ("mistral", "Llama"), ("gemma", "Gemma"),
    ("qwen2", "Qwen"), ("mamba", "Mamba"), ("t5", "T5"), ("bart", "BART"), ("marian", "BART"), ("vit", "ViT"),
    ("dinov2", "ViT"), ("segformer", "SegFormer"), ("clip", "CLIP"), ("wav2vec2", "wav2vec 2.0"),
    ("hubert", "wav2vec 2.0"), ("whisper", "Whisper"), ("audio-spectrogram-transformer", "AST"),
)  # fmt: skip
ARCHITECTURES = (
    *(Architecture("timm", *row) for row in TIMM),
    *(Architecture("transformers", *row) for row in TRANSFORMERS),
)

REMARKS: dict[str, str] = {
    "levit_128s": (
        "ill-conditioned with random weights: a relative change of 1e-6 of the input moves PyTorch's outputs by 1 % "
        "of the largest. `verify` compares with the float64 result, from which the file is no farther than PyTorch's "
        "own float32 result."
    ),
}
"""What a reader must know of an architecture's row, where the row or the message alone does not say."""


def run(architecture: Architecture, *, cache: Path, runtimes: list[str], threads: int | None) -> dict[str, Any]:
    """One architecture through all steps; what came of it as plain data.

    All run in this process, since importing the libraries and warming the exporter up costs more than a network.
    """
    [result] = turnkey.evaluate_files(
        REPOSITORY / "models" / architecture.library / "any.py",
        [
            ("discover", {"script_args": f"--arch {architecture.name} {architecture.arguments}"}),
            "export-pytorch",
            "verify",
            ("benchmark", {"runtimes": runtimes, "effort": "quick", "threads": threads}),
        ],
        cache_dir=cache / f"{architecture.library}-{architecture.name}",
        lean_cache=True,
    )
    statistics = result.state.statistics if result.state else {}
    return {
        "status": result.status,
        "seconds": result.seconds,
        "steps": {step: statistics.get(f"tool_status:{step}", "not_started") for step in STEPS},
        "reason": result.reason,
        "error": result.error.to_dict() if result.error else None,
        **{
            key: statistics.get(key)
            for key in ("class", "parameters", "hash_basis", "exporter", "verify_max_abs", "verify_status")
        },
    }


def page(found: dict[Architecture, dict[str, Any]]) -> str:
    """The Markdown of docs/corpus.md."""
    successful = [item for item in found.values() if item["status"] == "successful"]
    families = {architecture.family for architecture in found}
    packages = ("torch", "onnx", "onnxruntime", "onnxscript", "timm", "transformers")
    lines = [
        "# What becomes of real architectures",
        "",
        "Written by `benchmarks/corpus_table.py`. Random weights; small configurations where the architecture has",
        "any: the table shows what survives, not how fast it is. The export is `export-pytorch` with its default",
        "exporter chain, `verify` compares on the captured input and on other batch sizes, `benchmark` is ONNX",
        "Runtime at `--effort quick`.",
        "",
        f"**{len(successful)} of {len(found)}** architectures of {len(families)} families go all the way. Versions: "
        + ", ".join(f"{package} {version(package).partition('+')[0]}" for package in packages)
        + ".",
        "",
        "| library | architecture | family | parameters | discover | export (by) | verify (error) | benchmark |",
        "|---|---|---|---:|---|---|---|---|",
    ]
    for architecture, item in found.items():
        steps = {step: "yes" if status == "successful" else status for step, status in item["steps"].items()}
        exporter = f" ({item['exporter']})" if item["exporter"] and steps["export-pytorch"] == "yes" else ""
        error = item["verify_max_abs"]
        size = "" if item["parameters"] is None else f"{item['parameters']:,}"
        verified = steps["verify"] + (f" ({error:.1e})" if error is not None else "")
        lines.append(
            f"| {architecture.library} | {architecture.name} | {architecture.family} | {size} | {steps['discover']} "
            f"| {steps['export-pytorch']}{exporter} | {verified} | {steps['benchmark']} |"
        )
    failures = {key: item for key, item in found.items() if item["status"] != "successful"}
    if failures:
        lines += ["", "## What failed, and why", ""]
        lines += [line for key, item in failures.items() for line in _failure(key, item)]
    remarks = [f"- **{key.name}**: {REMARKS[key.name]}" for key in found if key.name in REMARKS]
    lines += ["", "## Remarks", "", *remarks] if remarks else []
    exporters = Counter(item["exporter"] for item in successful if item["exporter"])
    lines += ["", f"Exporters of those that went through: {', '.join(f'{n} {e}' for e, n in exporters.items())}."]
    return "\n".join(lines) + "\n"


def _failure(architecture: Architecture, item: dict[str, Any]) -> Iterable[str]:
    step = next((step for step, status in item["steps"].items() if status != "successful"), "discover")
    error = item["error"] or {}
    evidence = " ".join(str(error.get("evidence") or "").split())[:400]
    yield f"- **{architecture.name}**, {step}: {error.get('what') or item['reason']}"
    if evidence:
        yield f"  Evidence: `{evidence.replace('`', chr(39))}`"


def main() -> None:
    parser = argparse.ArgumentParser(description="real architectures through the main job, as a table")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="these, also where a result is there already")
    parser.add_argument("--runtimes", nargs="+", default=["onnxruntime"], metavar="NAME", help="what is measured")
    parser.add_argument("--threads", type=int, help="of every runtime; by default the fair number")
    parser.add_argument("--place", type=Path, default=RESULTS, help="results and caches; elsewhere no page is written")
    parser.add_argument("--table-only", action="store_true", help="write the page, run nothing")
    arguments = parser.parse_args()
    place = arguments.place.absolute()
    place.mkdir(parents=True, exist_ok=True)
    wanted = [item for item in ARCHITECTURES if arguments.only is None or item.name in arguments.only]
    for architecture in () if arguments.table_only else wanted:
        if architecture.result(place).exists() and arguments.only is None:
            continue
        found = run(architecture, cache=place / "cache", runtimes=arguments.runtimes, threads=arguments.threads)
        architecture.result(place).write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
        print(f"{architecture.library}/{architecture.name}: {found['status']} ({found['seconds']:.0f} s)", flush=True)
    if place != RESULTS:
        return
    there = [item for item in ARCHITECTURES if item.result(RESULTS).exists()]
    found_all = {item: json.loads(item.result(RESULTS).read_text("utf-8")) for item in there}
    PAGE.write_text(page(found_all), encoding="utf-8")
    print(f"{len(there)} of {len(ARCHITECTURES)} architectures in {PAGE.relative_to(REPOSITORY)}")


if __name__ == "__main__":
    main()
