#labels author::huggingface
"""Any transformers architecture by its ``model_type``, with random weights, small by default.

    turnkey -i models/transformers/any.py discover --script-args="--arch bert --batch_size 4"
"""

import argparse

import torch
from transformers_offline import build, inputs_for

parser = argparse.ArgumentParser(description="one call of a transformers architecture with random weights")
parser.add_argument("--arch", default="bert", help="a model_type of transformers: bert, gpt2, vit, t5, whisper …")
parser.add_argument("--batch_size", type=int, default=1)
parser.add_argument("--max_seq_length", type=int, default=32)
parser.add_argument("--layers", type=int, default=2, help="layers of the encoder and of the decoder")
parser.add_argument("--hidden_size", type=int, default=128, help="width, a multiple of 32")
parser.add_argument("--full", action="store_true", help="the real size in every respect")
arguments, _ = parser.parse_known_args()

model = build(arguments.arch, layers=arguments.layers, hidden_size=arguments.hidden_size, full=arguments.full)
inputs = inputs_for(model, batch_size=arguments.batch_size, max_seq_length=arguments.max_seq_length)
with torch.no_grad():
    model(**inputs)
