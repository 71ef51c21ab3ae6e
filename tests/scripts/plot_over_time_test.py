#!/usr/bin/python3
"""Tests of the pictures over time of apps/plot_trace.py (--signal), and of the cells that they run."""
import tempfile
import unittest
from pathlib import Path

import h5py
import matplotlib.image
import numpy as np
from run_script import assert_refused, run_here
from deeppcr_over_time import Signal, read_layers

try:
    import torch
except ImportError:
    torch = None

T, D, N = 6, 3, 4


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


class OverTime(unittest.TestCase):
    def setUp(self):
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.rng = np.random.default_rng(0)
        self.cells, self.signal, self.said = (self.folder / name for name in ("w.h5", "signal.h5", "said.h5"))
        self.x = self.rng.normal(size=(T, D))

    def file(self, path, attributes=(), **datasets):
        with h5py.File(path, "w") as file:
            file.attrs.update(dict(attributes))
            for name, values in datasets.items():
                file[name] = values

    def random(self, *shape):
        return self.rng.normal(size=shape)

    def states(self):
        with h5py.File(self.cells) as file:
            x = self.x
            for layer in read_layers(file):
                x, gates = layer.run(x)
        return x, gates


class Cells(OverTime):
    def assert_states(self, wanted):
        np.testing.assert_allclose(self.states()[0], wanted, rtol=0, atol=1e-13)

    @unittest.skipIf(torch is None, "PyTorch is not installed (Debian: python3-torch)")
    def test_those_of_pytorch(self):
        for make, words in (("RNN", {}), ("RNN", {"nonlinearity": "relu"}), ("GRU", {}), ("LSTM", {})):
            for layers in (1, 2):
                net = getattr(torch.nn, make)(D, N, layers, **words).double()
                arrays = {}
                for name, values in net.state_dict().items():
                    part, _, layer = name.rpartition("_l")
                    arrays[f"cell/{layer}/{part}" if layers > 1 else part] = values.numpy()
                self.file(self.cells, {"activation": "relu"} if words else {}, **arrays)
                with self.subTest(cell=make, layers=layers), torch.no_grad():
                    self.assert_states(net(torch.from_numpy(self.x))[0].numpy())

    def test_reset_before_the_product_in_the_order_of_the_file(self):
        w, u, b = self.random(3, N, D), self.random(3, N, N), self.random(3, N)
        self.file(self.cells, {"gates": "z,r,c", "reset": "before", "candidate": "relu"}, weight_ih=w.reshape(-1, D),
                  weight_hh=u.reshape(-1, N), bias=b.reshape(-1))
        h, wanted = np.zeros(N), []
        for x in self.x:
            z, r = (sigmoid(w[g] @ x + u[g] @ h + b[g]) for g in (0, 1))
            h = z * h + (1 - z) * np.maximum(w[2] @ x + u[2] @ (r * h) + b[2], 0)
            wanted.append(h)
        self.assert_states(wanted)
        self.assertEqual(self.states()[1].shape, (3, T, N))

    def test_diagonal_cells(self):
        w, a, b, p = self.random(3, N, D), self.random(3, N), self.random(3, N), self.random(2, N)
        arrays = {"weight_ih": w.reshape(-1, D), "weight_hh": a.reshape(-1), "bias": b.reshape(-1)}
        u = self.x @ w.reshape(-1, D).T + b.reshape(-1)
        self.file(self.cells, {"cell": "para-gru"}, **arrays)
        h, wanted = np.zeros(N), []
        for ut in u.reshape(T, 3, N):
            z, r = sigmoid(a[0] * h + ut[0]), sigmoid(a[1] * h + ut[1])
            h = (1 - z) * h + z * np.tanh(a[2] * h * r + ut[2])
            wanted.append(h)
        self.assert_states(wanted)
        self.file(self.cells, {"cell": "para-lstm"}, peephole=p.reshape(-1), **arrays)
        h, c, wanted = np.zeros(N), np.zeros(N), []
        for ut in u.reshape(T, 3, N):
            f = sigmoid(a[0] * h + ut[0] + p[0] * c)
            c = f * c + (1 - f) * np.tanh(a[1] * h + ut[1])
            h = sigmoid(a[2] * h + ut[2] + p[1] * c) * np.tanh(c)
            wanted.append(h)
        self.assert_states(wanted)


class Pictures(OverTime):
    def setUp(self):
        super().setUp()
        self.targets = self.random(2, T, 1)
        self.file(self.signal, inputs=self.random(2, T, D), targets=self.targets, lengths=[T, 4])
        self.file(self.said, {"format": "deeppcr-results"}, predictions=self.targets + 0.5)
        self.file(self.cells, {"cell": "gru"}, weight_ih=self.random(3 * N, D), weight_hh=self.random(3 * N, N))

    def plot(self, path, *words):
        return run_here("plot_trace.py", path, "--signal", self.signal, "-o", self.folder / "a.png", "--force", *words)

    def drawn(self, path, *words):
        process = self.plot(path, *words)
        self.assertEqual((process.returncode, process.stderr), (0, ""))
        picture = matplotlib.image.imread(self.folder / "a.png")
        self.assertGreater(picture.std(), 0.05)
        return picture

    def test_predictions(self):
        whole = self.drawn(self.said)
        part = self.drawn(self.said, "--sample", 1, "--steps", "1:3")
        self.assertNotEqual(whole.tobytes(), part.tobytes())

    def test_classes(self):
        labels = self.rng.integers(0, 3, size=(1, T))
        self.file(self.signal, inputs=self.x, labels=labels[0])
        self.file(self.said, predictions=labels)
        self.drawn(self.said)

    def test_gates(self):
        self.drawn(self.cells)
        self.file(self.signal, inputs=self.random(2, T, 9))  # many features
        self.file(self.cells, {"cell": "lstm"}, **{f"cell/{i}/weight_{p}h": self.random(4 * N, N if i or p == "h" else 9)
                                                   for i in (0, 1) for p in "ih"})
        self.assertNotEqual(self.drawn(self.cells).tobytes(), self.drawn(self.cells, "--layer", 0).tobytes())

    def test_steps_of_a_shorter_sequence(self):
        self.assertEqual(list(Signal(self.signal, 1, None).steps), [0, 1, 2, 3])
        self.assertEqual(list(Signal(self.signal, 1, (None, 2)).steps), [0, 1])
        self.assertEqual(list(Signal(self.signal, 1, (3, 99)).steps), [3])

    def test_refusals(self):
        for path, words, phrase in ((self.said, ("--sample", 2), "sequences 0 to 1"),
                                    (self.said, ("--sample", 1, "--steps", "4:5"), "the steps 0 to 3"),
                                    (self.said, ("--layer", 0), "--layer is for weights"),
                                    (self.cells, ("--layer", 1), "the layers 0 to 0"),
                                    (self.signal, (), "neither /predictions nor weights"),
                                    (self.folder / "no.h5", (), "no such file")):
            assert_refused(self, self.plot(path, *words), phrase)
        assert_refused(self, run_here("plot_trace.py", self.said, "--sample", 1), "are for --signal FILE")
        assert_refused(self, run_here("plot_trace.py", self.cells, "--signal", self.signal, "-o", self.signal), "png, .svg")
        self.file(self.said, predictions=self.random(3, T, 1))
        assert_refused(self, self.plot(self.said), "predictions for 3 sequences, but the signal has 2")
        self.file(self.said, predictions=self.random(2, T, 2))
        assert_refused(self, self.plot(self.said), "no /targets for each")
        for attributes, phrase in (({"cell": "cnn"}, "its cell is 'cnn'"), ({"gates": "a,b,c"}, "that is no gru"),
                                   ({"candidate": "sine"}, "its activation is 'sine'")):
            self.file(self.cells, attributes, weight_ih=self.random(3 * N, D), weight_hh=self.random(3 * N, N))
            assert_refused(self, self.plot(self.cells), phrase)
        self.file(self.cells, weight_ih=self.random(3 * N, D + 1), weight_hh=self.random(3 * N, N))
        assert_refused(self, self.plot(self.cells), "3 features, but the cells take 4")
        self.file(self.signal, targets=self.targets)
        assert_refused(self, self.plot(self.said), "no dataset /inputs")


if __name__ == "__main__":
    unittest.main()
