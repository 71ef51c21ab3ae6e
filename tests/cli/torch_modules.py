"""TorchScript files for tests of --model torch, by torch.jit alone, and what PyTorch's own loop over them gives.

Imported before torch: where PyTorch or the plug-in is missing the test that imports it is skipped.
"""
import json
import sys

from program import run

try:
    import torch
    from torch import nn
except ImportError:
    print("skipped: no python3-torch here")
    sys.exit(77)

if "has no plug-in" in run("check", "--model", "torch", "--module", "none.pt", ranks=1).err:
    print("skipped: the plug-in of --model torch is not built here")
    sys.exit(77)


class Gated(nn.Module):
    """n numbers, a gate between the old state and a new one: it forgets."""

    def __init__(self, n):
        super().__init__()
        self.candidate = nn.Linear(n, n)
        self.gate = nn.Linear(n, n)

    def forward(self, z):
        u = torch.sigmoid(self.gate(z))
        return u * z + (1 - u) * torch.tanh(self.candidate(z))


class ConvBlock(nn.Module):
    """A residual block of C x 5 x 5 with normalisation in evaluation mode."""

    def __init__(self, channels):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)
        self.norm = nn.BatchNorm2d(channels)
        self.norm.running_mean.normal_(0, 0.3)  # as after a training: other ones in each block
        self.norm.running_var.uniform_(0.5, 2)

    def forward(self, z):
        return z + 0.3 * torch.relu(self.norm(self.conv(z)))


class Attention(nn.Module):
    """A transformer's layer on 3 tokens of 8 numbers."""

    def __init__(self):
        super().__init__()
        self.layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.1, batch_first=True)

    def forward(self, z):
        return 0.5 * z + 0.5 * self.layer(z)


class Denoiser(nn.Module):
    """Shared by all steps; l is the number of the step, one a sample."""

    def __init__(self, n):
        super().__init__()
        self.fc = nn.Linear(n, n)

    def forward(self, z, l):
        return 0.9 * z + 0.1 * torch.tanh(self.fc(z) + torch.sin(l.to(z.dtype)).unsqueeze(1))


class Cell(nn.Module):
    """PyTorch's own recurrent cell; x is the input of the step."""

    def __init__(self, d, n):
        super().__init__()
        self.cell = nn.GRUCell(d, n)

    def forward(self, z, x):
        return self.cell(x, z)


class Shared(nn.Module):
    def __init__(self, step):
        super().__init__()
        self.step = step


class Stacked(nn.Module):
    """One step and, for each of its parameters, a buffer with those of all steps."""

    def __init__(self, steps):
        super().__init__()
        self.step = steps[0]
        tensors = steps[0].state_dict(keep_vars=True)
        self.names = [name for name, tensor in tensors.items() if tensor.is_floating_point()]
        self.buffers = [name for name in self.names if not isinstance(tensors[name], nn.Parameter)]
        for i, name in enumerate(self.names):
            rows = [step.state_dict()[name] for step in steps]
            self.register_buffer(f"stack{i}", torch.stack(rows))


def save(module, path, **about):
    """Writes a file of the layout that apps/MODULE_FILE.md says."""
    extra = {"deeppcr.json": json.dumps({"format": 1, **about})}
    scripted = module if isinstance(module, torch.jit.ScriptModule) else torch.jit.script(module.eval())
    scripted.save(str(path), _extra_files=extra)


def save_shared(step, path, shape, **about):
    save(Shared(step), path, shape=shape, shared=True, **about)


def save_stacked(steps, path, shape, **about):
    stacked = Stacked([step.eval() for step in steps])
    names, buffers = stacked.names, stacked.buffers
    del stacked.names, stacked.buffers
    save(stacked, path, shape=shape, shared=False, steps=len(steps), stacks=names, buffers=buffers, **about)


def walk(steps, z, inputs=None):
    """The states after each step; `inputs` [B, L, ..]."""
    states = []
    for l, step in enumerate(steps):
        if inputs is None:
            z = step(z)
        else:
            z = step(z, inputs[:, l])
        states.append(z)
    return states
