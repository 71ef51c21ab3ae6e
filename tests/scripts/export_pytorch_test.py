#!/usr/bin/python3
"""Tests of apps/export_pytorch.py. Exit code 77 (skipped) where PyTorch is missing."""
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import h5py
import numpy as np
from run_script import APPS, assert_refused, run

try:
    import torch
    from torch import nn
except ImportError:
    print("skipped: PyTorch is not installed (Debian: python3-torch)")
    sys.exit(77)


def chain(steps, width, features=None, classes=None, bias=True):
    """embedding, tanh(layer) x steps, head."""
    torch.manual_seed(0)
    layers = [nn.Linear(features, width)] if features else []
    layers += [part for _ in range(steps) for part in (nn.Linear(width, width, bias=bias), nn.Tanh())]
    return nn.Sequential(*layers, *([nn.Linear(width, classes)] if classes else []))


class ExportPytorch(unittest.TestCase):
    def setUp(self):
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.checkpoint, self.weights = self.folder / "net.pt", self.folder / "weights.h5"

    def export(self, *words):
        process = run("export_pytorch.py", self.checkpoint, "-o", self.weights, *words)
        self.assertEqual(process.returncode, 0, process.stderr)
        return h5py.File(self.weights, "r")

    def refuse(self, state, *phrases, words=()):
        torch.save(state, self.checkpoint)
        assert_refused(self, run("export_pytorch.py", self.checkpoint, "-o", self.weights, *words), *phrases)
        self.assertFalse(self.weights.exists())

    def test_the_file_computes_what_the_network_computes(self):
        for dtype in (torch.float32, torch.float64):
            net = chain(steps=5, width=4, features=7, classes=3).to(dtype)
            torch.save(net.state_dict(), self.checkpoint)
            x = torch.randn(2, 7, dtype=dtype)
            with self.export() as file:
                values = {name: file[name][()] for name in
                          ("layers/weight", "layers/bias", "embedding/weight", "embedding/bias", "head/weight", "head/bias")}
                self.assertEqual(file.attrs["format"], "deeppcr-weights")
            self.assertEqual(values["layers/weight"].shape, (5, 4, 4))
            self.assertEqual(str(values["layers/bias"].dtype), str(dtype).replace("torch.", ""))
            z = x.numpy() @ values["embedding/weight"].T + values["embedding/bias"]
            for weight, bias in zip(values["layers/weight"], values["layers/bias"]):
                z = np.tanh(z @ weight.T + bias)
            logits = z @ values["head/weight"].T + values["head/bias"]
            # Sums of 7 terms at most, 7 layers, each with values of about one.
            np.testing.assert_allclose(logits, net(x).detach().numpy(), rtol=0, atol=49 * np.finfo(z.dtype).eps)

    def test_blocks_of_a_residual_network(self):
        net = chain(steps=6, width=3)
        torch.save(net.state_dict(), self.checkpoint)
        with self.export("--kind", "resnet", "--block-layers", 2) as file:
            self.assertEqual(set(file), {"layers"})
            self.assertEqual(file["layers/weight"].shape, (3, 2, 3, 3))
            self.assertEqual(file["layers/bias"].shape, (3, 2, 3))
            np.testing.assert_array_equal(file["layers/weight"][1, 0], net[4].weight.detach().numpy())

    def test_no_bias_is_a_bias_of_zero(self):
        torch.save(chain(steps=2, width=3, bias=False).state_dict(), self.checkpoint)
        with self.export() as file:
            np.testing.assert_array_equal(file["layers/bias"][()], np.zeros((2, 3)))

    def test_names_where_shapes_do_not_tell(self):
        net = nn.ModuleDict({"body": chain(steps=3, width=4, features=4), "other": nn.Conv2d(1, 1, 3)})
        torch.save(net.state_dict(), self.checkpoint)
        with self.export("--prefix", "body.", "--embedding", "body.0") as file:
            self.assertEqual(file["layers/weight"].shape, (3, 4, 4))
            np.testing.assert_array_equal(file["embedding/weight"][()], net["body"][0].weight.detach().numpy())

    def test_a_function_brings_the_network(self):
        module = self.folder / "made_for_the_test.py"
        module.write_text("from torch import nn\ndef net():\n  return nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))\n",
                          encoding="utf-8")
        subprocess.run([sys.executable, APPS / "export_pytorch.py", "made_for_the_test:net", "-o", self.weights],
                       cwd=self.folder, check=True, capture_output=True)
        with h5py.File(self.weights, "r") as file:
            self.assertEqual(file["layers/weight"].shape, (2, 2, 2))

    def test_refuses_what_is_no_chain(self):
        self.refuse(nn.Sequential(nn.Conv2d(1, 2, 3)).state_dict(), "0.weight", "fully connected")
        self.refuse(nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 3), nn.Linear(3, 3)).state_dict(), "'1'", "[3, 2]")
        self.refuse(nn.Sequential(nn.Linear(2, 3)).state_dict(), "no chain")
        self.refuse(chain(3, 2).state_dict(), "blocks of 2", words=("--kind", "resnet", "--block-layers", 2))
        self.refuse(chain(2, 2).state_dict(), "no layer 'x'", words=("--head", "x"))
        self.refuse(nn.Sequential(nn.Linear(2, 2), nn.LayerNorm(2)).state_dict(), "1.weight")
        self.refuse({}, "no state_dict")
        self.refuse(chain(2, 2), "state_dict")

    def test_refuses_broken_files_and_folders(self):
        words = (self.checkpoint, "-o", self.weights)
        assert_refused(self, run("export_pytorch.py", *words), "no such file")
        self.checkpoint.write_bytes(b"nothing of the kind")
        assert_refused(self, run("export_pytorch.py", *words), "net.pt")
        torch.save(chain(2, 2).state_dict(), self.checkpoint)
        self.checkpoint.write_bytes(self.checkpoint.read_bytes()[:200])
        assert_refused(self, run("export_pytorch.py", *words), "net.pt")
        torch.save(chain(2, 2).state_dict(), self.checkpoint)
        assert_refused(self, run("export_pytorch.py", self.checkpoint, "-o", self.folder / "no" / "w.h5"), "w.h5")


if __name__ == "__main__":
    unittest.main()
