#!/usr/bin/python3
"""Tests of export_pytorch.py --denoiser. Exit code 77 (skipped) where PyTorch is missing."""
import gzip
import json
import subprocess
import sys
import tempfile
import textwrap
import unittest
from pathlib import Path

import h5py
import numpy as np
from run_script import APPS, assert_refused, run, run_here

try:
    import torch
except ImportError:
    print("skipped: PyTorch is not installed (Debian: python3-torch)")
    sys.exit(77)

NETWORKS, JOB_SCRIPTS = APPS / "networks", APPS.parent / "job_scripts"
DATA = Path("/usr/share/datasets/fashion-mnist")
NET = """
    from typing import Optional

    import torch
    from torch import nn


    class Plain(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.drop = nn.Conv2d(2, 2, 3, padding=1), nn.Dropout()

        def forward(self, x, t):
            return self.drop(self.conv(x)) * torch.cos(t.to(x.dtype)).reshape(-1, 1, 1, 1)


    class WithClass(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc, self.label = nn.Linear(4, 4), nn.Embedding(4, 4)

        def forward(self, x, t, y: Optional[torch.Tensor] = None):
            if y is not None:
                x = x + self.label(y)
            return self.fc(x) + torch.sin(t.to(x.dtype)).unsqueeze(1)


    class WithText(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc = nn.Linear(8, 4)

        def forward(self, x, t, text):
            return x * torch.cos(t.to(x.dtype)).unsqueeze(1) + self.fc(text).mean(1)


    def plain():
        torch.manual_seed(0)
        return Plain(), (2, 5, 5)


    def with_class():
        torch.manual_seed(0)
        return WithClass().double(), 4, {"classes": 3, "null_class": 3}


    def bare():
        torch.manual_seed(0)
        return WithClass()


    def with_text():
        torch.manual_seed(0)
        return WithText(), 4, {"embedding_shape": (6, 8)}
"""


class ExportDenoiser(unittest.TestCase):
    def setUp(self):
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.output = self.folder / "denoiser.pt"
        (self.folder / "net.py").write_text(textwrap.dedent(NET))

    def export(self, function, *words, summary, said=""):
        """The module in the file, what the file says of it, and what the function of NET returns."""
        process = run_here("export_pytorch.py", "--denoiser", f"{self.folder}/net.py:{function}", "-o", self.output, *words)
        self.assertEqual(process.returncode, 0, process.stderr)
        self.assertIn(said, process.stderr)
        self.assertEqual(process.stderr == "", said == "", process.stderr)
        self.assertIn(summary, process.stdout)
        extra = {"deeppcr.json": ""}
        module = torch.jit.load(str(self.output), _extra_files=extra)
        about = json.loads(extra["deeppcr.json"])
        self.assertEqual((about.pop("format"), about.pop("denoiser")), (1, True))
        self.assertFalse(module.training)
        names = {}
        exec(textwrap.dedent(NET), names)  # pylint: disable=exec-used
        made = names[function]()
        return module, about, (made[0] if isinstance(made, tuple) else made).eval()

    def test_without_a_condition(self):
        module, about, net = self.export("plain", summary="a denoiser of 2x5x5, 38 parameters", said="Dropout")
        self.assertEqual(about, {"shape": [2, 5, 5], "condition": "none"})
        x, t = torch.randn(4, 2, 5, 5), torch.tensor([0, 5, 900, 3])
        torch.testing.assert_close(module(x, t), net(x, t))

    def test_classes(self):
        module, about, net = self.export("with_class", summary="a denoiser of 4, 3 classes, 36 parameters")
        self.assertEqual(about, {"shape": [4], "condition": "class", "classes": 3, "null_class": 3})
        x, t, label = torch.randn(4, 4, dtype=torch.float64), torch.tensor([0, 5, 900, 3]), torch.tensor([0, 2, 3, 1])
        self.assertEqual(module.fc.weight.dtype, torch.float64)
        torch.testing.assert_close(module(x, t, label), net(x, t, label))

    def test_options_stand_for_what_the_function_does_not_return(self):
        _, about, _ = self.export("bare", "--shape", 4, "--classes", 4, summary="4 classes")
        self.assertEqual(about, {"shape": [4], "condition": "class", "classes": 4, "null_class": -1})
        _, about, _ = self.export("with_class", "--classes", 2, "--null-class", 0, summary="2 classes")
        self.assertEqual(about, {"shape": [4], "condition": "class", "classes": 2, "null_class": 0})
        _, about, _ = self.export("bare", "--shape", 4, summary="a denoiser of 4, 36 parameters")
        self.assertEqual(about, {"shape": [4], "condition": "none"})

    def test_embeddings(self):
        module, about, net = self.export("with_text", summary="a denoiser of 4, embeddings 6x8, 36 parameters")
        self.assertEqual(about, {"shape": [4], "condition": "embedding", "embedding_shape": [6, 8]})
        x, t, text = torch.randn(2, 4), torch.tensor([0, 5]), torch.randn(2, 6, 8)
        torch.testing.assert_close(module(x, t, text), net(x, t, text))

    def refuse(self, body, *phrases, words=("--shape", 4)):
        """`body` defines make()."""
        path = self.folder / "bad.py"
        path.write_text("import torch\nfrom torch import nn\n" + textwrap.dedent(body))
        self.output.unlink(missing_ok=True)
        with self.subTest(body=body):
            assert_refused(self, run_here("export_pytorch.py", "--denoiser", f"{path}:make", "-o", self.output, *words),
                           "cannot export", *phrases)
            self.assertFalse(self.output.exists())
        sys.modules.pop("bad", None)

    def refuse_net(self, body, *phrases, words=("--shape", 4)):
        """`body` is that of a module called Net."""
        self.refuse("class Net(nn.Module):\n" + textwrap.indent(textwrap.dedent(body), "    ")
                    + "\n\ndef make():\n    return Net()\n", *phrases, words=words)

    def test_what_is_no_denoiser(self):
        self.refuse_net("def forward(self, x):\n    return x", "takes 1 arguments", "forward(self, x, t)")
        self.refuse_net("def forward(self, x, t, y, z):\n    return x", "takes 4 arguments")
        self.refuse_net("def forward(self, x, t, y):\n    return x", "takes 'y'", "--classes 10", "--embedding-shape")
        self.refuse_net("def forward(self, x, t):\n    return x", "state and time alone", words=("--shape", 4, "--classes", 3))
        self.refuse_net("def forward(self, x, t):\n    return x[:, :2]", "float32 [3, 2] of torch.float32 [3, 4]")
        self.refuse_net("def forward(self, x, t):\n    return x.double()", "float64 [3, 4] of torch.float32 [3, 4]")
        self.refuse_net("def forward(self, x, t):\n    return x, t", "gives a tuple")
        self.refuse_net("def forward(self, x, t):\n    raise ValueError('odd')", "fails on torch.float32 [3, 4], torch.int64 [3]",
                        "odd")
        self.refuse_net("def forward(self, x, t):\n    return x - x.mean(0)", "a sample alone", "GroupNorm")
        self.refuse_net("def forward(self, x, t):\n    return x + torch.rand_like(x)", "random numbers")
        self.refuse_net("def forward(self, x, t, **kw):\n    return x", "**kw", "cannot be scripted")
        self.refuse_net("def forward(self, x, t):\n    import math\n    return x * math.pi", "cannot be scripted", "bad.py line")
        self.refuse_net("def __init__(self):\n    super().__init__()\n    self.label = nn.Embedding(3, 4)\n\n"
                        "def forward(self, x, t, label):\n    return x + self.label(label)", "index out of range",
                        words=("--shape", 4, "--classes", 3, "--null-class", 3))

    def test_what_the_function_returns(self):
        net = "class Net(nn.Module):\n    def forward(self, x, t, y):\n        return x\n\ndef make():\n    return "
        self.refuse(net + "3", "returns int")
        self.refuse(net + "Net(), 4, {}, 5", "returns Net, int, dict, int")
        self.refuse(net + "Net()", "--shape 1,28,28", words=())
        self.refuse(net + "Net(), (1, 0)", "from 1 on", words=())
        self.refuse(net + "Net(), 4, 10", "returns 10 behind the shape", "classes, null_class, embedding_shape")
        self.refuse(net + "Net(), 4, {'class': 10}", "{'class': 10}")
        self.refuse(net + "Net(), 4, {'classes': 0}", "--classes is 0")
        self.refuse(net + "Net(), 4, {'classes': 2.5}", "--classes is 2.5")
        self.refuse(net + "Net(), 4, {'classes': 2, 'null_class': -2}", "--null-class is -2")
        self.refuse(net + "Net(), 4, {'null_class': 2}", "goes with --classes")
        self.refuse(net + "Net(), 4, {'classes': 2}", "one of them", words=("--embedding-shape", 3))
        self.refuse(net + "Net(), 4, {'embedding_shape': 'x'}", "--embedding-shape is 'x'")

    def test_options(self):
        source = f"{self.folder}/net.py:plain"
        assert_refused(self, run_here("export_pytorch.py", "--denoiser", source, "--end", source, "-o", self.output), "give SOURCE")
        for words, phrase in ((["--denoiser", source, "--steps", 3], "--steps says nothing of a denoiser"),
                              (["--denoiser", source, "--kind", "mlp"], "--kind"),
                              (["--blocks", source, "--classes", 3], "--classes says nothing of blocks"),
                              (["--end", source, "--null-class", 0], "--null-class says nothing of blocks and ends"),
                              (["x.pt", "--embedding-shape", 3], "it goes with --denoiser")):
            assert_refused(self, run_here("export_pytorch.py", "-o", self.output, *words), phrase)
            self.assertFalse(self.output.exists())


class OwnDenoiser(unittest.TestCase):
    """The U-Net that comes with the program, and what made it."""

    def setUp(self):
        extra = {"deeppcr.json": ""}
        self.net = torch.jit.load(str(NETWORKS / "fashion_mnist_unet.pt"), _extra_files=extra)
        self.about = json.loads(extra["deeppcr.json"])
        self.schedule = json.loads((NETWORKS / "fashion_mnist_unet_scheduler.json").read_text())
        with h5py.File(NETWORKS / "fashion_mnist_moments.h5") as file:
            self.mean, self.variance = (torch.from_numpy(file[name][()]) for name in ("mean", "variance"))

    def test_the_files_fit_together(self):
        self.assertEqual(self.about, {"format": 1, "denoiser": True, "shape": [1, 28, 28], "condition": "class", "classes": 10,
                                      "null_class": 10})
        self.assertEqual((self.schedule["_class_name"], self.schedule["prediction_type"]), ("DDPMScheduler", "epsilon"))
        for moment in self.mean, self.variance:
            self.assertEqual((moment.shape, moment.dtype), ((28, 28), torch.float32))
        betas = torch.linspace(self.schedule["beta_start"], self.schedule["beta_end"], self.schedule["num_train_timesteps"],
                               dtype=torch.float64)
        torch.testing.assert_close(self.net.alphas_bar.double(), torch.cumprod(1 - betas, 0), rtol=1e-6, atol=0)
        self.assertLess((NETWORKS / "fashion_mnist_unet.pt").stat().st_size, 3e6)

    @unittest.skipUnless(DATA.is_dir(), "dataset-fashion-mnist is not installed")
    def test_it_knows_more_than_the_moments(self):
        """On test images, against the best estimate of the noise from mean and variance of each pixel.

        At t = 800 an image is so faint (ab = 0.0015) that without its class the moments are nearly all there is to know.
        """
        images, labels = (np.frombuffer(gzip.decompress((DATA / f"t10k-{name}-ubyte.gz").read_bytes()), np.uint8, offset=skip)
                          for name, skip in (("images-idx3", 16), ("labels-idx1", 8)))
        x0 = torch.from_numpy(images[:64 * 784].reshape(64, 1, 28, 28) / np.float32(127.5) - 1)
        label = torch.from_numpy(labels[:64].astype(np.int64))
        eps = torch.randn(x0.shape, generator=torch.Generator().manual_seed(1))
        for t, without_class in (50, 0.7), (200, 0.7), (500, 0.7), (800, 1.0):
            ab = self.net.alphas_bar[t]
            x = ab.sqrt() * x0 + (1 - ab).sqrt() * eps
            by_moments = (1 - ab).sqrt() * (x - ab.sqrt() * self.mean) / (ab * self.variance + 1 - ab)
            for name, condition, share in ("class", label, 0.7), ("none", torch.full_like(label, 10), without_class):
                with self.subTest(t=t, condition=name), torch.no_grad():
                    error = (self.net(x, torch.full_like(label, t), condition) - eps).square().mean().item()
                    self.assertLess(error, share * (by_moments - eps).square().mean().item())

    @unittest.skipUnless(DATA.is_dir(), "dataset-fashion-mnist is not installed")
    def test_the_scripts_make_such_files(self):
        folder = Path(self.enterContext(tempfile.TemporaryDirectory()))
        script = JOB_SCRIPTS / "fashion_mnist_unet.py"
        for words in (["train", folder, "--hours", "2e-4"], ["files", folder]):
            process = subprocess.run([sys.executable, script, *words], capture_output=True, text=True, check=False)
            self.assertEqual(process.returncode, 0, process.stderr)
        name = "fashion_mnist_unet_scheduler.json"
        self.assertEqual((folder / name).read_text(), (NETWORKS / name).read_text())
        with h5py.File(folder / "fashion_mnist_moments.h5") as file:
            torch.testing.assert_close(torch.from_numpy(file["mean"][()]), self.mean)
            torch.testing.assert_close(torch.from_numpy(file["variance"][()]), self.variance)
        process = run("export_pytorch.py", "--denoiser", f"{script}:make_denoiser", "-o", folder / "unet.pt",
                      environment={"DEEPPCR_UNET": str(folder)})
        self.assertEqual(process.returncode, 0, process.stderr)
        self.assertEqual(torch.jit.load(str(folder / "unet.pt")).code, self.net.code)


if __name__ == "__main__":
    unittest.main(verbosity=2)
