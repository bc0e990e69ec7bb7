#labels domain::nlp author::google task::translation
"""T5 with random weights, two layers of width 128: encoder and decoder of text."""

import torch
from transformers_offline import build, inputs_for

from turnkey.parser import parse

batch_size, max_seq_length = parse(["batch_size", "max_seq_length"])

model = build("t5")
inputs = inputs_for(model, batch_size=batch_size, max_seq_length=max_seq_length)
with torch.no_grad():
    model(**inputs)
