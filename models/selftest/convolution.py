#labels domain::selftest author::turnkey task::test,Computer_Vision
"""A small convolutional network with batch normalisation."""

import argparse

import torch
from torch import nn

parser = argparse.ArgumentParser()
parser.add_argument("--batch_size", type=int, default=1)
arguments, _ = parser.parse_known_args()

torch.manual_seed(0)
model = nn.Sequential(
    nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(),
    nn.Conv2d(8, 16, 3, stride=2, padding=1), nn.ReLU(),
    nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 10),
).eval()  # fmt: skip
model(torch.rand(arguments.batch_size, 3, 32, 32))
