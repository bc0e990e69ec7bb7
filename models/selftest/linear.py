#labels domain::selftest author::turnkey task::test
"""The smallest network: one linear layer."""

import torch

from turnkey.parser import parse

batch_size = parse(["batch_size"])


class LinearTestModel(torch.nn.Module):
    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__()
        self.fc = torch.nn.Linear(in_features, out_features)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(x)


torch.manual_seed(0)
model = LinearTestModel(10, 5).eval()
model(torch.rand(batch_size, 10))
