#!/usr/bin/python3
"""Tests of apps/export_pytorch.py with recurrent networks. Exit code 77 (skipped) where PyTorch is missing."""
import sys
import tempfile
import unittest
import warnings
from pathlib import Path

import h5py
import numpy as np
from run_script import assert_refused, run_here

try:
    import torch
    from torch import nn
except ImportError:
    print("skipped: PyTorch is not installed (Debian: python3-torch)")
    sys.exit(77)
try:
    import onnx
    from onnx import TensorProto, helper, numpy_helper
except ImportError:
    onnx = None

GATES = {"rnn": "h", "gru": "rzn", "lstm": "ifgo"}
FUNCTIONS = {"tanh": np.tanh, "relu": lambda a: np.maximum(a, 0)}


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


def run_layer(file, group, attributes, x):
    """The states [T, n] of one layer as its file describes it, by the equations themselves; x [T, d]."""
    cell, n = attributes["cell"], group["weight_hh"].shape[1]
    order = attributes.get("gates", "h").split(",")
    zero = np.zeros(len(order) * n)
    biases = [group[name][()] if name in group else zero for name in ("bias_ih", "bias_hh")]

    def part(array, gate):
        place = order.index(gate)
        return array[place * n:(place + 1) * n]

    w, u = ({g: part(group[name][()], g) for g in order} for name in ("weight_ih", "weight_hh"))
    b, v = ({g: part(bias, g) for g in order} for bias in biases)
    h, c, states = np.zeros(n), np.zeros(n), []
    for xt in x:
        a = {g: w[g] @ xt + b[g] for g in order}
        if cell == "rnn":
            h = FUNCTIONS[attributes["activation"]](a["h"] + u["h"] @ h + v["h"])
        elif cell == "gru":
            new = "n" if "n" in order else "h"
            r, z = (sigmoid(a[g] + u[g] @ h + v[g]) for g in "rz")
            inner = r * (u[new] @ h + v[new]) if attributes["reset"] == "after" else u[new] @ (r * h) + v[new]
            h = (1 - z) * FUNCTIONS[attributes["candidate"]](a[new] + inner) + z * h
        else:
            i, f, o = (sigmoid(a[g] + u[g] @ h + v[g]) for g in "ifo")
            c = f * c + i * np.tanh(a["g"] + u["g"] @ h + v["g"])
            h = o * np.tanh(c)
        states.append(h)
    return np.array(states)


def run_file(path, x):
    """The states of the last layer, and the logits where the file has a head."""
    with h5py.File(path) as file:
        groups = [file["cell"][name] for name in sorted(file["cell"], key=int)] if "cell" in file else [file]
        for group in groups:
            x = run_layer(file, group, dict(file.attrs), x)
        return x @ file["head/weight"][()].T + file["head/bias"][()] if "head" in file else x


class Classifier(nn.Module):
    def __init__(self, rnn, classes=3):
        super().__init__()
        self.rnn, self.fc = rnn, nn.Linear(rnn.hidden_size, classes)


class Exports(unittest.TestCase):
    def setUp(self):
        torch.manual_seed(0)
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.source, self.weights = self.folder / "net.pt", self.folder / "w.h5"
        self.x = torch.randn(6, 5, dtype=torch.float64)

    def export(self, state, *words, said=""):
        torch.save(state, self.source)
        return self.check(run_here("export_pytorch.py", self.source, "-o", self.weights, *words), said)

    def check(self, process, said=""):
        self.assertEqual(process.returncode, 0, process.stderr)
        self.assertIn(said, process.stderr)
        self.assertEqual(process.stderr == "", said == "", process.stderr)
        return process.stdout

    def refuse(self, state, *phrases, words=()):
        torch.save(state, self.source)
        with self.subTest(phrases=phrases):
            assert_refused(self, run_here("export_pytorch.py", self.source, "-o", self.weights, *words), *phrases)
            self.assertFalse(self.weights.exists())

    def assert_same(self, wanted, layers=1):
        # Sums of 5 terms at most in each of 6 steps and some layers, of values of about one.
        np.testing.assert_allclose(run_file(self.weights, self.x.numpy()), wanted.detach().numpy(), rtol=0,
                                   atol=100 * layers * np.finfo(float).eps)


class StateDicts(Exports):
    def test_the_file_computes_what_the_network_computes(self):
        for make, cell in ((nn.RNN, "rnn"), (nn.GRU, "gru"), (nn.LSTM, "lstm")):
            for layers in (1, 3):
                for bias in (True, False):
                    net = make(5, 4, layers, bias=bias).double()
                    said = "do not say its activation" if cell == "rnn" else ""
                    out = self.export(net.state_dict(), said=said)
                    self.assertIn(f"{layers} layers {cell} of 4 units, 5 features", out)
                    self.assert_same(net(self.x)[0], layers)
                    with h5py.File(self.weights) as file:
                        self.assertEqual((file.attrs["format"], file.attrs["cell"]), ("deeppcr-weights", cell))
                        self.assertEqual("cell" in file, layers > 1)

    def test_cells_alone_and_stacked(self):
        for make in (nn.RNNCell, nn.GRUCell, nn.LSTMCell):
            cells = nn.ModuleList([make(5, 4), *(make(4, 4) for _ in range(10))]).double()
            self.export(cells.state_dict(), *(["--activation", "tanh"] if make is nn.RNNCell else []))
            x = self.x
            for cell in cells:
                h, states = None, []
                for xt in x:
                    h = cell(xt, h)
                    states.append(h[0] if isinstance(h, tuple) else h)
                x = torch.stack(states)
            self.assert_same(x, 11)
        self.export(nn.GRUCell(2, 3).state_dict())
        with h5py.File(self.weights) as file:
            self.assertEqual(file["weight_ih"].shape, (9, 2))
            self.assertEqual(str(file["weight_ih"].dtype), "float32")

    def test_activation_of_an_rnn(self):
        net = nn.RNN(5, 4, nonlinearity="relu").double()
        self.export(net.state_dict(), "--activation", "relu")
        self.assert_same(net(self.x)[0])
        self.weights.unlink()
        self.refuse(nn.GRU(2, 2).state_dict(), "--activation is for an RNN", words=("--activation", "tanh"))

    def test_a_head_behind_the_cells(self):
        net = Classifier(nn.LSTM(5, 4, 2)).double()
        self.assertIn("head to 3 classes", self.export({"epoch": 3, "model": net.state_dict()}, said="those of 'model'"))
        self.assert_same(net.fc(net.rnn(self.x)[0]), 2)
        net.extra = nn.Linear(4, 4)
        self.export(net.state_dict(), "--prefix", "rnn.")
        self.assert_same(net.rnn(self.x)[0], 2)
        self.weights.unlink()
        self.refuse(net.state_dict(), "'fc' is no recurrent layer", "--head")
        self.refuse(net.state_dict(), "'fc' is no recurrent layer", words=("--head", "extra"))
        self.refuse(net.state_dict(), "no layer 'x'", words=("--head", "x"))
        self.refuse({**net.rnn.state_dict(), "fc.weight": torch.ones(2, 3)}, "starts from 3 values, the cells have 4")
        self.refuse({**net.rnn.state_dict(), "norm.weight": torch.ones(3)}, "norm.weight")

    def test_what_stands_before_the_cells_is_no_head(self):
        gru = nn.GRU(4, 4)
        embedded = nn.ModuleDict({"embedding": nn.Embedding(100, 4), "rnn": gru}).state_dict()
        self.refuse(embedded, "'embedding' stands before the cells", "--head", "--prefix")
        projected = nn.ModuleDict({"project": nn.Linear(4, 4), "rnn": gru})
        self.refuse(projected.state_dict(), "'project' stands before the cells")
        self.refuse(dict(reversed(projected.state_dict().items())), "'project' has 4 outputs, as many as an input")
        self.refuse({**embedded, "fc.weight": torch.ones(3, 4)}, "'embedding' is no recurrent layer", words=("--head", "fc"))
        self.assertIn("head to 4 classes", self.export(projected.state_dict(), "--head", "project"))

    def test_refuses_what_no_chain_computes(self):
        self.refuse(nn.GRU(2, 3, bidirectional=True).state_dict(), "weight_ih_l0_reverse", "bidirectional")
        self.refuse(nn.LSTM(2, 3, proj_size=2).state_dict(), "weight_hr_l0", "proj_size")
        two = nn.ModuleDict({"encoder": nn.GRU(2, 3), "decoder": nn.GRU(2, 3)}).state_dict()
        self.refuse(two, "several recurrent networks, 'decoder' and 'encoder'", "--prefix")
        self.export(two, "--prefix", "decoder.")
        self.weights.unlink()
        state = nn.GRU(2, 3, 3).state_dict()
        self.refuse({k: v for k, v in state.items() if "_l1" not in k}, "layer 1 of '' is missing")
        self.refuse({k: v for k, v in state.items() if k != "weight_hh_l2"}, "layer 2 has no weight_hh")
        cells = nn.ModuleList([nn.GRUCell(2, 3), *(nn.GRUCell(3, 3) for _ in range(3))]).state_dict()
        self.refuse({k: v for k, v in cells.items() if not k.startswith("2.")}, "1 the numbers go on with 3")
        self.refuse(nn.ModuleList([nn.GRUCell(2, 3), nn.GRUCell(3, 4)]).state_dict(), "layer 1 has shape")
        self.refuse(nn.ModuleList([nn.GRUCell(2, 3), nn.LSTMCell(3, 3)]).state_dict(), "layer 1 has shape")
        self.refuse({"weight_ih": torch.ones(4, 2), "weight_hh": torch.ones(4, 2)}, "[n, n], [3 n, n] and [4 n, n]")
        self.refuse({**nn.GRUCell(2, 3).state_dict(), "bias_hh": torch.ones(3)}, "bias_hh of layer 0")
        for word in ("--kind=mlp", "--block-layers=1", "--embedding=x"):
            self.refuse(nn.GRU(2, 3).state_dict(), "says nothing of recurrent cells", words=(word,))

    def test_modules_of_a_function(self):
        module = self.folder / "made_cells.py"
        module.write_text("from torch import nn\nnet = None\ndef make():\n  return net\n", encoding="utf-8")
        sys.path.insert(0, str(self.folder))
        self.addCleanup(sys.path.remove, str(self.folder))
        import made_cells
        words = ("export_pytorch.py", "made_cells:make", "-o", self.weights)
        made_cells.net = nn.RNN(5, 4, nonlinearity="relu").double()
        self.check(run_here(*words))
        self.assert_same(made_cells.net(self.x)[0])
        assert_refused(self, run_here(*words, "--activation", "tanh"), "the module itself says relu")
        made_cells.net = nn.GRU(5, 4, 2, dropout=0.5).double()
        assert_refused(self, run_here(*words), "in training with dropout 0.5", "eval()")
        made_cells.net.eval()
        self.check(run_here(*words))
        self.assert_same(made_cells.net(self.x)[0], 2)


@unittest.skipIf(onnx is None, "ONNX is not installed (Debian: python3-onnx)")
class Onnx(Exports):
    def setUp(self):
        super().setUp()
        self.source = self.folder / "net.onnx"

    def onnx(self, *words):
        return run_here("export_pytorch.py", "--onnx", self.source, "-o", self.weights, *words)

    def save(self, nodes, values):
        """A model of these nodes; values: the initializers by name."""
        graph = helper.make_graph(nodes, "g", [helper.make_tensor_value_info("X", TensorProto.DOUBLE, None)],
                                  [helper.make_tensor_value_info("Y", TensorProto.DOUBLE, None)],
                                  [numpy_helper.from_array(np.asarray(value), name) for name, value in values.items()])
        self.source.write_bytes(helper.make_model(graph).SerializeToString())

    def save_node(self, kind="GRU", inputs=("X", "W", "R", "B"), changes=None, **attributes):
        """One node of 4 units and 5 features with random weights; changes: of its initializers."""
        gates, rng = {"RNN": 1, "GRU": 3, "LSTM": 4}[kind], np.random.default_rng(0)
        values = {"W": rng.normal(size=(1, 4 * gates, 5)), "R": rng.normal(size=(1, 4 * gates, 4)),
                  "B": rng.normal(size=(1, 8 * gates)), **(changes or {})}
        self.save([helper.make_node(kind, inputs, ["Y"], hidden_size=4, **attributes)], values)
        return values

    def test_what_pytorch_exports(self):
        for make in (nn.RNN, nn.GRU, nn.LSTM):
            for layers in (1, 2):
                net = make(5, 4, layers).double().eval()
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    torch.onnx.export(net, self.x[:, None], str(self.source))
                self.check(self.onnx())
                self.assert_same(net(self.x[:, None])[0][:, 0], layers)

    def test_reset_before_the_product_and_relu(self):
        """Against the equations of ONNX, gates z, r, h."""
        for after in (0, 1):
            values = self.save_node(linear_before_reset=after, activations=["Sigmoid", "Relu"])
            self.check(self.onnx())
            w, r = values["W"][0].reshape(3, 4, 5), values["R"][0].reshape(3, 4, 4)
            wb, rb = values["B"][0].reshape(2, 3, 4)
            h, states = np.zeros(4), []
            for x in self.x.numpy():
                z, reset = (sigmoid(w[g] @ x + r[g] @ h + wb[g] + rb[g]) for g in (0, 1))
                inner = reset * (r[2] @ h + rb[2]) if after else r[2] @ (reset * h) + rb[2]
                h = (1 - z) * np.maximum(w[2] @ x + inner + wb[2], 0) + z * h
                states.append(h)
            self.assert_same(torch.tensor(np.array(states)))
            with h5py.File(self.weights) as file:
                self.assertEqual((file.attrs["reset"], file.attrs["gates"]), ("after" if after else "before", "z,r,h"))

    def test_refuses_what_no_chain_computes(self):
        for words, phrases in (({"direction": "reverse"}, ["is reverse"]), ({"clip": 1.0}, ["clip = 1.0"]),
                               ({"activations": ["HardSigmoid", "Tanh"]}, ["HardSigmoid, Tanh"]),
                               ({"inputs": ("X", "W", "R", "B", "L")}, ["sequence_lens"]),
                               ({"inputs": ("X", "X", "R", "B")}, ["computes its W"]),
                               ({"changes": {"W": np.zeros((2, 12, 5))}}, ["shape [2, 12, 5]"]),
                               ({"changes": {"R": np.zeros((1, 12, 3))}}, ["do not fit"]),
                               ({"kind": "LSTM", "inputs": ("X", "W", "R", "B", "", "", "", "P")}, ["peepholes"]),
                               ({"kind": "LSTM", "input_forget": 1}, ["input_forget"])):
            self.save_node(**words)
            with self.subTest(words=words):
                assert_refused(self, self.onnx(), *phrases)
        self.save([helper.make_node("Relu", ["X"], ["Y"])], {})
        assert_refused(self, self.onnx(), "no RNN, GRU or LSTM node")
        self.source.write_bytes(b"nothing of the kind")
        assert_refused(self, self.onnx(), "it is no ONNX model")
        self.source.unlink()
        assert_refused(self, self.onnx(), "no such file")

    def test_nodes_that_are_no_stack(self):
        w, r = np.ones((1, 12, 5)), np.ones((1, 12, 4))
        nodes = [helper.make_node("GRU", ["X", "W", "R"], [name], hidden_size=4) for name in ("Y1", "Y")]
        self.save(nodes, {"W": w, "R": r})
        assert_refused(self, self.onnx(), "do not stand one above the other")

    def test_what_changes_the_inputs_is_refused(self):
        w, r = np.ones((1, 12, 5)), np.ones((1, 12, 4))
        cell = helper.make_node("GRU", ["S", "W", "R"], ["Y"], hidden_size=4)
        for node in (helper.make_node("Mul", ["X", "C"], ["S"], name="scale"),
                     helper.make_node("Gather", ["C", "X"], ["S"], name="table")):
            hand_on = helper.make_node("Identity", ["S"], ["S2"])
            for nodes in ([node, cell], [node, hand_on, helper.make_node("GRU", ["S2", "W", "R"], ["Y"], hidden_size=4)]):
                self.save(nodes, {"W": w, "R": r, "C": np.ones((9, 5))})
                assert_refused(self, self.onnx(), f"{node.op_type} node '{node.name}' computes the inputs of GRU node 'Y'")
        self.save([helper.make_node("Transpose", ["X"], ["S"], perm=[1, 0, 2]), cell], {"W": w, "R": r})
        self.check(self.onnx())

    def test_what_is_left_out_is_named(self):
        self.save_node()
        model = onnx.load(str(self.source))
        model.graph.node.append(helper.make_node("Mul", ["Y", "C"], ["M"]))
        model.graph.node.append(helper.make_node("MatMul", ["M", "V"], ["Z"]))
        model.graph.initializer.append(numpy_helper.from_array(np.ones((4, 2)), "V"))
        self.source.write_bytes(model.SerializeToString())
        self.check(self.onnx(), said="not MatMul, Mul")
        self.save_node(inputs=("X", "W", "R", "B", "", "H"), changes={"H": np.ones((1, 1, 4))})
        self.check(self.onnx(), said="starts from a state of its own")

    def test_words(self):
        assert_refused(self, run_here("export_pytorch.py", "-o", self.weights), "give SOURCE, --onnx FILE, --blocks")
        assert_refused(self, self.onnx("--prefix", "a"), "--prefix says nothing of an ONNX model")


if __name__ == "__main__":
    unittest.main()
