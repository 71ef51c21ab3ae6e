"""Losses of labels: values and gradients against NumPy, one curve for every grid, scores, restarts, refusals."""
import h5py
import numpy as np

from program import RANKS, ProgramTest, main

CLASSES = 4
WEIGHTS = [0.5, 2.0, 1.0, 3.25]
TEN = "1,2,0.5,1,1,3,1,1,0.25,1"
TRAIN = ["train", "--data", "random", "--samples", 160, "--test-samples", 60, "--steps", 24, "--width", 8,
         "--batch", 16, "--warm-up", 5, "--learning-rate", 0.02, "--epochs", 3, "--quiet"]
LOSSES = [["--label-smoothing", 0.1, "--class-weights", TEN],
          ["--loss", "binary-cross-entropy", "--label-smoothing", 0.05, "--class-weights", TEN]]
GRIDS = {1: [(1, 1)], 2: [(1, 2), (2, 1)], 4: [(1, 4), (2, 2), (4, 1)]}[RANKS]


def loss_of(binary, outputs, labels, smoothing, weights):
    """Mean over samples, and the gradient by the outputs."""
    samples, classes = outputs.shape
    wanted = (1 - smoothing) * np.eye(classes)[labels] + smoothing / classes
    u = wanted * weights
    if binary:
        s = 1 / (1 + np.exp(-outputs))
        value = -(u * np.log(s) + (1 - wanted) * np.log(1 - s)).sum() / outputs.size
        return value, (s * (u + 1 - wanted) - u) / outputs.size
    p = np.exp(outputs) / np.exp(outputs).sum(axis=1, keepdims=True)
    return -(u * np.log(p)).sum() / samples, (u.sum(axis=1, keepdims=True) * p - u) / samples


class Losses(ProgramTest):
    def test_gradient_is_that_of_numpy(self):
        rng = np.random.default_rng(5)
        with h5py.File(self.folder / "w.h5", "w") as file:
            file["layers/weight"], file["layers/bias"] = rng.normal(size=(9, 4, 4)) / 2, rng.normal(size=(9, 4))
            file["head/weight"], file["head/bias"] = rng.normal(size=(CLASSES, 4)), rng.normal(size=CLASSES)
        labels = rng.integers(0, CLASSES, size=5)
        with h5py.File(self.folder / "x.h5", "w") as file:
            file["inputs"], file["labels"] = rng.normal(size=(5, 4)), labels
        for name in ("cross-entropy", "binary-cross-entropy"):
            for smoothing, weights in ((0, [1.0] * CLASSES), (0.15, WEIGHTS)):
                with self.subTest(loss=name, smoothing=smoothing):
                    report = self.solved("gradient", "--model", "mlp", "--weights", "w.h5", "--input", "x.h5",
                                         "--loss", name, "--label-smoothing", smoothing, "--class-weights",
                                         ",".join(map(str, weights)), "--output", "g.h5")
                    with h5py.File(self.folder / "g.h5", "r") as file:
                        value, by_outputs = loss_of(name.startswith("binary"), file["logits"][:], labels, smoothing,
                                                    weights)
                        self.assertAlmostEqual(report["loss"], value, delta=1e-12)
                        np.testing.assert_allclose(file["gradients/head/bias"][:], by_outputs.sum(axis=0), atol=1e-12)
                        np.testing.assert_allclose(file["gradients/head/weight"][:],
                                                   by_outputs.T @ file["z_last"][:], atol=1e-12)

    def test_every_grid_gives_the_same_curve_and_evaluate_the_score(self):
        for loss in LOSSES:
            expected = self.solved(*TRAIN, *loss, ranks=1)
            self.assertGreater(expected["test_accuracy"], 0.5)
            for depth, data in GRIDS:
                with self.subTest(loss=loss, depth=depth, data=data):
                    ours = self.solved(*TRAIN, *loss, "--depth-ranks", depth, "--data-ranks", data, "--checkpoint",
                                       "c.h5")
                    self.assertAlmostEqual(ours["loss"], expected["loss"], delta=1e-9)
                    self.assertAlmostEqual(ours["test_loss"], expected["test_loss"], delta=1e-9)
                    score = self.solved("evaluate", "--restart", "c.h5")
                    self.assertAlmostEqual(score["loss"], ours["test_loss"], delta=1e-9)
                    self.assertEqual(score["confusion"], ours["confusion"])

    def test_micro_batches_give_the_same_curve(self):
        expected = self.solved(*TRAIN, *LOSSES[1], ranks=1)
        ours = self.solved(*TRAIN, *LOSSES[1], "--pipeline", "1f1b", "--micro-batches", 4, "--depth-ranks", RANKS)
        self.assertAlmostEqual(ours["loss"], expected["loss"], delta=1e-9)

    def test_restart_refuses_another_loss(self):
        self.solved(*TRAIN, "--class-weights", TEN, "--checkpoint", "w.h5", "--max-steps", 4)
        self.assert_refused(self.run_here(*TRAIN, "--restart", "w.h5"), "--class-weights equal", "w.h5")
        smoothed = ["--label-smoothing", 0.1]
        self.solved(*TRAIN, *smoothed, "--checkpoint", "c.h5", "--max-steps", 4)
        self.solved(*TRAIN, *smoothed, "--checkpoint", "d.h5", "--max-steps", 6, "--restart", "c.h5")
        for words, phrase in ((["--label-smoothing", 0.2], "--label-smoothing 0.2"),
                              ([*smoothed, "--class-weights", TEN], "--class-weights"),
                              ([*smoothed, "--loss", "binary-cross-entropy"], "--loss binary-cross-entropy")):
            self.assert_refused(self.run_here(*TRAIN, *words, "--restart", "c.h5"), phrase, "c.h5")

    def test_wrong_words_are_refused(self):
        for words, phrases in (
                (["--class-weights", "1,2"], ["--class-weights", "2", "10 classes"]),
                (["--class-weights", "1,x"], ["--class-weights '1,x'", "separated by commas"]),
                (["--class-weights", "0,0,0,0,0,0,0,0,0,0"], ["--class-weights", "above 0"]),
                (["--label-smoothing", 1.5], ["--label-smoothing 1.5"]),
                (["--loss", "squared-error", "--class-weights", TEN],
                 ["--class-weights", "cross-entropy", "squared-error"]),
                (["--loss", "binary-cross-entropi"], ["did you mean binary-cross-entropy"])):
            with self.subTest(words=words):
                self.assert_refused(self.run_here(*TRAIN, *words), *phrases)
        self.assert_refused(self.run_here("gradient", "--steps", 4, "--class-weights", "1,2"), "10 classes")


if __name__ == "__main__":
    main()
