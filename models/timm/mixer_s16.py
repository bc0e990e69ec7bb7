#labels domain::vision author::timm task::Computer_Vision,image_classification
"""MLP-Mixer of timm with random weights; its zero-initialised head is woken: 18.5 million parameters."""

import torch
from timm_offline import build, image_size

from turnkey.parser import parse

batch_size = parse(["batch_size"])

model = build("mixer_s16_224")
images = torch.rand((batch_size, *image_size(model)), generator=torch.Generator().manual_seed(2)) * 2 - 1
with torch.no_grad():
    model(images)
