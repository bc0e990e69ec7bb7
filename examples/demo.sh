#!/usr/bin/env bash
# Five networks on their way from script to verified, measured and reported model.
# Usage: examples/demo.sh [DIRECTORY]; needs `turnkey` on the PATH, writes below DIRECTORY (demo-output).
set -euo pipefail
cd "$(dirname "$0")/.."
output="${1:-demo-output}"

step() {
  printf '\n$ %s\n' "$*"
  "$@"
}

step turnkey version
step turnkey \
  -i models/timm/mobilenetv3_small.py models/timm/vit_tiny.py models/transformers/bert.py models/transformers/gpt2.py \
  examples/cli/onnx/sample.onnx \
  --cache-dir "$output/cache" \
  discover export-pytorch optimize-ort verify \
  benchmark --runtimes torch torch-compile onnxruntime --effort quick --iterations 400
step turnkey --cache-dir "$output/cache" report --output-dir "$output" --html
