#labels domain::selftest author::turnkey task::test,Computer_Vision
"""A small convolutional network with batch normalisation."""

import torch
from torch import nn

from turnkey.parser import parse

batch_size = parse(["batch_size"])

torch.manual_seed(0)
model = nn.Sequential(
    nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(),
    nn.Conv2d(8, 16, 3, stride=2, padding=1), nn.ReLU(),
    nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 10),
).eval()  # fmt: skip
model(torch.rand(batch_size, 3, 32, 32))
