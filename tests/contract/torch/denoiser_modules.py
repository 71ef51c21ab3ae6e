"""Denoising networks of 2 x 6 x 6 numbers: sound ones in each form that is taken, and broken ones."""
from typing import Dict, Optional, Tuple

import torch
from torch import nn

SHAPE, CLASSES, EMBEDDING = [2, 6, 6], 4, [3, 5]
HIDDEN = 8


class Net(nn.Module):
    """A residual block of convolutions that the time shifts."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(2, HIDDEN, 3, padding=1)
        self.norm = nn.GroupNorm(2, HIDDEN)
        self.time = nn.Linear(4, HIDDEN)
        self.last = nn.Conv2d(HIDDEN, 2, 3, padding=1)
        self.register_buffer("frequencies", torch.tensor([0.02, 0.3]))

    def of_time(self, t):
        angles = t.unsqueeze(1) * self.frequencies
        return self.time(torch.cat([torch.sin(angles), torch.cos(angles)], 1))

    def body(self, x, shift):
        h = nn.functional.silu(self.norm(self.first(x)) + shift.unsqueeze(2).unsqueeze(3))
        return 0.3 * x + self.last(h)

    def forward(self, x, t):
        return self.body(x, self.of_time(t))


class Tupled(Net):
    def forward(self, x, t):
        return (self.body(x, self.of_time(t)),)


class Named(Net):
    def forward(self, x, t):
        return {"sample": self.body(x, self.of_time(t))}


class InPlace(Net):
    def forward(self, x, t):
        shift = self.of_time(t)
        x *= 0.5
        t *= 2
        return self.body(x, shift)


class Optionally(Net):
    def forward(self, x, t, y: Optional[torch.Tensor] = None):
        shift = self.of_time(t)
        if y is not None:
            shift = shift + y
        return self.body(x, shift)


class Labelled(Net):
    """One class more than there are is that of no condition."""

    def __init__(self, rows=CLASSES + 1):
        super().__init__()
        self.table = nn.Embedding(rows, HIDDEN)

    def forward(self, x, t, y):
        return self.body(x, self.of_time(t) + self.table(y))


class Embedded(Net):
    def __init__(self):
        super().__init__()
        self.key = nn.Linear(EMBEDDING[1], HIDDEN)

    def forward(self, x, t, words):
        return self.body(x, self.of_time(t) + torch.tanh(self.key(words)).mean(1))


class Wrapped(nn.Module):
    """As files of chains hold their step."""

    def __init__(self, step):
        super().__init__()
        self.step = step


class NoForward(nn.Module):
    @torch.jit.export
    def denoise(self, x, t):
        return x * t.view(-1, 1, 1, 1)


class Attention(nn.Module):
    """A transformer's layer on 6 tokens of 12 numbers, whose fused form has no forward mode."""

    def __init__(self):
        super().__init__()
        self.time = nn.Linear(1, 12)
        self.layer = nn.TransformerEncoderLayer(12, 2, 16, dropout=0.1, batch_first=True)

    def forward(self, x, t):
        shift = self.time(torch.sin(0.1 * t.to(x.dtype)).unsqueeze(1)).unsqueeze(1)
        return self.layer(x.reshape(x.size(0), 6, 12) + shift).reshape(x.shape)


class Dropout(Net):
    def forward(self, x, t):
        return nn.functional.dropout(self.body(x, self.of_time(t)), 0.5, True)


class Counting(Net):
    def __init__(self):
        super().__init__()
        self.register_buffer("calls", torch.zeros(1))

    def forward(self, x, t):
        self.calls += 1.0
        return self.body(x, self.of_time(t)) + self.calls


class MixesSamples(Net):
    def forward(self, x, t):
        return self.body(x - x.mean(0, keepdim=True), self.of_time(t))


class LearningNorm(Net):
    def forward(self, x, t):
        return nn.functional.batch_norm(self.body(x, self.of_time(t)), None, None, training=True)


class OneTime(Net):
    def forward(self, x, t):
        return self.body(x, self.of_time(t[0:1]))


class LearnedVariance(Net):
    def forward(self, x, t):
        y = self.body(x, self.of_time(t))
        return torch.cat([y, torch.exp(y)], 1)


class Flat(Net):
    def forward(self, x, t):
        return self.body(x, self.of_time(t)).flatten(1)


class Pair(Net):
    def forward(self, x, t) -> Tuple[torch.Tensor, torch.Tensor]:
        return self.body(x, self.of_time(t)), x


class OtherName(Net):
    def forward(self, x, t) -> Dict[str, torch.Tensor]:
        return {"noise": self.body(x, self.of_time(t))}


class Halved(Net):
    def forward(self, x, t):
        return self.body(x, self.of_time(t)).to(torch.float32)


class NotANumber(Net):
    def forward(self, x, t):
        return torch.log(self.body(x, self.of_time(t)) - 100.0)


class Raises(Net):
    def forward(self, x, t):
        if x.shape[1] == 2:
            raise ValueError("the user's own words")
        return self.body(x, self.of_time(t))


class CutOff(Net):
    def forward(self, x, t):
        return self.body(x.detach(), self.of_time(t)) + 0.1 * x


class NumberAsTime(Net):
    def forward(self, x, t: float):
        return x * t


class StateAlone(Net):
    def forward(self, x):
        return self.last(self.first(x))


class FourArguments(Net):
    def forward(self, x, t, y, words):
        return self.body(x + words, self.of_time(t) + y)


class FewTimes(Net):
    def __init__(self):
        super().__init__()
        self.table = nn.Embedding(10, HIDDEN)

    def forward(self, x, t):
        return self.body(x, self.table(t))


class Decoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.up = nn.ConvTranspose2d(2, 3, 2, stride=2)

    def forward(self, z):
        return torch.tanh(self.up(z))


class NamedDecoder(Decoder):
    def forward(self, z):
        return {"sample": torch.tanh(self.up(z))}


class Summing(Decoder):
    def forward(self, z):
        return torch.tanh(self.up(z)).sum()
