#labels domain::vision author::timm task::Computer_Vision
"""Any timm architecture by its name, with random weights.

    turnkey -i models/timm/any.py discover --script-args="--arch resnet18 --batch_size 4"
"""

import argparse

import torch
from timm_offline import build, image_size

parser = argparse.ArgumentParser(description="one call of a timm architecture with random weights")
parser.add_argument("--arch", default="resnet18", help="a name of timm.list_models()")
parser.add_argument("--batch_size", type=int, default=1)
parser.add_argument("--layers", type=int, default=None, help="blocks per stage; the architecture's own by default")
parser.add_argument("--hidden_size", type=int, default=None, help="width; the architecture's own by default")
arguments, _ = parser.parse_known_args()

model = build(arguments.arch, layers=arguments.layers, hidden_size=arguments.hidden_size)
images = torch.rand((arguments.batch_size, *image_size(model)), generator=torch.Generator().manual_seed(2)) * 2 - 1
with torch.no_grad():
    model(images)
