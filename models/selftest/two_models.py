#labels domain::selftest author::turnkey task::test
"""Two models in one script, one of them called twice: the last one with parameters is selected by itself."""

import torch

torch.manual_seed(0)
encoder = torch.nn.Sequential(torch.nn.Linear(10, 4), torch.nn.Tanh()).eval()
decoder = torch.nn.Linear(4, 10).eval()
for _ in range(2):
    hidden = encoder(torch.rand(3, 10))
decoder(hidden)
