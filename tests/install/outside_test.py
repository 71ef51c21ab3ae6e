"""The program from outside: its solver (sweeps) and its model (leaky-cell) do all that the library's own entries do.

Arguments as in program.py."""
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "cli"))
from program import ProgramTest, main

RTOL = 1e-10
GRADIENTS = 100 * RTOL  # the cell forgets: an error of the states is an error of the gradients
CELL = ["--model", "leaky-cell", "--steps", 240, "--width", 6]
TRAIN = ["train", "--model", "leaky-cell", "--steps", 16, "--cell-inputs", 4, "--width", 8, "--data", "random",
         "--samples", 128, "--test-samples", 64, "--batch", 16, "--epochs", 5, "--warm-up", 0,
         "--schedule", "constant", "--learning-rate", 0.03, "--quiet"]
SWEEPS = ["--nonlinear", "sweeps"]


class Outside(ProgramTest):
    def test_it_is_offered_and_checked(self):
        text = self.run_here("solve", "--help", ranks=1).out
        for word in ("sweeps", "leaky-cell", "--cell-inputs", "--leak"):
            self.assertIn(word, text)
        self.assertEqual(self.solved("check", "--model", "leaky-cell", ranks=2)["status"], "passed")

    def test_solve(self):
        for ranks in (1, 2, 3):
            for words in ([*CELL, *SWEEPS], CELL, ["--model", "resnet", "--steps", 60, *SWEEPS]):
                with self.subTest(ranks=ranks, words=words):
                    report = self.solved("solve", *words, "--verify", ranks=ranks)
                    self.assertEqual(report["status"], "converged")
                    self.assertLessEqual(report["max_error"], RTOL)

    def test_sweeps_end_where_nothing_is_left_to_correct(self):
        words = ["--model", "mlp", "--steps", 400, "--width", 8, *SWEEPS]
        self.assertLess(self.solved("solve", *words, ranks=2)["iterations"], 200)

    def test_gradient(self):
        every = ["--loss", "squared-error", "--loss-rows", "every"]
        for ranks in (1, 2, 3):
            for words in (SWEEPS, [*SWEEPS, *every, "--backward", "hybrid"], every):
                with self.subTest(ranks=ranks, words=words):
                    report = self.solved("gradient", *CELL, *words, "--verify", ranks=ranks)
                    self.assertLessEqual(report["max_error"], GRADIENTS)

    def test_train(self):
        """The same curve on every grid, falling."""
        first = self.solved(*TRAIN, "--max-steps", 1, ranks=1)
        expected = self.solved(*TRAIN, "--max-steps", 40, "--nonlinear", "sequential", ranks=1)
        self.assertLess(expected["test_loss"], 0.5 * first["test_loss"])
        for ranks, depth in ((1, 1), (2, 2), (3, 3), (2, 1)):
            with self.subTest(ranks=ranks, depth=depth):
                report = self.solved(*TRAIN, *SWEEPS, "--max-steps", 40, "--depth-ranks", depth,
                                     ranks=ranks)
                self.assertEqual(report["depth_ranks"], depth)
                self.assertEqual(report["fallbacks"], 0)
                self.assertAlmostEqual(report["test_loss"], expected["test_loss"], delta=1e-6)

    def test_train_goes_on_from_a_checkpoint(self):
        words = [*TRAIN, *SWEEPS, "--depth-ranks", 2, "--restart", "auto", "--checkpoint"]
        whole = self.solved(*words, "whole.h5", "--max-steps", 12, ranks=2)
        self.solved(*words, "parts.h5", "--max-steps", 5, ranks=2)
        parts = self.solved(*words, "parts.h5", "--max-steps", 12, ranks=2)
        self.assertEqual(parts["updates_before"], 5)
        self.assertEqual(parts["test_loss"], whole["test_loss"])
        score = self.solved("evaluate", "--restart", "parts.h5", ranks=1)
        self.assertAlmostEqual(score["loss"], whole["test_loss"], delta=1e-6)

    def test_shared_weights_are_no_layers(self):
        for command in (["solve", *CELL], TRAIN):
            done = self.run_here(*command, "--save-weights", "w.h5", ranks=2)
            self.assert_refused(done, "--save-weights", "leaky-cell")
        self.solved("gradient", *CELL, *SWEEPS, "--output", "gradients.h5", ranks=2)
        self.assertTrue((self.folder / "gradients.h5").exists())


if __name__ == "__main__":
    main()
