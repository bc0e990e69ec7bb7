"""A super-resolution network, benchmarked by the decorator: python examples/lexer/super_resolution.py"""

import torch
from torch import nn

from turnkey.lexer.api.lexer_context import LexerContext
from turnkey.lexer.decorators.lexer import Lexer

lexer_context = LexerContext()


@Lexer(input_names=["input"], output_names=["output"])
class SuperResolutionNet(nn.Module):
    """Sub-pixel convolution (Shi et al. 2016), with random weights."""

    def __init__(self, upscale_factor: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 64, kernel_size=5, padding=2)
        self.conv2 = nn.Conv2d(64, 64, kernel_size=3, padding=1)
        self.conv3 = nn.Conv2d(64, 32, kernel_size=3, padding=1)
        self.conv4 = nn.Conv2d(32, upscale_factor**2, kernel_size=3, padding=1)
        self.pixel_shuffle = nn.PixelShuffle(upscale_factor)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.conv1(x))
        x = torch.relu(self.conv2(x))
        x = torch.relu(self.conv3(x))
        return self.pixel_shuffle(self.conv4(x))


if __name__ == "__main__":
    torch_model = SuperResolutionNet(upscale_factor=3)
    lexer_context.benchmark(torch_model, torch.randn(1, 1, 64, 64), num_iterations=100)
    lexer_context.flush(name="benchmark", target_directory=".")
