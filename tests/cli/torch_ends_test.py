"""--embedding, --head and --save-module: a chain between modules is trained as PyTorch's own loop trains it."""
import json
import shutil
import struct
import unittest

import h5py
import numpy as np

from program import RANKS, ProgramTest, main
from torch_modules import Gated, Shared, save, save_shared, save_stacked, walk

import torch
from torch import nn

torch.set_num_threads(1)
one_rank = unittest.skipIf(RANKS > 1, "one rank is enough")
SIDE, CHANNELS, SMALL, CLASSES, STEPS, SAMPLES, RATE = 6, 2, 3, 3, 5, 12, 0.1
STATE = [CHANNELS, SMALL, SMALL]
WIDTH = CHANNELS * SMALL * SMALL
GRIDS = {1: [[], ["--pipeline", "gpipe", "--micro-batches", 3]],
         2: [["--depth-ranks", 2, "--nonlinear", "pipeline"], ["--data-ranks", 2],
             ["--depth-ranks", 2, "--pipeline", "gpipe", "--micro-batches", 3]]}[RANKS]
TRAIN = ["train", "--model", "torch", "--module", "chain.pt", "--data", "images", "--batch", SAMPLES, "--optimiser", "sgd",
         "--momentum", 0, "--weight-decay", 0, "--schedule", "constant", "--warm-up", 0, "--clip-norm", 0,
         "--learning-rate", RATE]
ENDS = ["--embedding", "stem.pt", "--head", "head.pt"]
STREAM = ["stream", "--model", "torch", "--module", "chain.pt", "--data", "images"]


class Stem(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, CHANNELS, 3, stride=2, padding=1)

    def forward(self, x):
        return torch.tanh(self.conv(x))


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1)
        self.norm = nn.BatchNorm2d(CHANNELS)
        self.norm.running_mean.normal_(0, 0.3)

    def forward(self, z):
        return z + 0.3 * torch.tanh(self.norm(self.conv(z)))


class Head(nn.Module):
    def __init__(self, classes=CLASSES):
        super().__init__()
        self.norm = nn.GroupNorm(2, CHANNELS)
        self.fc = nn.Linear(WIDTH, classes)

    def forward(self, z):
        return self.fc(torch.relu(self.norm(z)).flatten(1))


class Linear(nn.Module):
    """A linear end of the program: rows [inputs + 1, outputs], the last one the bias."""

    def __init__(self, rows, shape):
        super().__init__()
        self.rows, self.shape = nn.Parameter(torch.from_numpy(rows)), shape

    def forward(self, x):
        return (x.flatten(1) @ self.rows[:-1] + self.rows[-1]).unflatten(1, self.shape)


class MixesSamples(Stem):
    def forward(self, x):
        return self.conv(x) - self.conv(x).mean(0, keepdim=True)


class Detached(Head):
    def forward(self, z):
        return self.fc(z.detach().flatten(1))


class OtherShape(Stem):
    def forward(self, x):
        return self.conv(x).flatten(1)


def write_idx(path, values):
    path.write_bytes(bytes([0, 0, 8, values.ndim]) + struct.pack(f">{values.ndim}I", *values.shape) + values.tobytes())


def save_end(module, path, taken, made):
    save(Shared(module), path, end=True, input_shape=taken, shape=made)


def network():
    torch.manual_seed(11)
    return Stem().double().eval(), [Block().double().eval() for _ in range(STEPS)], Head().double().eval()


def named(stem, blocks, head):
    """The parameters as a checkpoint names them; linear ends have one array."""
    found = {}
    for name, module in (("embedding", stem), ("head", head)):
        for key, value in module.named_parameters():
            found[name if isinstance(module, Linear) else f"{name}/{key}"] = value
    for key, _ in blocks[0].named_parameters():
        found[key] = torch.stack([dict(block.named_parameters())[key] for block in blocks])
    return {key: value.detach().numpy() for key, value in found.items()}


def options(*words):
    """Of an option that is there twice the last one."""
    starts = [i for i, word in enumerate(words) if str(word).startswith("--")]
    found = {words[i]: words[i:end] for i, end in zip(starts, starts[1:] + [len(words)])}
    return [*words[:starts[0]], *(word for one in found.values() for word in one)]


class Ends(ProgramTest):
    def setUp(self):
        super().setUp()
        random = np.random.default_rng(2)
        (self.folder / "images").mkdir()
        for name, count in (("train", SAMPLES), ("t10k", 7)):
            pixels = random.integers(0, 256, (count, SIDE, SIDE), dtype=np.uint8)
            labels = (np.arange(count) % CLASSES).astype(np.uint8)
            write_idx(self.folder / "images" / f"{name}-images-idx3-ubyte", pixels)
            write_idx(self.folder / "images" / f"{name}-labels-idx1-ubyte", labels)
            if name == "train":
                pixels = pixels / 255.0
                self.images = torch.from_numpy((pixels - pixels.mean()) / pixels.std()).unsqueeze(1)
                self.labels = torch.from_numpy(labels.astype(np.int64))
        self.write(*network())

    def write(self, stem, blocks, head):
        save_end(stem, self.folder / "stem.pt", [1, SIDE, SIDE], STATE)
        save_stacked(blocks, self.folder / "chain.pt", STATE)
        save_end(head, self.folder / "head.pt", STATE, [CLASSES])

    def loss(self, stem, blocks, head):
        return nn.functional.cross_entropy(head(walk(blocks, stem(self.images))[-1]), self.labels)

    def trained(self, updates, stem, blocks, head):
        """PyTorch's own loop: the parameters, and the loss before each update."""
        parameters = [p for module in (stem, head, *blocks) for p in module.parameters()]
        optimiser, losses = torch.optim.SGD(parameters, lr=RATE), []
        for _ in range(updates):
            optimiser.zero_grad()
            loss = self.loss(stem, blocks, head)
            loss.backward()
            optimiser.step()
            losses.append(float(loss))
        return named(stem, blocks, head), losses

    def parameters(self, name):
        found = {}
        with h5py.File(self.folder / name) as file:
            group = file["parameters"]
            group.visititems(lambda key, item: found.update({key: item[()]}) if isinstance(item, h5py.Dataset) else None)
        return found

    def assert_parameters(self, found, expected):
        self.assertEqual(set(found), set(expected))
        for key, value in expected.items():
            error = np.abs(found[key] - value.reshape(found[key].shape)).max()
            self.assertLessEqual(error, 1e-8 * np.abs(value).max(), key)

    def test_both_ends(self):
        expected, losses = self.trained(4, *network())
        before = named(*network())
        self.assertTrue(all(np.abs(value - before[key]).max() > 1e-6 for key, value in expected.items()))
        for grid in GRIDS:
            with self.subTest(grid=grid):
                report = self.solved(*TRAIN, *ENDS, *grid, "--epochs", 4, "--checkpoint", "run.h5", "--trace", "trace.h5")
                with h5py.File(self.folder / "trace.h5") as file:
                    self.assertLess(np.abs(file["training/loss"][:] - losses).max(), 1e-8)
                self.assert_parameters(self.parameters("run.h5"), expected)
        score = self.solved("evaluate", "--restart", "run.h5")
        self.assertAlmostEqual(score["loss"], report["test_loss"], delta=1e-9)

    def late(self, updates, delays):
        """The loop whose gradients are at weights of earlier updates: delays of stem, blocks, head."""
        stem, blocks, head = network()
        modules = [stem, *blocks, head]
        versions = [[[p.detach().clone() for p in module.parameters()] for module in modules]]
        for t in range(updates):
            for m, (module, delay) in enumerate(zip(modules, delays)):
                for p, old in zip(module.parameters(), versions[max(0, t - delay)][m]):
                    p.data, p.grad = old.clone(), None
            self.loss(stem, blocks, head).backward()
            versions.append([[newest - RATE * p.grad for newest, p in zip(versions[-1][m], module.parameters())]
                             for m, module in enumerate(modules)])
        for module, newest in zip(modules, versions[-1]):
            for p, value in zip(module.parameters(), newest):
                p.data = value
        return named(stem, blocks, head)

    def test_delayed_gradients(self):
        half = (STEPS + 1) // 2
        by_stage = [0] * (STEPS + 2) if RANKS == 1 else [2] * (half + 1) + [0] * (STEPS - half + 1)
        for words, delays in ((["--pipeline", "delayed", "--micro-batches", 3], [1] * (STEPS + 2)),
                              (["--pipeline", "delayed", "--micro-batches", 3, "--delay", 3, "--old-weights", "exact"],
                               [3] * (STEPS + 2)),
                              (["--pipeline", "layerpipe"], by_stage),
                              (["--pipeline", "layerpipe", "--old-weights", "exact"], by_stage)):
            with self.subTest(words=words):
                self.solved(*TRAIN, *ENDS, *words, "--depth-ranks", RANKS, "--epochs", 7, "--evaluate-every", 0,
                            "--checkpoint", "run.h5")
                self.assert_parameters(self.parameters("run.h5"), self.late(7, delays))

    @one_rank
    def test_one_end_alone(self):
        for option, role in ((ENDS[:2], "head"), (ENDS[2:], "embedding")):
            with self.subTest(option=option):
                self.solved(*options(*TRAIN, *option, "--learning-rate", 0), "--checkpoint", "start.h5")
                rows = self.parameters("start.h5")[role]
                stem, blocks, head = network()
                if role == "head":
                    head = Linear(rows, [rows.shape[1]])
                else:
                    stem = Linear(rows, STATE)
                expected, _ = self.trained(2, stem, blocks, head)
                self.solved(*TRAIN, *option, *GRIDS[0], "--epochs", 2, "--checkpoint", "run.h5")
                self.assert_parameters(self.parameters("run.h5"), expected)

    def test_restart(self):
        words = options(*TRAIN, *ENDS, "--momentum", 0.9, "--batch", 4, "--epochs", 2, *GRIDS[0])
        self.solved(*words, "--checkpoint", "whole.h5")
        self.solved(*words, "--max-steps", 2, "--checkpoint", "part.h5")
        self.solved(*words, "--restart", "part.h5", "--checkpoint", "part.h5")
        expected, found = self.parameters("whole.h5"), self.parameters("part.h5")
        self.assertEqual(set(found), set(expected))
        for key, value in expected.items():
            self.assertTrue(np.array_equal(found[key], value), key)
        shutil.copy(self.folder / "head.pt", self.folder / "other.pt")
        self.assert_refused(self.run_here(*options(*words, "--head", "other.pt"), "--restart", "part.h5"),
                            "--head other.pt", "part.h5")

    def test_save_module(self):
        words = [*TRAIN, *ENDS, *GRIDS[0], "--epochs", 2, "--checkpoint", "run.h5", "--save-module", "trained.pt"]
        report = self.solved(*words)
        found = self.parameters("run.h5")
        chain, stem, head = (torch.jit.load(self.folder / f"trained{end}.pt") for end in ("", ".embedding", ".head"))
        extra = {"deeppcr.json": ""}
        torch.jit.load(str(self.folder / "trained.pt"), _extra_files=extra)
        about = json.loads(extra["deeppcr.json"])
        self.assertEqual((about["steps"], about["shape"]), (STEPS, STATE))
        for i, name in enumerate(about["stacks"]):
            stack = getattr(chain, f"stack{i}").detach()
            if name not in about["buffers"]:
                self.assertTrue(np.array_equal(stack.flatten(1), found[name]), name)
            self.assertTrue(torch.equal(chain.step.state_dict()[name], stack[0]), name)
        for role, module in (("embedding", stem), ("head", head)):
            for name, value in module.step.named_parameters():
                self.assertTrue(value.requires_grad)
                self.assertTrue(np.array_equal(value.detach().flatten(), found[f"{role}/{name}"][0]), name)
        again = self.solved(*options(*TRAIN, "--module", "trained.pt", "--embedding", "trained.embedding.pt", "--head",
                                     "trained.head.pt", "--learning-rate", 0))
        self.assertAlmostEqual(again["test_loss"], report["test_loss"], delta=1e-12)
        if RANKS > 1:
            return
        self.solved(*words)  # over files of its own
        shutil.copy(self.folder / "head.pt", self.folder / "trained.head.pt")
        self.assert_refused(self.run_here(*words), "trained.head.pt", "--force")
        self.solved(*words, "--force")
        self.assert_refused(self.run_here(*options(*words, "--save-module", "chain.pt"), "--force"),
                            "--save-module chain.pt", "reads")

    @one_rank
    def test_save_fewer_and_shared_steps(self):
        self.solved(*TRAIN, *ENDS, "--steps", 3, "--save-module", "trained.pt")
        report = self.solved("solve", "--model", "torch", "--module", "trained.pt")
        self.assertEqual(report["steps"], 3)
        torch.manual_seed(3)
        save_shared(Gated(WIDTH).double(), self.folder / "shared.pt", [WIDTH])
        self.solved(*options(*TRAIN, "--module", "shared.pt"), "--steps", 4, "--checkpoint", "run.h5", "--save-module",
                    "trained.pt")
        found, module = self.parameters("run.h5"), torch.jit.load(self.folder / "trained.pt")
        for name, value in module.step.named_parameters():
            self.assertTrue(np.array_equal(value.detach().flatten(), found[name][0]), name)
        self.assertEqual(self.solved("solve", "--model", "torch", "--module", "trained.pt")["steps"], 4)

    @unittest.skipIf(RANKS == 1, "two ranks are the harder case")
    def test_bad_ends(self):
        folder = self.folder
        save_end(nn.Linear(5, WIDTH).double(), folder / "five.pt", [5], [WIDTH])
        save_end(nn.Linear(36, 4).double(), folder / "four.pt", [SIDE * SIDE], [4])
        save_end(Head(2).double(), folder / "two.pt", STATE, [2])
        save_end(MixesSamples().double(), folder / "mixes.pt", [1, SIDE, SIDE], STATE)
        save_end(Detached().double(), folder / "detached.pt", STATE, [CLASSES])
        save_end(OtherShape().double(), folder / "flat.pt", [1, SIDE, SIDE], STATE)
        save(Shared(Stem().double()), folder / "open.pt", end=True, shape=STATE)
        (folder / "text.pt").write_text("no module")
        for words, phrases in (
                (["--embedding", "none.pt"], ["--embedding none.pt", "no such file"]),
                (["--head", "text.pt"], ["--head text.pt", "no TorchScript"]),
                (["--embedding", "chain.pt"], ["--embedding chain.pt", "steps of a chain", "--end"]),
                (["--module", "stem.pt"], ["--module stem.pt", "an end of a network"]),
                (["--embedding", "open.pt"], ["--embedding open.pt", "input_shape"]),
                (["--embedding", "five.pt"], ["images", "36 pixels", "five.pt takes 5"]),
                (["--embedding", "four.pt"], ["--embedding four.pt", "4 numbers", "18"]),
                (["--head", "five.pt"], ["--head five.pt", "5 numbers", "18"]),
                (["--head", "two.pt"], ["label 2", "2 classes", "two.pt"]),
                (["--head", "head.pt", "--loss", "squared-error"], ["--head head.pt", "squared-error"]),
                (["--embedding", "mixes.pt"], ["--embedding mixes.pt", "among others"]),
                (["--head", "detached.pt"], ["--head detached.pt", "detach()"]),
                (["--embedding", "flat.pt"], ["--embedding flat.pt", "3 x 18", "3 x 2 x 3 x 3"])):
            with self.subTest(words=words):
                self.assert_refused(self.run_here(*options(*TRAIN, *words)), *phrases)
        for option in ("--embedding", "--head", "--save-module"):
            self.assert_refused(self.run_here("train", "--model", "resnet", option, "x.pt"), f"{option} x.pt", "resnet")

    def test_stream_predicts(self):
        stem, blocks, head = network()
        with torch.no_grad():
            expected = head(walk(blocks, stem(self.images))[-1]).numpy()
        report = self.solved(*STREAM, *ENDS, "--output", "p.h5", "--logits")
        self.assertEqual(report["frames"], SAMPLES)
        with h5py.File(self.folder / "p.h5") as file:
            np.testing.assert_allclose(file["predictions/logits"][:], expected, rtol=1e-10, atol=1e-10)
            np.testing.assert_array_equal(file["predictions/class"][:], expected.argmax(axis=1))
        # frames of another size than the stem takes; one end as a module
        np.zeros(SIDE * SIDE, dtype="<f4").tofile(self.folder / "f")
        raw = ["stream", "--model", "torch", "--module", "chain.pt", "--frames", "f"]
        self.assertEqual(self.solved(*raw, "--embedding", "stem.pt", "--classes", 4)["frames"], 1)
        self.assert_refused(self.run_here(*raw, *ENDS, "--frame-size", 5), "--frame-size 5", "stem.pt has 36")
        self.assert_refused(self.run_here(*raw, *ENDS, "--classes", 4), "--classes 4", "head.pt has 3")
        self.assert_refused(self.run_here(*raw, *ENDS, "--weights", "stem.pt"), "stem.pt")
        self.assert_refused(self.run_here(*raw, *ENDS, "--save-module", "t.pt"), "--save-module", "--learning-rate")
        self.assert_refused(self.run_here("stream", "--data", "images", "--head", "head.pt"), "--head head.pt", "resnet")

    def test_stream_learns(self):
        stem, blocks, head = network()
        words = [*STREAM, *ENDS, "--learning-rate", RATE, "--optimiser", "sgd", "--momentum", 0, "--weight-decay", 0,
                 "--clip-norm", 0, "--checkpoint", "c.h5", "--save-module", "trained.pt"]
        report = self.solved(*words)
        self.assertEqual(report["updates"], [SAMPLES - 2 * (RANKS - 1 - stage) for stage in range(RANKS)])
        found = self.parameters("c.h5")
        if RANKS == 1:  # an update with the gradient of each frame, as PyTorch's own loop
            optimiser = torch.optim.SGD([p for module in (stem, head, *blocks) for p in module.parameters()], lr=RATE)
            for t in range(SAMPLES):
                optimiser.zero_grad()
                logits = head(walk(blocks, stem(self.images[t:t + 1]))[-1])
                nn.functional.cross_entropy(logits, self.labels[t:t + 1]).backward()
                optimiser.step()
            self.assert_parameters(found, named(stem, blocks, head))
        before = named(*network())
        for key, value in found.items():
            self.assertGreater(np.abs(value - before[key].reshape(value.shape)).max(), 1e-6, key)
        # the modules hold what was learned, and a stream takes them
        for role in ("embedding", "head"):
            for name, value in torch.jit.load(self.folder / f"trained.{role}.pt").step.named_parameters():
                self.assertTrue(np.array_equal(value.detach().flatten(), found[f"{role}/{name}"][0]), name)
        self.assertEqual(self.solved(*options(*STREAM, "--module", "trained.pt"), "--embedding", "trained.embedding.pt",
                                     "--head", "trained.head.pt")["frames"], SAMPLES)
        # and goes on from the checkpoint
        on = self.solved(*words, "--restart", "c.h5", "--max-frames", SAMPLES)
        self.assertEqual((on["first_frame"], on["frames"]), (SAMPLES, 0))

    def test_stream_learns_steps_with_weights_of_their_own(self):
        words = ["stream", "--model", "torch", "--module", "m.pt", "--data", "random", "--max-frames", 40,
                 "--learning-rate", 0.01, "--json"]
        save_stacked([Gated(6) for _ in range(STEPS)], self.folder / "m.pt", [6])
        done = self.run_here(*words)
        self.assertEqual(done.code, 0, done.err)
        self.assertEqual(json.loads(done.out)["updates"], [40 - 2 * (RANKS - 1 - stage) for stage in range(RANKS)])
        save_shared(Gated(6), self.folder / "m.pt", [6])
        done = self.run_here(*words, "--steps", STEPS)
        if RANKS == 1:
            self.assertEqual(done.code, 0, done.err)
        else:
            self.assert_refused(done, "--model torch", "share weights", "2 ranks")


if __name__ == "__main__":
    main()
