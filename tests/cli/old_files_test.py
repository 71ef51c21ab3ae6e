"""Checkpoints and traces of older versions are read; arguments as in program.py."""
import shutil
import unittest
from pathlib import Path

from program import ProgramTest, main

FILES = Path(__file__).resolve().parent.parent / "golden" / "files"
CHAIN = ["--model", "mlp", "--gain", 1.5, "--steps", 400, "--width", 2, "--batch", 1]
TRAIN = ["train", "--steps", 8, "--width", 4, "--batch", 8, "--data", "random", "--samples", 32,
         "--test-samples", 16]


class OldFiles(ProgramTest):
    def setUp(self):
        super().setUp()
        for file in FILES.glob("*.h5"):
            shutil.copy(file, self.folder)

    def test_solve_goes_on(self):
        report = self.solved("solve", *CHAIN, "--restart", "solve.h5", "--verify")
        self.assertEqual(report["status"], "converged")
        self.assertLess(report["max_error"], 1e-8)

    def test_training_goes_on(self):
        """To the same loss as without a stop; the last digits are those of the machine that wrote it."""
        whole = self.solved(*TRAIN, "--max-steps", 8)
        parts = self.solved(*TRAIN, "--max-steps", 8, "--restart", "train.h5")
        self.assertEqual(parts["updates_before"], 3)
        self.assertAlmostEqual(parts["test_loss"], whole["test_loss"], delta=1e-9)

    def test_training_is_evaluated(self):
        self.assertGreater(self.solved("evaluate", "--restart", "train.h5")["loss"], 0)

    def test_a_trace_is_read_and_guesses(self):
        done = self.run_here("inspect", "trace.h5", ranks=1)
        self.assertEqual(done.code, 0, done.err)
        self.assertIn("deeppcr-trace", done.out)
        words = ["solve", "--steps", 24, "--width", 4, "--batch", 2, "--model", "mlp",
                 "--nonlinear", "newton"]
        guessed = self.solved(*words, "--guess", "trace.states.h5")
        self.assertLess(guessed["iterations"], self.solved(*words)["iterations"])


if __name__ == "__main__":
    main()
