"""The backward pass from the command line, and the network that a user brings along."""
import h5py
import numpy as np

from program import RANKS, ProgramTest, main


class Gradient(ProgramTest):
    def test_agrees_with_sequential(self):
        for linear in ("sequential", "pcr", "hybrid"):
            for steps in (0, 1, 2, 33):
                with self.subTest(linear=linear, steps=steps):
                    report = self.solved("gradient", "--model", "mlp", "--steps", steps, "--width",
                                         3, "--batch", 2, "--linear", linear, "--verify")
                    self.assertEqual(set(report["errors"]), {
                        "state gradients", "parameter gradients", "input gradient", "loss",
                        "head gradient"})
                    # the forward pass stops at 1e-10; curvature passes it on to the gradients
                    self.assertLessEqual(report["max_error"], 1e-9)
                    self.assertGreater(report["gradient_norms"]["head"], 0)

    def test_messages_are_those_of_both_passes(self):
        words = ["--nonlinear", "newton", "--linear", "hybrid", "--steps", 40, "--width", 3]
        forward, both = self.solved("solve", *words), self.solved("gradient", *words)
        self.assertEqual(len(both["gradient_levels"]), len(both["levels"]))
        for kind in ("messages", "bytes"):
            backward = sum(level[kind] for level in both["gradient_levels"])
            self.assertEqual(backward > 0, RANKS > 1)
            self.assertGreaterEqual(both[kind], forward[kind] + backward)

    def test_images(self):
        report = self.solved("gradient", "--data", "fashion-mnist", "--steps", 64, "--verify",
                             "--output", "g.h5")
        self.assertLessEqual(report["max_error"], 1e-9)
        self.assertTrue(0 <= report["accuracy"] <= 1)
        with h5py.File(self.folder / "g.h5", "r") as file:
            embedding = file["gradients/embedding/weight"][:]
            self.assertEqual(embedding.shape, (16, 784))
            self.assertAlmostEqual(
                np.sqrt((embedding**2).sum() + (file["gradients/embedding/bias"][:] ** 2).sum()),
                report["gradient_norms"]["embedding"], places=12)

    def test_own_network_and_samples(self):
        """A plain NumPy network, forward and backward, is the independent implementation."""
        L, n, B, classes = 7, 4, 3, 5
        rng = np.random.default_rng(11)
        W, b = rng.normal(size=(L, n, n)) / 2, rng.normal(size=(L, n))
        V, c = rng.normal(size=(classes, n)), rng.normal(size=classes)
        x, y = rng.normal(size=(B, n)), rng.integers(0, classes, size=B)
        with h5py.File(self.folder / "w.h5", "w") as file:
            file["layers/weight"], file["layers/bias"] = W, b
            file["head/weight"], file["head/bias"] = V, c
        with h5py.File(self.folder / "x.h5", "w") as file:
            file["inputs"], file["labels"] = x, y
        report = self.solved("gradient", "--model", "mlp", "--activation", "tanh", "--weights",
                             "w.h5", "--input", "x.h5", "--output", "g.h5")

        z = [x]
        for step in range(L):
            z.append(np.tanh(z[-1] @ W[step].T + b[step]))
        logits = z[-1] @ V.T + c
        p = np.exp(logits - logits.max(axis=1, keepdims=True))
        p /= p.sum(axis=1, keepdims=True)
        loss = -np.log(p[np.arange(B), y]).mean()
        g = (p - np.eye(classes)[y]) / B
        dV, g = g.T @ z[-1], g @ V
        dW = np.zeros_like(W)
        for step in reversed(range(L)):
            a = g * (1 - z[step + 1] ** 2)
            dW[step], g = a.T @ z[step], a @ W[step]

        eps = 1e-9  # the solve stops at 1e-10 of the largest state
        self.assertAlmostEqual(report["loss"], loss, delta=eps)
        with h5py.File(self.folder / "g.h5", "r") as file:
            np.testing.assert_allclose(file["z_last"][:], z[-1], atol=eps)
            np.testing.assert_allclose(file["logits"][:], logits, atol=10 * eps)
            np.testing.assert_allclose(file["input_gradient"][:], g, atol=eps)
            np.testing.assert_allclose(file["gradients/layers/weight"][:].reshape(dW.shape), dW,
                                       atol=eps)
            np.testing.assert_allclose(file["gradients/head/weight"][:], dV, atol=eps)

    def test_a_loss_of_chosen_rows(self):
        """Mean squares of what chosen states differ by from the unit vectors of their labels."""
        L, n, B = 5, 3, 4
        rng = np.random.default_rng(12)
        W, b = rng.normal(size=(L, n, n)) / 2, rng.normal(size=(L, n))
        x, y = rng.normal(size=(B, n)), rng.integers(0, n, size=B)
        with h5py.File(self.folder / "w.h5", "w") as file:
            file["layers/weight"], file["layers/bias"] = W, b
        with h5py.File(self.folder / "x.h5", "w") as file:
            file["inputs"], file["labels"] = x, y
        z = [x]
        for step in range(L):
            z.append(np.tanh(z[-1] @ W[step].T + b[step]))
        for text, rows in (("last", [5]), ("every", [1, 2, 3, 4, 5]), ("2,4", [2, 4])):
            report = self.solved("gradient", "--model", "mlp", "--activation", "tanh", "--weights",
                                 "w.h5", "--input", "x.h5", "--loss-rows", text, "--loss",
                                 "squared-error", "--verify", "--output", "g.h5")
            self.assertIsNone(report["accuracy"])
            self.assertNotIn("head", report["gradient_norms"])
            self.assertLessEqual(report["max_error"], 1e-9)
            loss, g = 0, np.zeros((B, n))
            for step in reversed(range(L)):
                if step + 1 in rows:
                    difference = z[step + 1] - np.eye(n)[y]
                    loss += (difference**2).sum() / (len(rows) * B * n)
                    g = g + 2 * difference / (len(rows) * B * n)
                g = (g * (1 - z[step + 1] ** 2)) @ W[step]
            eps = 1e-9  # the solve stops at 1e-10 of the largest state
            self.assertAlmostEqual(report["loss"], loss, delta=eps)
            with h5py.File(self.folder / "g.h5", "r") as file:
                self.assertNotIn("logits", file)
                np.testing.assert_allclose(file["input_gradient"][:], g, atol=eps)

    def test_saved_weights_give_the_same_network(self):
        sizes = ["--steps", 9, "--width", 5, "--batch", 4]
        for bias in ([], ["--no-bias"]):
            first = self.solved("gradient", *sizes, *bias, "--save-weights", "w.h5")
            again = self.solved("gradient", "--batch", 4, "--weights", "w.h5", "--steps", 9)
            self.assertEqual((again["steps"], again["width"]), (9, 5))
            self.assertAlmostEqual(first["loss"], again["loss"], delta=1e-12)
            self.assertAlmostEqual(first["gradient_norms"]["input"],
                                   again["gradient_norms"]["input"], delta=1e-12)

    def test_sizes_of_files_and_options_must_agree(self):
        self.solved("solve", "--steps", 9, "--width", 5, "--save-weights", "w.h5")
        for words in (["--steps", 8], ["--width", 4], ["--model", "mlp"], ["--model", "affine"]):
            done = self.run_here("solve", "--weights", "w.h5", *words)
            self.assert_refused(done, "w.h5")


if __name__ == "__main__":
    main()
