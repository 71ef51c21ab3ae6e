#!/usr/bin/python3
"""Tests of apps/export_pytorch.py. Exit code 77 (skipped) where PyTorch is missing."""
import collections
import os
import pickle
import resource
import sys
import tempfile
import unittest
from pathlib import Path

import h5py
import numpy as np
from run_script import assert_refused, run, run_here

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


def numbered(names, width=2, **sizes):
    """A state_dict of layers n -> n whose entries are all the position in names; sizes: (out, in) of some of them."""
    state = collections.OrderedDict()
    for i, name in enumerate(names):
        out, features = sizes.get(name, (width, width))
        state[f"{name}.weight"], state[f"{name}.bias"] = torch.full((out, features), float(i)), torch.full((out,), float(i))
    return state


def in_key_order(state):
    return collections.OrderedDict(sorted(state.items()))


class ExportPytorch(unittest.TestCase):
    def setUp(self):
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.checkpoint, self.weights = self.folder / "net.pt", self.folder / "weights.h5"

    def export(self, *words, said=""):
        process = run_here("export_pytorch.py", self.checkpoint, "-o", self.weights, *words)
        self.assertEqual(process.returncode, 0, process.stderr)
        self.assertIn(said, process.stderr)
        self.assertEqual(process.stderr == "", said == "", process.stderr)
        return h5py.File(self.weights, "r")

    def refuse(self, state, *phrases, words=()):
        torch.save(state, self.checkpoint)
        with self.subTest(phrases=phrases):
            assert_refused(self, run_here("export_pytorch.py", self.checkpoint, "-o", self.weights, *words), *phrases)
            self.assertFalse(self.weights.exists())

    def assert_order(self, state, expected, *words, said="", head=None):
        """Exports a state_dict made by numbered(); expected: the numbers of the chain's layers."""
        torch.save(state, self.checkpoint)
        with self.subTest(names=list(state)), self.export(*words, said=said) as file:
            np.testing.assert_array_equal(file["layers/weight"][:, 0, 0], expected)
            np.testing.assert_array_equal(file["layers/bias"][:, 0], expected)
            self.assertEqual("head" in file and file["head/bias"][0], head is not None and head)

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

    def test_layers_are_taken_by_number(self):
        reordered = "taken by number"
        many = [f"layers.{i}" for i in range(12)]
        self.assert_order(numbered(many), range(12))
        self.assert_order(in_key_order(numbered(many)), range(12), said=reordered)
        blocks = [f"net.{i}.lin{k}" for i in range(11) for k in (1, 2)]
        self.assert_order(in_key_order(numbered(blocks)), range(22), said=reordered)
        self.assert_order(in_key_order(numbered([f"{2 * i}" for i in range(7)])), range(7), said=reordered)
        ends = numbered(["0", *(f"{1 + 2 * i}" for i in range(6)), "13"], **{"0": (2, 5), "13": (3, 2)})
        self.assert_order(in_key_order(ends), range(1, 7), said=reordered, head=7)

    def test_ends_keep_their_places_or_are_named(self):
        names = ["embed", *(f"layers.{i}" for i in range(12)), "head"]
        named = ("--embedding", "embed", "--head", "head")
        by_shape, square = numbered(names, embed=(2, 5), head=(3, 2)), numbered(names)
        self.assert_order(by_shape, range(1, 13), head=13)
        for state in (by_shape, square):
            self.assert_order(in_key_order(state), range(1, 13), *named, said="taken by number", head=13)
        self.assert_order(square, range(14), said="in the order of the file: embed, layers.0")
        self.weights.unlink()
        self.refuse(in_key_order(by_shape), "'head' is [3, 2]", "--head")
        self.refuse(in_key_order(square), "cannot be told", "--head")
        # With few layers the two orders look alike but for the ends and the biases.
        self.refuse(in_key_order(numbered(["embed", "layers.0", "layers.1", "head"])), "cannot be told")
        # A bottleneck is no embedding and head.
        self.refuse(numbered(["0", "1", "2", "3"], **{"1": (1, 2), "2": (2, 1)}), "'1' is [1, 2]")

    def test_refuses_missing_layers(self):
        for names, phrase in ((("l.0", "l.1", "l.3"), "1 the numbers go on with 3"), (("l.2", "l.3"), "starts with 2"),
                              (("l.1", "l.01"), "same number"),
                              (("b.0.1", "b.0.2", "b.1.1"), "some are missing"),
                              (("embed", "l.0", "l.1", "l.3"), "1 the numbers go on with 3")):
            self.refuse(numbered(names), phrase)

    def test_checkpoints_in_dictionaries(self):
        state = numbered(["l.0", "l.1"])
        net = chain(2, 2)
        optimiser = torch.optim.Adam(net.parameters())
        net(torch.ones(1, 2)).sum().backward()
        optimiser.step()
        beside = {"epoch": 3, "loss": 0.25, "best": torch.tensor(0.1), "optimizer_state_dict": optimiser.state_dict(),
                  "rng": {"cpu": torch.get_rng_state()}, "config": collections.Counter(a=1)}
        for name in ("state_dict", "model_state_dict", "model", "net"):
            self.assert_order({**beside, name: state}, range(2), said=f"those of '{name}'")
        self.assert_order({"trainer": {"model": state}}, range(2), said="those of 'trainer.model'")
        several = {**beside, "model": state, "ema": numbered(["l.1", "l.0"])}
        self.assert_order(several, range(2), "--key", "model")
        self.weights.unlink()
        self.refuse(several, "'model', 'ema'", "--key")
        self.refuse(several, "no state_dict 'no'", "'model', 'ema'", words=("--key", "no"))
        self.refuse(state, "it is one itself", words=("--key", "model"))
        self.refuse({"model": net, "epoch": 3}, "no state_dict", "'model' (Sequential)", "'epoch' (int)")

    def test_refuses_what_is_no_weight(self):
        for change, phrase in ((lambda w: torch.complex(w, w), "complex"), (lambda w: w.to_sparse(), "sparse"),
                               (lambda w: torch.quantize_per_tensor(w, 0.1, 0, torch.qint8), "quantised"),
                               (lambda w: w.to(torch.int8), "torch.int8"), (lambda w: w > 0, "torch.bool"),
                               (lambda w: w.to("meta"), "no values"), (lambda w: 3, "no tensor (int)"),
                               (lambda w: w[:0], "[0, 2]")):
            state = numbered(["l.0", "l.1"])
            state["l.1.weight"] = change(state["l.1.weight"])
            self.refuse(state, "'l.1.weight'", phrase)
            self.module(state)
            assert_refused(self, self.call("net"), "'l.1.weight'", phrase)
        self.refuse({**numbered(["l.0"]), 7: torch.ones(2)}, "key 7")
        self.refuse([torch.ones(2, 2)], "it is a list")
        state = numbered(["l.0", "l.1"])
        state["l.1.weight"][0, 1] = float("nan")
        self.assert_order(state, range(2), said="'l.1.weight' holds 1 values that are not finite")

    def module(self, state):
        """A module of Python whose function net() returns the state; its others go wrong."""
        self.folder.joinpath("made.py").write_text(
            f"import sys, torch\ndef net():\n  return made.state\ndef fails():\n  raise OSError('one\\ntwo')\n"
            "def ends():\n  sys.exit(3)\ndef asks(x):\n  pass\ndef linear():\n  return torch.nn.Linear(2, 2)\n"
            "made = sys.modules[__name__]\n", encoding="utf-8")
        sys.modules.pop("made", None)
        sys.path.insert(0, str(self.folder))
        self.addCleanup(sys.path.remove, str(self.folder))
        __import__("made").state = state

    def call(self, function, *words):
        return run_here("export_pytorch.py", f"made:{function}", "-o", self.weights, *words)

    def test_a_function_brings_the_network(self):
        self.module(numbered(["l.0", "l.1"]))
        self.folder.joinpath("wrong.py").write_text("def net(:\n", encoding="utf-8")
        for function, words in (("net", "2 steps of width 2"), ("linear", "1 steps of width 2")):
            self.assertIn(words, self.call(function).stdout)
        for function, phrase in (("fails", "OSError: one"), ("ends", "SystemExit: 3"), ("asks", "TypeError"),
                                 ("none", "no attribute 'none'")):
            assert_refused(self, self.call(function), phrase)
        for source, phrase in (("wrong:net", "SyntaxError"), ("no_such_module:net", "ModuleNotFoundError")):
            assert_refused(self, run_here("export_pytorch.py", source, "-o", self.weights), phrase)
        self.weights = self.folder / "made.py"
        assert_refused(self, self.call("net", "--force"), "is read by this run")

    def test_no_code_runs(self):
        mark = self.folder / "code ran"

        class Trap:
            def __reduce__(self):
                return os.mkdir, (str(mark),)

        state = numbered(["l.0"])
        for zipped in (True, False):
            torch.save({**state, "trap": Trap()}, self.checkpoint, _use_new_zipfile_serialization=zipped)
            assert_refused(self, run_here("export_pytorch.py", self.checkpoint, "-o", self.weights), "net.pt")
            self.assertFalse(mark.exists())
        torch.save({"model": state, "trap": Trap()}, self.checkpoint)
        self.export(said="'model'").close()
        self.assertFalse(mark.exists())

    def test_files_of_before_version_1_6(self):
        torch.save(numbered(["l.0", "l.1"]), self.checkpoint, _use_new_zipfile_serialization=False)
        with self.export() as file:
            np.testing.assert_array_equal(file["layers/bias"][:, 0], [0, 1])

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
        def refused(*phrases, output=self.weights):
            assert_refused(self, run_here("export_pytorch.py", self.checkpoint, "-o", output), *phrases)

        refused("no such file")
        for data in (b"nothing of the kind", b"", pickle.dumps({"a": 1}), b"PK\x05\x06" + 18 * b"\0"):
            self.checkpoint.write_bytes(data)
            refused("net.pt")
        torch.save(chain(2, 2).state_dict(), self.checkpoint)
        whole = self.checkpoint.read_bytes()
        for data in (whole[:200], whole[:300] + b"xxxx" + whole[304:]):
            self.checkpoint.write_bytes(data)
            refused("net.pt")
        torch.jit.script(chain(2, 2)).save(self.checkpoint)
        refused("TorchScript")
        self.checkpoint.unlink()
        self.checkpoint.mkdir()
        refused("is a directory")
        self.checkpoint.rmdir()
        os.mkfifo(self.checkpoint)
        refused("no regular file")
        self.checkpoint.unlink()
        torch.save(chain(2, 2).state_dict(), self.checkpoint)
        refused("w.h5", "no folder", output=self.folder / "no" / "w.h5")

    def test_replaces_its_own_weights_only(self):
        torch.save(numbered(["l.0", "l.1"]), self.checkpoint)
        words = ("export_pytorch.py", self.checkpoint, "-o")
        for _ in range(2):
            self.export().close()
        for force in ((), ("--force",)):
            assert_refused(self, run_here(*words, self.checkpoint, *force), "is read by this run")
        self.weights.write_text("a thesis", encoding="utf-8")
        assert_refused(self, run_here(*words, self.weights), "exists and is no weights file of deeppcr (it is text)")
        self.assertEqual(self.weights.read_text(encoding="utf-8"), "a thesis")
        self.export("--force").close()

    def test_a_full_disk_leaves_the_old_weights(self):
        torch.save(chain(20, 30).state_dict(), self.checkpoint)
        self.export().close()
        before = self.weights.read_bytes()
        process = run("export_pytorch.py", self.checkpoint, "-o", self.weights,
                      setup=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000)))
        assert_refused(self, process, "weights.h5", "cannot be written")
        self.assertEqual(self.weights.read_bytes(), before)
        self.assertEqual(sorted(os.listdir(self.folder)), ["net.pt", "weights.h5"])

    def test_names_of_any_bytes(self):
        self.checkpoint = Path(os.fsdecode(os.fsencode(self.folder) + b"/\xff.pt"))
        self.weights = Path(os.fsdecode(os.fsencode(self.folder) + b"/\xfe.h5"))
        torch.save(chain(2, 2).state_dict(), open(self.checkpoint, "wb"))
        process = run("export_pytorch.py", self.checkpoint, "-o", self.weights)
        self.assertEqual((process.returncode, process.stderr), (0, ""))


if __name__ == "__main__":
    unittest.main()
