"""Wavefronts through stacked cells from the command line: both passes, files, training, wrong options."""
import h5py
import numpy as np

from program import RANKS, ProgramTest, main

CELLS = ("rnn", "gru", "lstm", "para-gru", "para-lstm")
WAVEFRONT = ["--nonlinear", "wavefront"]
SIGNAL = ["--width", 6, "--input", "s.h5"]


class Wavefront(ProgramTest):
    B, T, d = 3, 45, 2

    def setUp(self):
        super().setUp()
        rng = np.random.default_rng(4)
        inputs = rng.normal(size=(self.B, self.T, self.d))
        for name, labels in (("s.h5", (self.B,)), ("each.h5", (self.B, self.T))):
            with h5py.File(self.folder / name, "w") as file:
                file["inputs"], file["lengths"] = inputs, [self.T, 20, 0]
                file["labels"] = rng.integers(0, 3, size=labels)

    def same_results(self, expected, found, tolerance=0.0):
        with h5py.File(self.folder / expected) as one, h5py.File(self.folder / found) as other:
            names = []
            one.visititems(lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None)
            for name in names:
                size = np.abs(one[name][()]).max()
                np.testing.assert_allclose(other[name][()], one[name][()], rtol=0, atol=tolerance * size, err_msg=name)

    def test_solve(self):
        for model in CELLS:
            for layers in ((1, 2, 3) if model == "lstm" else (3,)):
                with self.subTest(model=model, layers=layers):
                    words = ["solve", "--model", model, "--layers", layers, *SIGNAL]
                    self.solved(*words, "--nonlinear", "sequential", "--output", "one.h5", "--force", ranks=1)
                    report = self.solved(*words, *WAVEFRONT, "--chunk-steps", 7, "--verify", "--output", "ours.h5", "--force")
                    self.assertEqual(report["max_error"], 0)
                    self.assertEqual(report["exact_states"], self.T)
                    self.assertEqual(report["method"], "wavefront")
                    self.assertEqual(report["pipeline_chunks"], 6)
                    self.assertLessEqual(report["pipeline_idle"], report["pipeline_idle_by_formula"] + 1e-12)
                    self.same_results("one.h5", "ours.h5")

    def test_goes_on_from_a_state_and_keeps_all(self):
        words = ["solve", "--model", "lstm", "--layers", 2, *SIGNAL]
        self.solved(*words, *WAVEFRONT, "--output", "first.h5")
        more = [*words, "--state", "first.h5", "--trace-states", "all"]
        self.solved(*more, "--nonlinear", "sequential", "--trace", "one.h5", ranks=1)
        self.solved(*more, *WAVEFRONT, "--trace", "ours.h5")
        with h5py.File(self.folder / "one.h5") as one, h5py.File(self.folder / "ours.h5") as ours:
            np.testing.assert_array_equal(one["states/z"][:], ours["states/z"][:])

    def test_gradient_and_its_file(self):
        for model, where, signal in (("lstm", "last", "s.h5"), ("gru", "each", "each.h5"), ("para-gru", "rate", "s.h5")):
            with self.subTest(model=model, where=where):
                self.gradients(["gradient", "--model", model, "--layers", 3, "--width", 6, "--input", signal,
                                "--loss-at", where])

    def gradients(self, words):
        self.solved(*words, "--nonlinear", "sequential", "--output", "one.h5", "--force", ranks=1)
        for more in ([*WAVEFRONT, "--chunk-steps", 8], ["--nonlinear", "sequential", "--backward", "wavefront"]):
            report = self.solved(*words, *more, "--verify", "--output", "ours.h5", "--force")
            self.assertEqual(report["gradient_method"], "wavefront")
            self.assertLessEqual(report["max_error"], 1e-12)
            self.same_results("one.h5", "ours.h5", 1e-12)

    def test_auto_takes_it_for_stacks(self):
        words = ["--model", "gru", "--layers", max(2, RANKS), "--width", 32, "--steps", 1024]
        for command, method in (("solve", "method"), ("gradient", "gradient_method")):
            report = self.solved(command, *words, "--verify")
            self.assertEqual(report[method] == "wavefront", RANKS > 1)
            self.assertLessEqual(report["max_error"], 1e-10)
            if RANKS > 1:
                self.assertIn("steps in a row predicted: wavefront", report["choice"])
        one = self.solved("solve", "--model", "gru", "--width", 32, "--steps", 1024)
        self.assertNotEqual(one["method"], "wavefront")

    def test_training(self):
        words = ["train", "--model", "gru", "--layers", 2, "--width", 8, "--data", "random", "--as", "pixels", "--samples", 48,
                 "--test-samples", 24, "--batch", 12, "--epochs", 2]
        for more in ([], ["--truncate", 10]):
            with self.subTest(more=more):
                expected = self.solved(*words, *more, "--nonlinear", "sequential", ranks=1)
                report = self.solved(*words, *more, *WAVEFRONT, "--depth-ranks", RANKS)
                self.assertAlmostEqual(report["test_loss"], expected["test_loss"], delta=1e-10)

    def test_wrong_options(self):
        cell = ["solve", "--model", "gru", "--layers", 2, *SIGNAL]
        cases = [(["solve", "--model", "mlp", *WAVEFRONT], ["wavefront", "mlp", "stacked recurrent cells"]),
                 (["train", "--data", "random", "--model", "resnet", *WAVEFRONT, "--depth-ranks", RANKS], ["wavefront", "resnet"]),
                 (["gradient", "--model", "mlp", "--nonlinear", "sequential", "--backward", "wavefront"],
                  ["stacked recurrent cells"]),
                 ([*cell, *WAVEFRONT, "--chunk-steps", 46], ["--chunk-steps 46", "45 steps"]),
                 ([*cell, "--nonlinear", "pipeline", "--chunk-steps", 4], ["--chunk-steps", "wavefront"]),
                 ([*cell, *WAVEFRONT, "--restart", "auto"], ["--restart", "wavefront"])]
        for words, said in cases:
            with self.subTest(words=words):
                self.assert_refused(self.run_here(*words), *said)


if __name__ == "__main__":
    main()
