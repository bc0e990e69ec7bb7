#labels domain::vision author::timm task::Computer_Vision,image_classification
"""ConvNeXt-Atto of timm with random weights: a modern convolutional network, 3.7 million parameters."""

import argparse

import torch
from timm_offline import build, image_size

parser = argparse.ArgumentParser()
parser.add_argument("--batch_size", type=int, default=1)
arguments, _ = parser.parse_known_args()

model = build("convnext_atto")
images = torch.rand((arguments.batch_size, *image_size(model)), generator=torch.Generator().manual_seed(2)) * 2 - 1
with torch.no_grad():
    model(images)
