#labels domain::vision author::google task::Computer_Vision,image_classification
"""ViT with random weights, two layers of width 128: an encoder of images."""

import torch
from transformers_offline import build, inputs_for

from turnkey.parser import parse

batch_size, max_seq_length = parse(["batch_size", "max_seq_length"])

model = build("vit")
inputs = inputs_for(model, batch_size=batch_size, max_seq_length=max_seq_length)
with torch.no_grad():
    model(**inputs)
