#labels domain::selftest author::turnkey task::test
"""Two linear layers with a nonlinearity between them."""

import torch

from turnkey.parser import parse

batch_size = parse(["batch_size"])


class TwoLayerTestModel(torch.nn.Module):
    def __init__(self, in_features: int, hidden_size: int, out_features: int) -> None:
        super().__init__()
        self.first = torch.nn.Linear(in_features, hidden_size)
        self.second = torch.nn.Linear(hidden_size, out_features)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.second(torch.relu(self.first(x)))


torch.manual_seed(0)
model = TwoLayerTestModel(10, 20, 5).eval()
model(torch.rand(batch_size, 10))
