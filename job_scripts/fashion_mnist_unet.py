#!/usr/bin/python3
"""A small U-Net that denoises Fashion-MNIST images, for samplers in pixel space, and its training.

    fashion_mnist_unet.py train FOLDER --hours 1     trains into FOLDER/checkpoint.pt; goes on where it was stopped
    fashion_mnist_unet.py sample FOLDER -o out.png   draws each class by DDIM with 50 steps and by DDPM with 1000
    fashion_mnist_unet.py files FOLDER               writes the noise schedule, and mean and variance of the images
    deeppcr-export-pytorch --denoiser fashion_mnist_unet.py:make_denoiser -o fashion_mnist_unet.pt

Environment: DEEPPCR_UNET (FOLDER for make_denoiser), DEEPPCR_DATA (fashion-mnist or the folder that has it).

Denoising: Ho et al., arXiv 2006.11239. Guidance without a classifier: Ho and Salimans, arXiv 2207.12598.
"""
import argparse
import gzip
import json
import math
import os
import time
from pathlib import Path

import h5py
import matplotlib.image
import numpy as np
import torch
from torch import nn
from torch.nn import functional

ROOT = Path(__file__).resolve().parents[1]
TIMES = 1000
CLASSES = 10
NO_CLASS = 10  # the label that stands for none
NO_CLASS_SHARE = 0.1  # of the training images
CHANNELS = (32, 64)  # at 14 x 14 and 7 x 7
EMBEDDING = 128
GROUPS = 8
SCHEDULER = {"_class_name": "DDPMScheduler", "num_train_timesteps": TIMES,
             "beta_schedule": "linear", "beta_start": 1e-4, "beta_end": 0.02,
             "prediction_type": "epsilon", "clip_sample": True, "clip_sample_range": 1.0,
             "timestep_spacing": "leading", "steps_offset": 0, "variance_type": "fixed_small"}


def alphas_bar():
    """How much of an image is left at each time: ab_t = prod over s <= t of 1 - beta_s. [T], float64"""
    betas = torch.linspace(SCHEDULER["beta_start"], SCHEDULER["beta_end"], TIMES, dtype=torch.float64)
    return torch.cumprod(1 - betas, 0)


# ---- the network -----------------------------------------------------------------------------------------------------

class Block(nn.Module):
    """z + W2 silu(s norm(W1 silu(norm(z))) + b), where s and b depend on time and class.

    Shapes: z [B, C, h, w] to [B, D, h, w]; e [B, E].
    """

    def __init__(self, channels: int, out: int):
        super().__init__()
        self.norm1, self.norm2 = nn.GroupNorm(GROUPS, channels), nn.GroupNorm(GROUPS, out)
        self.conv1 = nn.Conv2d(channels, out, 3, padding=1)
        self.conv2 = nn.Conv2d(out, out, 3, padding=1)
        self.modulation = nn.Linear(EMBEDDING, 2 * out)
        self.skip = nn.Conv2d(channels, out, 1) if channels != out else nn.Identity()
        nn.init.zeros_(self.conv2.weight)
        nn.init.zeros_(self.conv2.bias)

    def forward(self, z, e):
        scale, shift = self.modulation(e).unsqueeze(2).unsqueeze(3).chunk(2, dim=1)
        inner = self.norm2(self.conv1(functional.silu(self.norm1(z))))
        return self.skip(z) + self.conv2(functional.silu(inner * (1 + scale) + shift))


class Attention(nn.Module):
    """z + W softmax(q k^T / sqrt(C / H)) v over the pixels of an image, with H heads. Shapes: z [B, C, h, w]."""

    def __init__(self, channels: int, heads: int):
        super().__init__()
        self.heads = heads
        self.norm = nn.GroupNorm(GROUPS, channels)
        self.qkv = nn.Conv2d(channels, 3 * channels, 1)
        self.out = nn.Conv2d(channels, channels, 1)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, z):
        # q, k, v [B, H, C / H, h w]
        q, k, v = self.qkv(self.norm(z)).flatten(2).unflatten(1, (3 * self.heads, -1)).chunk(3, dim=1)
        weights = torch.softmax(q.transpose(2, 3) @ k * q.size(2) ** -0.5, dim=3)
        return z + self.out((v @ weights.transpose(2, 3)).reshape(z.shape))


class UNet(nn.Module):
    """The noise eps in x = sqrt(ab_t) x0 + sqrt(1 - ab_t) eps.

    Inside, it estimates v = sqrt(ab_t) eps - sqrt(1 - ab_t) x0, which is of order one at all times (Salimans and Ho,
    arXiv 2202.00512); then eps = sqrt(ab_t) v + sqrt(1 - ab_t) x.

    Shapes: x [B, 1, 28, 28], t [B] from 0 to 999, label [B] from 0 to 10; eps [B, 1, 28, 28].
    """

    def __init__(self):
        super().__init__()
        wide, deep = CHANNELS
        self.register_buffer("alphas_bar", alphas_bar().float())
        self.register_buffer("frequencies", torch.exp(-math.log(TIMES) * torch.arange(32) / 32))
        self.time = nn.Linear(64, EMBEDDING)
        self.label = nn.Embedding(CLASSES + 1, EMBEDDING)
        self.mix = nn.Linear(EMBEDDING, EMBEDDING)
        self.first = nn.Conv2d(1, wide, 4, stride=2, padding=1)  # 28 -> 14
        self.down1 = Block(wide, wide)
        self.narrow = nn.Conv2d(wide, deep, 3, stride=2, padding=1)  # 14 -> 7
        self.down2 = Block(deep, deep)
        self.attend1 = Attention(deep, 4)
        self.middle = Block(deep, deep)
        self.attend2 = Attention(deep, 4)
        self.up2 = Block(2 * deep, deep)
        self.widen = nn.ConvTranspose2d(deep, wide, 2, stride=2)  # 7 -> 14
        self.up1 = Block(2 * wide, wide)
        self.norm = nn.GroupNorm(GROUPS, wide)
        self.last = nn.Conv2d(wide, 4, 3, padding=1)  # four pixels of 28 x 28 in each of 14 x 14

    def embedding(self, t, label):
        """[B, E] of times and classes."""
        angles = t.to(self.frequencies.dtype).unsqueeze(1) * self.frequencies
        e = self.time(torch.cat([angles.sin(), angles.cos()], dim=1)) + self.label(label)
        return functional.silu(self.mix(functional.silu(e)))

    def velocity(self, x, t, label):
        e = self.embedding(t, label)
        high = self.down1(self.first(x), e)  # [B, 32, 14, 14]
        low = self.attend1(self.down2(self.narrow(high), e))  # [B, 64, 7, 7]
        z = self.attend2(self.middle(low, e))
        z = self.widen(self.up2(torch.cat([z, low], dim=1), e))
        z = self.up1(torch.cat([z, high], dim=1), e)
        return functional.pixel_shuffle(self.last(functional.silu(self.norm(z))), 2)

    def forward(self, x, t, label):
        ab = self.alphas_bar[t].reshape(-1, 1, 1, 1)
        return ab.sqrt() * self.velocity(x, t, label) + (1 - ab).sqrt() * x


def checkpoint_of(folder):
    return Path(folder, "checkpoint.pt")


def make_denoiser():
    """For deeppcr-export-pytorch --denoiser: the trained network, the shape of an image, and what it is told beside."""
    net, file = UNet(), checkpoint_of(os.environ.get("DEEPPCR_UNET", ROOT / "runs" / "fashion-mnist-unet"))
    if not file.exists():
        raise FileNotFoundError(f"there is no {file}; train the network first, or name its folder by DEEPPCR_UNET")
    net.load_state_dict(torch.load(file)["mean"])
    return net.eval(), (1, 28, 28), {"classes": CLASSES, "null_class": NO_CLASS}


# ---- training --------------------------------------------------------------------------------------------------------

BATCH = 32
LEARNING_RATE = 1e-3
WARM_UP = 200  # steps
EMA = 0.999
SAVE_EVERY = 60  # seconds


def load_training_set():
    """Images [N, 1, 28, 28], bytes, and labels [N]."""
    folder = Path(os.environ.get("DEEPPCR_DATA", "/usr/share/datasets"))
    if folder.name != "fashion-mnist":
        folder = folder / "fashion-mnist"
    images, labels = (np.frombuffer(gzip.decompress((folder / name).read_bytes()), np.uint8, offset=header).copy()
                      for name, header in (("train-images-idx3-ubyte.gz", 16), ("train-labels-idx1-ubyte.gz", 8)))
    return torch.from_numpy(images.reshape(-1, 1, 28, 28)), torch.from_numpy(labels.astype(np.int64))


def to_signal(images):
    """Bytes to float32 in [-1, 1]."""
    return images.float() / 127.5 - 1


class Training:
    """A network, its optimiser and the running mean of its weights; goes on from folder/checkpoint.pt."""

    def __init__(self, folder, seed):
        self.file = checkpoint_of(folder)
        torch.manual_seed(seed)
        self.net, self.mean = UNet(), UNet()
        self.mean.load_state_dict(self.net.state_dict())
        self.optimiser = torch.optim.Adam(self.net.parameters(), betas=(0.9, 0.99))
        self.step, self.seconds, self.loss = 0, 0.0, 1.0
        if self.file.exists():
            saved = torch.load(self.file)
            for name in ("net", "mean", "optimiser"):
                getattr(self, name).load_state_dict(saved[name])
            self.step, self.seconds, self.loss = saved["step"], saved["seconds"], saved["loss"]
            torch.manual_seed(seed + self.step)

    def save(self):
        held = {name: getattr(self, name).state_dict() for name in ("net", "mean", "optimiser")}
        beside = self.file.with_suffix(".new")
        torch.save({**held, "step": self.step, "seconds": self.seconds, "loss": self.loss}, beside)
        beside.replace(self.file)

    def set_learning_rate(self, progress):
        """Linear warm-up in steps, then half a cosine over the time there is."""
        decay = 0.02 + 0.98 * math.cos(progress * math.pi / 2) ** 2
        rate = LEARNING_RATE * min(1.0, (self.step + 1) / WARM_UP) * decay
        for group in self.optimiser.param_groups:
            group["lr"] = rate

    def take_step(self, x0, label):
        """Least squares on v, at times spread evenly over the batch."""
        t = ((torch.arange(len(x0)) + torch.rand(len(x0))) * (TIMES / len(x0))).long().clamp(max=TIMES - 1)
        label = torch.where(torch.rand(len(x0)) < NO_CLASS_SHARE, NO_CLASS, label)
        ab = self.net.alphas_bar[t].reshape(-1, 1, 1, 1)
        eps = torch.randn_like(x0)
        v = ab.sqrt() * eps - (1 - ab).sqrt() * x0
        loss = functional.mse_loss(self.net.velocity(ab.sqrt() * x0 + (1 - ab).sqrt() * eps, t, label), v)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.net.parameters(), 1.0)
        self.optimiser.step()
        self.step += 1
        self.loss += 0.01 * (loss.item() - self.loss)
        decay = min(EMA, self.step / (self.step + 10))
        with torch.no_grad():
            for mean, now in zip(self.mean.parameters(), self.net.parameters()):
                mean.lerp_(now, 1 - decay)


def train(options):
    torch.set_num_threads(1)
    options.folder.mkdir(parents=True, exist_ok=True)
    images, labels = load_training_set()
    training = Training(options.folder, options.seed)
    limit, last_save, now = options.hours * 3600, training.seconds, time.monotonic()
    while training.seconds < limit:
        training.set_learning_rate(training.seconds / limit)
        chosen = torch.randint(len(images), (BATCH,))
        training.take_step(to_signal(images[chosen]), labels[chosen])
        training.seconds, now = training.seconds + time.monotonic() - now, time.monotonic()
        if training.seconds - last_save > SAVE_EVERY:
            last_save = training.seconds
            training.save()
            print(f"{training.seconds / 60:6.1f} min  step {training.step:6d}  loss {training.loss:.4f}", flush=True)
    training.save()
    print(f"{training.step} steps, loss {training.loss:.4f}")


# ---- samples ---------------------------------------------------------------------------------------------------------

def predict(net, x, t, label, guidance):
    """x0 in [-1, 1], and the eps that goes with it, both [B, 1, 28, 28].

    eps of no class is moved by `guidance` to that of the class. Where x0 is clipped, DDIM with the unclipped eps would
    move against what guidance asks for.
    """
    ab, times = alphas_bar()[t].item(), torch.full((len(x),), t)
    eps = net(x, times, label)
    if guidance != 1:
        unguided = net(x, times, torch.full_like(label, NO_CLASS))
        eps = unguided + guidance * (eps - unguided)
    x0 = ((x - (1 - ab) ** 0.5 * eps) / ab ** 0.5).clamp(-1, 1)
    return x0, (x - ab ** 0.5 * x0) / (1 - ab) ** 0.5


def ddim(net, x, label, steps, guidance):
    """x' = sqrt(ab') x0 + sqrt(1 - ab') eps at every T / S-th time."""
    for t in range(TIMES - TIMES // steps, -1, -(TIMES // steps)):
        previous = t - TIMES // steps
        ab = alphas_bar()[previous].item() if previous >= 0 else 1.0
        x0, eps = predict(net, x, t, label, guidance)
        x = ab ** 0.5 * x0 + (1 - ab) ** 0.5 * eps
    return x


def ddpm(net, x, label, guidance):
    """x' = a x0 + b x + noise, whose mean and variance are those of x_{t-1} given x_t and x0."""
    for t in range(TIMES - 1, -1, -1):
        ab, ab_next = alphas_bar()[t].item(), alphas_bar()[t - 1].item() if t > 0 else 1.0
        alpha = ab / ab_next
        x0, _ = predict(net, x, t, label, guidance)
        x = (ab_next ** 0.5 * (1 - alpha) * x0 + alpha ** 0.5 * (1 - ab_next) * x) / (1 - ab)
        if t > 0:
            x = x + ((1 - alpha) * (1 - ab_next) / (1 - ab)) ** 0.5 * torch.randn_like(x)
    return x


def sample(options):
    """A row a class: five samples of DDIM, five of DDPM."""
    torch.set_num_threads(1)
    os.environ["DEEPPCR_UNET"] = str(options.folder)
    net, shape, _ = make_denoiser()
    torch.manual_seed(options.seed)
    label = torch.arange(CLASSES).repeat_interleave(5)
    with torch.no_grad():
        parts = [ddim(net, torch.randn(len(label), *shape), label, 50, options.guidance),
                 ddpm(net, torch.randn(len(label), *shape), label, options.guidance)]
    # [2, 10, 5, 28, 28] to rows of classes and columns of samples
    picture = torch.stack(parts).reshape(2, CLASSES, 5, 28, 28).permute(1, 3, 0, 2, 4).reshape(CLASSES * 28, -1)
    matplotlib.image.imsave(options.output, picture.numpy(), cmap="gray", vmin=-1, vmax=1)


# ---- what goes with the network --------------------------------------------------------------------------------------

def write_files(options):
    """The noise schedule as diffusers has it, and the first two moments of the training images in [-1, 1]."""
    images = to_signal(load_training_set()[0]).double()
    Path(options.folder, "fashion_mnist_unet_scheduler.json").write_text(json.dumps(SCHEDULER, indent=2) + "\n")
    with h5py.File(Path(options.folder, "fashion_mnist_moments.h5"), "w") as file:
        for name, values in (("mean", images.mean(0)[0]), ("variance", images.var(0, unbiased=False)[0])):
            file.create_dataset(name, data=values.float().numpy(), compression="gzip", compression_opts=9, shuffle=True)


def parse():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    words = {"train": "trains, and goes on where it was stopped", "sample": "draws samples of each class",
             "files": "writes the noise schedule, and mean and variance of the images"}
    for command, what in words.items():
        words[command] = commands.add_parser(command, help=what)
        words[command].add_argument("folder", type=Path, help="that has the checkpoint")
    for command in "train", "sample":
        words[command].add_argument("--seed", type=int, default=0)
    words["train"].add_argument("--hours", type=float, default=1, help="of training, in all (default: 1)")
    words["sample"].add_argument("--guidance", type=float, default=1, help="1 is none (default)")
    words["sample"].add_argument("-o", "--output", type=Path, required=True, help="the picture, .png")
    return parser.parse_args()


if __name__ == "__main__":
    arguments = parse()
    {"train": train, "sample": sample, "files": write_files}[arguments.command](arguments)
