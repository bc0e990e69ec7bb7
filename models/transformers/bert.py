#labels domain::nlp author::google task::text_encoding
"""BERT with random weights, two layers of width 128: a text encoder.

``--full`` builds it in its real size.
"""

import argparse

import torch
from transformers_offline import build, inputs_for

parser = argparse.ArgumentParser()
parser.add_argument("--batch_size", type=int, default=1)
parser.add_argument("--max_seq_length", type=int, default=32)
parser.add_argument("--full", action="store_true")
arguments, _ = parser.parse_known_args()

model = build("bert", full=arguments.full)
inputs = inputs_for(model, batch_size=arguments.batch_size, max_seq_length=arguments.max_seq_length)
with torch.no_grad():
    model(**inputs)
