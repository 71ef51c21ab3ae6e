"""A convolutional residual network for Fashion-MNIST: a stem, equal blocks, a head.

    deeppcr-export-pytorch --end fashion_mnist_resnet.py:make_stem -o stem.pt
    deeppcr-export-pytorch --blocks fashion_mnist_resnet.py:make_blocks -o resnet.pt
    deeppcr-export-pytorch --end fashion_mnist_resnet.py:make_head -o head.pt

Environment: DEEPPCR_BLOCKS (18), DEEPPCR_CHANNELS (16), DEEPPCR_SEED (0).
"""
import os

import torch
from torch import nn

BLOCKS = int(os.environ.get("DEEPPCR_BLOCKS", "18"))
CHANNELS = int(os.environ.get("DEEPPCR_CHANNELS", "16"))
SEED = int(os.environ.get("DEEPPCR_SEED", "0"))
GROUPS = 4  # normalised over groups of channels of a sample: no sample sees another
SIDE = 14  # of a state, half an image's


class Block(nn.Module):
    """z + W2 relu(W1 relu(norm(z))); pre-activation, He et al., arXiv 1603.05027.

    Shapes: z [B, C, 14, 14]. W2 starts small, so that L blocks together change z by about as much as it is.
    """

    def __init__(self, channels: int, blocks: int):
        super().__init__()
        self.norm = nn.GroupNorm(GROUPS, channels)
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)
        with torch.no_grad():
            nn.init.kaiming_normal_(self.first.weight, nonlinearity="relu")
            nn.init.kaiming_normal_(self.second.weight, nonlinearity="relu")
            self.second.weight.mul_(blocks ** -0.5)
            self.first.bias.zero_()
            self.second.bias.zero_()

    def forward(self, z):
        return z + self.second(torch.relu(self.first(torch.relu(self.norm(z)))))


class Stem(nn.Module):
    """x [B, 1, 28, 28] to z [B, C, 14, 14]."""

    def __init__(self, channels: int):
        super().__init__()
        self.conv = nn.Conv2d(1, channels, 3, stride=2, padding=1)

    def forward(self, x):
        return self.conv(x)


class Head(nn.Module):
    """z [B, C, 14, 14] to logits [B, 10], of means over quarters of the image."""

    def __init__(self, channels: int):
        super().__init__()
        self.norm = nn.GroupNorm(GROUPS, channels)
        self.fc = nn.Linear(4 * channels, 10)

    def forward(self, z):
        return self.fc(torch.relu(self.norm(z)).unflatten(3, (2, 7)).unflatten(2, (2, 7)).mean(dim=(3, 5)).flatten(1))


def make_stem():
    torch.manual_seed(SEED)
    return Stem(CHANNELS), (1, 28, 28)


def make_blocks():
    torch.manual_seed(SEED + 1)
    return [Block(CHANNELS, BLOCKS) for _ in range(BLOCKS)], (CHANNELS, SIDE, SIDE)


def make_head():
    torch.manual_seed(SEED + 2)
    return Head(CHANNELS), (CHANNELS, SIDE, SIDE)
