#labels domain::selftest author::turnkey task::test
"""Token numbers and a mask by keyword, two outputs in a dictionary: an embedding under a transformer layer."""

import torch
from torch import nn

from turnkey.parser import parse

batch_size, max_seq_length = parse(["batch_size", "max_seq_length"])


class EncoderTestModel(nn.Module):
    def __init__(self, vocabulary: int, width: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, width)
        self.attention = nn.MultiheadAttention(width, 4, batch_first=True)
        self.norm = nn.LayerNorm(width)

    def forward(self, *, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> dict[str, torch.Tensor]:
        hidden = self.embedding(input_ids)
        attended, _ = self.attention(hidden, hidden, hidden, key_padding_mask=attention_mask == 0)
        hidden = self.norm(hidden + attended)
        return {"hidden": hidden, "pooled": torch.tanh(hidden[:, 0])}


torch.manual_seed(0)
model = EncoderTestModel(100, 32).eval()
shape = (batch_size, max_seq_length)
model(input_ids=torch.randint(0, 100, shape), attention_mask=torch.ones(shape, dtype=torch.long))
