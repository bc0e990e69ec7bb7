#labels domain::multimodal author::openai task::image_text_matching
"""CLIP with random weights, two layers of width 128: images and texts in one space."""

import torch
from transformers_offline import build, inputs_for

from turnkey.parser import parse

batch_size, max_seq_length = parse(["batch_size", "max_seq_length"])

model = build("clip")
inputs = inputs_for(model, batch_size=batch_size, max_seq_length=max_seq_length)
with torch.no_grad():
    model(**inputs)
