"""Recurrent cells over time: signals, weights and first states from files, losses at any step, every solver."""
from pathlib import Path

import h5py
import numpy as np

from program import RANKS, ProgramTest, main

RTOL = 1e-10
CELLS = ("rnn", "gru", "lstm", "para-gru", "para-lstm")
LENGTHS = [9, 4, 0]


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def softmax_loss(y, label):
    return np.log(np.exp(y - y.max()).sum()) - (y - y.max())[label]


class Gru:
    """PyTorch's GRU of several layers, in NumPy: the independent implementation."""

    def __init__(self, features, units, layers, seed=3):
        rng = np.random.default_rng(seed)
        self.n, self.layers = units, []
        for layer in range(layers):
            d = features if layer == 0 else units
            self.layers.append([rng.normal(size=shape) / 2 for shape in
                                ((3 * units, d), (3 * units, units), 3 * units, 3 * units)])

    def write(self, path, **more):
        with h5py.File(path, "w") as file:
            file.attrs["cell"], file.attrs["gates"] = "gru", "r,z,n"
            for k, arrays in enumerate(self.layers):
                for name, values in zip(("weight_ih", "weight_hh", "bias_ih", "bias_hh"), arrays):
                    file[f"cell/{k}/{name}"] = values
            for name, values in more.items():
                file[name] = values

    def step(self, x, h):
        """x [B, d], h [B, layers * n]."""
        n, new = self.n, []
        for k, (w, u, b, c) in enumerate(self.layers):
            old = h[:, k * n:(k + 1) * n]
            i, r = x @ w.T + b, old @ u.T + c
            reset, z = sigmoid(i[:, :n] + r[:, :n]), sigmoid(i[:, n:2 * n] + r[:, n:2 * n])
            x = (1 - z) * np.tanh(i[:, 2 * n:] + reset * r[:, 2 * n:]) + z * old
            new.append(x)
        return np.concatenate(new, axis=1)

    def states(self, x, lengths, first=None):
        """x [B, T, d]; all states [T + 1, B, layers * n]."""
        B, T, _ = x.shape
        z = [np.zeros((B, len(self.layers) * self.n)) if first is None else first]
        for t in range(T):
            has = (t < np.asarray(lengths))[:, None]
            z.append(np.where(has, self.step(x[:, t], z[-1]), z[-1]))
        return np.array(z)


class Sequences(ProgramTest):
    T, B, d, n = 9, 3, 2, 4

    def setUp(self):
        super().setUp()
        self.gru = Gru(self.d, self.n, 2)
        rng = np.random.default_rng(4)
        self.x = rng.normal(size=(self.B, self.T, self.d))
        self.head, self.bias = rng.normal(size=(3, self.n)), rng.normal(size=3)
        self.targets = rng.normal(size=(self.B, self.T, 3))
        self.labels = rng.integers(0, 3, size=(self.B, self.T))
        self.gru.write(self.folder / "w.h5", **{"head/weight": self.head, "head/bias": self.bias})

    def signal(self, name, **more):
        with h5py.File(self.folder / name, "w") as file:
            for key, values in {"inputs": self.x, **more}.items():
                file[key] = values
        return ["--input", name]

    def test_states_are_those_of_the_file(self):
        for name, lengths in (("whole.h5", None), ("masked.h5", LENGTHS)):
            words = self.signal(name, **({} if lengths is None else {"lengths": lengths}))
            report = self.solved("solve", "--weights", "w.h5", *words, "--verify", "--output", "o.h5",
                                 "--force")
            self.assertEqual((report["model"], report["steps"], report["batch"], report["width"],
                              report["state_width"]), ("gru", 9, 3, 4, 8))
            self.assertLessEqual(report["max_error"], RTOL)
            z = self.gru.states(self.x, [9, 9, 9] if lengths is None else lengths)
            with h5py.File(self.folder / "o.h5") as file:
                np.testing.assert_allclose(file["state"][:], z[-1], atol=1e-9)

    def test_a_run_goes_on_where_another_has_ended(self):
        words = ["solve", "--weights", "w.h5", "--rtol", 1e-13]
        whole = self.signal("whole.h5")
        self.solved(*words, *whole, "--output", "all.h5")
        self.solved(*words, *whole, "--steps", 5, "--output", "first.h5")
        x, self.x = self.x, self.x[:, 5:]
        self.solved(*words, *self.signal("rest.h5"), "--state", "first.h5", "--output", "second.h5")
        self.x = x
        with h5py.File(self.folder / "all.h5") as one, h5py.File(self.folder / "second.h5") as two:
            np.testing.assert_allclose(one["state"][:], two["state"][:], atol=1e-12)

    def expected_loss(self, at, kind, lengths):
        z = self.gru.states(self.x, lengths)
        h = z[1:, :, self.n:]
        losses = []
        for b in range(self.B):
            steps = [t for t in range(self.T) if t < lengths[b]]
            if at == "last":
                steps = steps[-1:]
            if kind == "mean-square":
                each = [((h[t, b] @ self.head.T + self.bias - self.targets[b, t]) ** 2).mean()
                        for t in steps]
            elif at == "rate":
                each = [softmax_loss(h[steps, b].mean(axis=0) @ self.head.T + self.bias,
                                     self.labels[b, t]) for t in steps[-1:]]
            else:
                each = [softmax_loss(h[t, b] @ self.head.T + self.bias, self.labels[b, t])
                        for t in steps]
            losses += [np.mean(each)] if each else []
        return np.mean(losses) if losses else 0

    def test_losses_at_any_step(self):
        lengths = [9, 4, 1]
        words = self.signal("s.h5", lengths=lengths, labels=self.labels, targets=self.targets)
        for kind, at in (("cross-entropy", "last"), ("cross-entropy", "each"),
                         ("cross-entropy", "rate"), ("mean-square", "last"), ("mean-square", "each")):
            with self.subTest(kind=kind, at=at):
                report = self.solved("gradient", "--weights", "w.h5", *words, "--loss", kind,
                                     "--loss-at", at, "--verify", "--rtol", 1e-13, "--output", "g.h5",
                                     "--force")
                self.assertAlmostEqual(report["loss"], self.expected_loss(at, kind, lengths), delta=1e-11)
                self.assertLessEqual(report["max_error"], 1e-9)
                self.check_gradient(words, kind, at)

    def test_squared_error_compares_with_labels_alone(self):
        plain = self.signal("plain.h5", labels=self.labels)
        both = self.signal("both.h5", labels=self.labels, targets=self.targets[:, :, :1])
        words = ["--weights", "w.h5", "--loss", "squared-error", "--loss-rows", "every", "--rtol", 1e-13]
        h = self.gru.states(self.x, [9, 9, 9])[1:, :, self.n:]
        unit = np.eye(self.n)[self.labels].transpose(1, 0, 2)
        for files in (plain, both):
            loss = self.solved("gradient", *words, *files)["loss"]
            self.assertAlmostEqual(loss, ((h - unit) ** 2).mean(), delta=1e-11)
        trained = ["train", *words[:-2], "--epochs", 1, "--batch", 3, "--test-share", 0]
        self.assertEqual(self.solved(*trained, *both)["loss"], self.solved(*trained, *plain)["loss"])

    def test_a_sample_without_steps_adds_nothing(self):
        for lengths, score in (([9, 4, 0], None), ([0, 0, 0], 0)):
            words = self.signal(f"{lengths[1]}.h5", lengths=lengths, labels=self.labels)
            for at in ("last", "each", "rate"):
                with self.subTest(lengths=lengths, at=at):
                    report = self.solved("gradient", "--weights", "w.h5", *words, "--loss-at", at,
                                         "--rtol", 1e-13, "--verify")
                    self.assertAlmostEqual(report["loss"], self.expected_loss(at, "", lengths), delta=1e-11)
                    self.assertLessEqual(report["max_error"], 1e-9)
                    if score is not None:
                        self.assertEqual((report["loss"], report["accuracy"]), (0, score))

    def test_training_starts_from_the_head_of_the_file(self):
        self.x = (self.x - self.x.mean(axis=(0, 1))) / self.x.std(axis=(0, 1))
        words = ["--weights", "w.h5", *self.signal("s.h5", labels=self.labels, lengths=[9, 9, 9])]
        train = ["train", *words, "--epochs", 1, "--batch", 3, "--test-share", 0, "--learning-rate", 1e-12]
        for at in ("last", "each"):
            wanted = self.solved("gradient", *words, "--loss-at", at)
            report = self.solved(*train, "--loss-at", at)
            self.assertAlmostEqual(report["loss"], wanted["loss"], delta=1e-8)
            for key in ("accuracy", "test_accuracy"):
                self.assertAlmostEqual(report[key], wanted["accuracy"], delta=1e-9)
        self.signal("s.h5", labels=self.labels + 3)
        self.assert_refused(self.run_here(*train), "s.h5", "3 classes", "w.h5")

    def check_gradient(self, words, kind, at):
        """Of one recurrent weight of each layer and one of the head, by differences of the loss."""
        with h5py.File(self.folder / "g.h5") as file:
            found = [file[f"gradients/cell/{k}/weight_hh"][1, 2] for k in (0, 1)]
            found.append(file["gradients/head/weight"][1, 2])
        arrays = [self.gru.layers[0][1], self.gru.layers[1][1], self.head]
        lengths = [9, 4, 1]
        for value, array in zip(found, arrays):
            at_first, losses = array[1, 2], []
            for step in (1e-5, -1e-5):
                array[1, 2] = at_first + step
                losses.append(self.expected_loss(at, kind, lengths))
            array[1, 2] = at_first
            self.assertAlmostEqual(value, (losses[0] - losses[1]) / 2e-5, delta=1e-8)

    def test_every_solver_ends_in_the_sequential_states(self):
        for cell in CELLS:
            for method in ("auto", "sequential", "shooting", "newton", "windowed", "pipeline"):
                with self.subTest(cell=cell, method=method):
                    report = self.solved("gradient", "--model", cell, "--layers", 2, "--steps", 33,
                                         "--features", 3, "--width", 4, "--batch", 2, "--nonlinear",
                                         method, "--verify")
                    self.assertLessEqual(report["max_error"], 1e-8)
        self.assertEqual(self.solved("check", "--model", "lstm", "--layers", 2)["status"], "passed")

    def test_newton_composes_diagonals_by_itself(self):
        for words, solver in ((["para-gru"], "scan"), (["para-lstm"], "scan"), (["gru"], "hybrid"),
                              (["para-gru", "--layers", 2], "hybrid"),
                              (["para-gru", "--linear", "hybrid"], "hybrid")):
            report = self.solved("solve", "--model", *words, "--steps", 64, "--width", 4, "--nonlinear",
                                 "newton", "--verify")
            self.assertEqual(report["method"], f"newton+{solver}", words)
            self.assertLessEqual(report["max_error"], RTOL)

    def test_a_trained_net_is_right_by_every_method(self):
        """It remembers: not every method gains, but each ends right and says how."""
        net = str(Path(__file__).resolve().parent.parent / "golden" / "speech" / "gru.h5")
        for method in ("auto", "shooting", "newton", "windowed"):
            report = self.solved("solve", "--weights", net, "--input", net, "--nonlinear", method, "--verify")
            self.assertEqual((report["model"], report["width"], report["steps"]), ("gru", 48, 200))
            self.assertLessEqual(report["max_error"], RTOL)
            self.assertEqual(report["status"] == "fell_back", report["reason"] != "")

    def test_saved_cells_are_the_same(self):
        for cell in CELLS:
            words = ["--steps", 7, "--features", 3, "--width", 4, "--batch", 2]
            first = self.solved("gradient", "--model", cell, "--layers", 2, *words, "--save-weights",
                                f"{cell}.h5")
            again = self.solved("gradient", "--weights", f"{cell}.h5", "--batch", 2, "--steps", 7)
            self.assertEqual((again["model"], again["width"]), (cell, 4))
            self.assertAlmostEqual(first["loss"], again["loss"], delta=1e-12)
            self.assertIn("layers", self.solved("inspect", f"{cell}.h5", ranks=1))

    def test_what_contradicts_a_file_is_refused(self):
        words = self.signal("s.h5")
        for more, phrase in ((["--model", "lstm"], "w.h5"), (["--width", 5], "w.h5"),
                             (["--layers", 1], "w.h5"), (["--features", 3], "w.h5"),
                             (["--reset", "before"], "w.h5"), (["--steps", 10], "9 steps"),
                             (["--batch", 4], "3 samples"), (["--state", "s.h5"], "/state")):
            with self.subTest(more=more):
                self.assert_refused(self.run_here("solve", "--weights", "w.h5", *words, *more), phrase)
        self.assert_refused(self.run_here("gradient", "--weights", "w.h5", *words, "--loss",
                                          "mean-square"), "s.h5", "/targets")
        self.assert_refused(self.run_here("gradient", "--weights", "w.h5", *words), "s.h5", "/labels")
        self.assert_refused(self.run_here("gradient", "--model", "gru", "--loss", "mean-square"),
                            "/targets")
        wide = np.zeros((3, 9, 5))
        with h5py.File(self.folder / "wide.h5", "w") as file:
            file["inputs"] = wide
        self.assert_refused(self.run_here("solve", "--weights", "w.h5", "--input", "wide.h5"),
                            "wide.h5", "5 features", "w.h5", "2")
        self.assert_refused(self.run_here("solve", "--state", "s.h5"), "--state", "resnet")
        for model in ("gru", "mlp"):
            self.assert_refused(self.run_here("solve", "--model", model, "--frame", 7), "--frame 7")
        for name, state in (("small", np.zeros((3, 7))), ("nan", np.full((3, 8), np.nan)),
                            ("text", np.array([b"a"] * 3))):
            with h5py.File(self.folder / f"{name}.h5", "w") as file:
                file["state"] = state
            self.assert_refused(self.run_here("solve", "--weights", "w.h5", *words, "--state",
                                              f"{name}.h5"), f"{name}.h5", "/state")

    def test_a_checkpoint_of_other_inputs_is_refused(self):
        words = ["solve", "--weights", "w.h5", "--nonlinear", "newton", "--checkpoint", "c.h5"]
        done = self.run_here(*words, *self.signal("s.h5"), "--max-hours", 1e-9)
        self.assertEqual(done.code, 85, done.err)
        self.x[1, 2, 0] += 1
        other = self.signal("other.h5")
        self.assert_refused(self.run_here(*words, *other, "--restart", "c.h5"), "c.h5", "inputs")
        report = self.solved(*words, "--input", "s.h5", "--restart", "c.h5", "--verify")
        self.assertLessEqual(report["max_error"], RTOL)


if __name__ == "__main__":
    main()
