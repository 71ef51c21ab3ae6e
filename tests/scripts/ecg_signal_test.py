#!/usr/bin/python3
"""Tests of job_scripts/ecg_signal.py, with a recording of their own and with SciPy's where that is there."""
import importlib.util
import tempfile
import unittest
from pathlib import Path

import h5py
import numpy as np
from run_script import assert_refused, run

SCRIPT = "../job_scripts/ecg_signal.py"
SCIPY = importlib.util.find_spec("scipy")
HAS_RECORDING = SCIPY is not None and (Path(SCIPY.origin).parent / "misc" / "ecg.dat").is_file()


class EcgSignal(unittest.TestCase):
    def setUp(self):
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.recording, self.output = self.folder / "ecg.dat", self.folder / "ecg.h5"
        with open(self.recording, "wb") as file:  # 0, 1, .. 9 mV
            np.savez(file, ecg=np.arange(10, dtype=np.uint16) * 200 + 1024)

    def make(self, *words):
        return run(SCRIPT, "-o", self.output, "--recording", self.recording, *words)

    def sequences(self, *words):
        process = self.make("--force", *words)
        self.assertEqual(process.returncode, 0, process.stderr)
        with h5py.File(self.output) as file:
            inputs, targets = file["inputs"][()], file["targets"][()]
        np.testing.assert_array_equal(targets, inputs + 1)
        self.assertEqual(inputs.shape[2], 1)
        return inputs[:, :, 0].tolist()

    def test_cuts(self):
        self.assertEqual(self.sequences("--steps", 4), [[0, 1, 2, 3], [4, 5, 6, 7]])
        self.assertEqual(self.sequences("--steps", 4, "--stride", 2), [[0, 1, 2, 3], [2, 3, 4, 5], [4, 5, 6, 7]])
        self.assertEqual(self.sequences("--steps", 3, "--first", 1, "--last", 5), [[1, 2, 3]])
        self.assertEqual(self.sequences("--steps", 0), [list(range(9))])
        self.assertEqual(self.sequences("--steps", 9), [list(range(9))])

    def test_refusals(self):
        assert_refused(self, self.make("--steps", 10), "10 samples make no sequence of 10 steps")
        assert_refused(self, self.make("--steps", -1), "whole numbers from 0 on")
        self.assertFalse(self.output.exists())
        self.output.write_text("a thesis", encoding="utf-8")
        assert_refused(self, self.make("--steps", 4), "is there; --force")
        self.assertEqual(self.output.read_text(encoding="utf-8"), "a thesis")
        self.recording.write_text("nothing of the kind", encoding="utf-8")
        assert_refused(self, self.make("--force"), "no archive with the array 'ecg'")
        assert_refused(self, run(SCRIPT, "-o", self.folder / "no" / "x.h5", "--recording", self.recording), "ecg.dat is no archive")
        self.assertEqual(sorted(path.name for path in self.folder.iterdir()), ["ecg.dat", "ecg.h5"])

    @unittest.skipUnless(HAS_RECORDING, "this SciPy has no electrocardiogram (Debian: python3-scipy)")
    def test_the_recording_itself(self):
        process = run(SCRIPT, "-o", self.output, "--steps", 0)
        self.assertEqual(process.returncode, 0, process.stderr)
        # SciPy's documentation gives the mean -0.165 and the deviation 0.599.
        self.assertIn("1 sequences of 107999 steps, -0.165 +- 0.599 mV", process.stdout)


if __name__ == "__main__":
    unittest.main()
