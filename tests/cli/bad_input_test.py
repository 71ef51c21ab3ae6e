"""Wrong words, values and files: one line that says what and how to mend it, exit code 1, nothing damaged."""
import h5py
import numpy as np

from program import RANKS, ProgramTest, main

# (words, phrases of the answer)
WORDS = [
    ([], ["no command"]),
    (["solv"], ["'solv'", "did you mean solve?"]),
    (["bench", "--suite", "newton"], ["'bench' is no command", "solve"]),
    (["frobnicate"], ["allowed: solve, gradient"]),
    (["solve", "--step", "4"], ["'--step'", "--steps"]),
    (["solve", "--steps=4", "--xyzzyabc"], ["--xyzzyabc", "--help"]),
    (["solve", "-snes_monitor"], ["-snes_monitor"]),
    (["solve", "-snes_type", "ksponly"], ["PETSc's options come behind ' -- '"]),
    (["solve", "--", "4"], ["'4'", "PETSc option"]),
    (["solve", "steps", "4"], ["'steps'", "--steps"]),
    (["solve", "--steps"], ["--steps", "missing"]),
    (["solve", "--steps", "3", "--steps", "4"], ["--steps", "more than once"]),
    (["solve", "--trace="], ["--trace"]),
    (["inspect"], ["needs a file"]),
    (["inspect", "a", "b"], ["'b'"]),
]
VALUES = [
    (["solve", "--steps", "-1"], ["--steps -1", "from 0 to"]),
    (["solve", "--steps", "1.5"], ["--steps 1.5", "whole number"]),
    (["solve", "--steps", "many"], ["--steps many", "whole number"]),
    (["solve", "--steps", "nan"], ["--steps nan"]),
    (["solve", "--steps", "1e30"], ["--steps 1e30"]),
    (["solve", "--steps", ""], ["--steps"]),
    (["solve", "--width", "0"], ["--width 0", "from 1"]),
    (["solve", "--width", "1e9"], ["--width 1e9", "from 1 to 32768"]),
    (["solve", "--gain", "nan"], ["--gain nan"]),
    (["solve", "--gain", "1x"], ["--gain 1x"]),
    (["solve", "--rtol", "-1e-3"], ["--rtol -1e-3"]),
    (["solve", "--rtol", "0"], ["--rtol 0", "--atol"]),
    (["solve", "--model", "reznet"], ["reznet", "did you mean resnet?"]),
    (["solve", "--linear", "hybird"], ["hybird", "did you mean hybrid?"]),
    (["solve", "--log-level", "loud"], ["loud", "debug"]),
    (["solve", "--guess", "cpy"], ["cpy", "did you mean copy?"]),
    (["solve", "--trace", "t.h5", "--trace-states", "every:0"], ["every:0", "every:64"]),
    (["solve", "--trace-states", "all"], ["--trace-states needs --trace"]),
    (["solve", "--restart", "auto", "--guess", "zero"], ["--restart", "--guess", "exclude"]),
    (["solve", "--input", "x.h5", "--data", "fashion-mnist"], ["--input", "--data", "exclude"]),
    (["solve", "--data", "no-such-set"], ["no-such-set"]),
    (["solve", "--nonlinear", "sequential", "--restart", "auto"], ["--restart", "sequential"]),
    (["solve", "--nonlinear", "sequential", "--max-hours", "1"], ["--max-hours", "sequential"]),
    (["gradient", "--nonlinear", "sequential", "--guess", "zero"], ["--guess", "sequential"]),
    (["solve", "--nonlinear", "sequential", "--checkpoint", "c.h5", "--checkpoint-every", "1"],
     ["--checkpoint", "sequential"]),
]
SIZES = [
    (["solve", "--steps", "1e12", "--batch", "1000", "--width", "32768"], ["state elements"]),
    (["solve", "--steps", "1e5", "--width", "20000", "--batch", "1"], ["GiB"]),
    (["solve", "--steps", "0", "--batch", "1e9", "--width", "1000"], ["row of a checkpoint"]),
    (["solve", "--nonlinear", "sequential", "--steps", "0", "--batch", "1e9", "--width", "1000"],
     ["GiB"]),
    (["solve", "--steps", "1", "--batch", "1000", "--width", "2000", "--linear", "pcr"],
     ["numbers in one message"]),
    (["check", "--steps", "1e5", "--width", "20000", "--batch", "1"], ["GiB"]),
]
FILES = [
    (["solve", "--trace", "missing/run.h5"], ["--trace missing/run.h5", "folder that exists"]),
    (["solve", "--checkpoint", "plain.txt/c.h5"], ["--checkpoint", "Not a directory"]),
    (["solve", "--output", "."], ["--output .", "is a folder"]),
    (["solve", "--save-weights", "missing/w.h5"], ["--save-weights"]),
    (["solve", "--config", "missing.ini"], ["missing.ini"]),
    (["solve", "--config", "."], ["--config .", "cannot be read"]),
    (["solve", "--weights", "plain.txt"], ["plain.txt", "not an HDF5 file"]),
    (["solve", "--weights", "foreign.h5"], ["foreign.h5"]),
    (["solve", "--weights", "missing.h5"], ["missing.h5", "No such file"]),
    (["solve", "--weights", "w.h5", "--steps", "4"], ["--steps 4", "w.h5 has 3"]),
    (["solve", "--weights", "w.h5", "--block-layers", "3"], ["--block-layers 3", "w.h5 has 2"]),
    (["solve", "--weights", "w.h5", "--no-bias"], ["--no-bias", "w.h5 has a bias"]),
    (["solve", "--input", "plain.txt"], ["plain.txt"]),
    (["solve", "--input", "foreign.h5"], ["foreign.h5", "/inputs"]),
    (["solve", "--input", "samples.h5", "--batch", "4"], ["--batch 4", "3 samples"]),
    (["solve", "--guess", "plain.txt"], ["plain.txt"]),
    (["solve", "--guess", "foreign.h5"], ["foreign.h5"]),
    (["solve", "--restart", "plain.txt"], ["plain.txt"]),
    (["solve", "--restart", "foreign.h5"], ["foreign.h5"]),
    (["solve", "--restart", "missing.h5"], ["missing.h5"]),
    (["inspect", "plain.txt"], ["plain.txt", "not an HDF5 file"]),
    (["inspect", "missing.h5"], ["missing.h5"]),
]


class BadInput(ProgramTest):
    def setUp(self):
        super().setUp()
        (self.folder / "plain.txt").write_text("no HDF5 at all\n")
        with h5py.File(self.folder / "foreign.h5", "w") as file:
            file["temperature"] = np.arange(5.0)
        with h5py.File(self.folder / "samples.h5", "w") as file:
            file["inputs"] = np.ones((3, 4))
            file["labels"] = np.arange(3)
        with h5py.File(self.folder / "w.h5", "w") as file:
            file["layers/weight"], file["layers/bias"] = np.ones((3, 2, 4, 4)), np.ones((3, 2, 4))

    def check_table(self, table):
        # one rank sees them all; more ranks must agree on each kind
        for words, phrases in table[:: 1 if RANKS == 1 else 7]:
            with self.subTest(words=" ".join(words)):
                before = sorted(path.name for path in self.folder.iterdir())
                self.assert_refused(self.run_here(*words), *phrases)
                self.assertEqual(sorted(path.name for path in self.folder.iterdir()), before)

    def test_words(self):
        self.check_table(WORDS)

    def test_values(self):
        self.check_table(VALUES)

    def test_sizes(self):
        wide_indices = "64-bit indices" in self.run_here("--version").out
        too_many = ["GiB"] if wide_indices else ["state elements", "64-bit indices"]
        self.check_table([(["solve", "--steps", "1e9", "--batch", "1000"], too_many)] + SIZES)

    def test_files(self):
        self.check_table(FILES)

    def test_traces_and_checkpoints_are_told_apart(self):
        self.solved("solve", "--steps", 6, "--trace", "t.h5", "--trace-states", "all")
        trace = (self.folder / "t.h5").read_bytes()
        self.assert_refused(self.run_here("solve", "--steps", 6, "--restart", "t.h5"),
                            "t.h5", "checkpoint")
        self.assert_refused(self.run_here("solve", "--steps", 7, "--guess", "t.h5"), "states", "8")
        self.assertEqual((self.folder / "t.h5").read_bytes(), trace)

    def test_trace_does_not_replace_other_files(self):
        text = (self.folder / "plain.txt").read_bytes()
        self.assert_refused(self.run_here("solve", "--steps", 6, "--trace", "plain.txt"),
                            "plain.txt")
        self.assertEqual((self.folder / "plain.txt").read_bytes(), text)


if __name__ == "__main__":
    main()
