"""Recordings (WAV) and tables (CSV) as --input give what the same numbers in HDF5 give."""
import wave

import h5py
import numpy as np

from program import ProgramTest, main

FRAME, FRAMES = 8, 12


class Recordings(ProgramTest):
    def setUp(self):
        super().setUp()
        rng = np.random.default_rng(1)
        self.samples = rng.integers(-30000, 30000, size=FRAME * FRAMES - 3).astype("<i2")
        padded = np.concatenate([self.samples, np.zeros(3)]) / 2**15
        with h5py.File(self.folder / "frames.h5", "w") as file:
            file["inputs"] = padded.reshape(FRAMES, FRAME)
        with h5py.File(self.folder / "cell.h5", "w") as file:
            file.attrs["cell"], file.attrs["gates"] = "gru", "z,r,n"
            file["weight_ih"], file["weight_hh"] = rng.normal(size=(15, FRAME)), rng.normal(size=(15, 5))
        with wave.open(str(self.folder / "signal.wav"), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(8000)
            file.writeframes(self.samples.tobytes())
        names = ",".join(f"x{i}" for i in range(FRAME))
        lines = [",".join(map(repr, row.tolist())) for row in padded.reshape(FRAMES, FRAME)]
        (self.folder / "table.csv").write_text("\n".join([names, *lines, ""]), encoding="utf-8")

    def state(self, name, *words):
        """The last state of a run on an input."""
        done = self.run_here("solve", "--weights", "cell.h5", "--input", name, "--output", "out.h5", "--verify", *words)
        if "built without libsndfile" in done.err:
            self.skipTest("this program reads no WAV")
        self.assertEqual(done.code, 0, done.err)
        with h5py.File(self.folder / "out.h5") as file:
            return file["state"][()]

    def test_the_same_numbers_give_the_same_states(self):
        wanted = self.state("frames.h5")
        self.assertEqual(wanted.shape, (1, 5))
        np.testing.assert_array_equal(self.state("table.csv"), wanted)
        np.testing.assert_array_equal(self.state("signal.wav", "--frame", FRAME), wanted)

    def test_attributes_of_samples_that_nobody_reads_are_named(self):
        with h5py.File(self.folder / "frames.h5", "a") as file:
            file.attrs["normalised"], file["inputs"].attrs["batch_first"] = "yes", True
        done = self.run_here("solve", "--weights", "cell.h5", "--input", "frames.h5")
        self.assertEqual(done.code, 0, done.err)
        self.assertEqual(done.err.count("nothing here understands its attributes normalised, batch_first of /inputs"), 1)

    def test_a_checkpoint_of_other_frames_is_refused(self):
        self.state("signal.wav", "--frame", FRAME)
        words = ["solve", "--model", "gru", "--width", 4, "--nonlinear", "newton", "--input", "signal.wav", "--steps",
                 FRAMES]
        done = self.run_here(*words, "--frame", 4, "--checkpoint", "c.h5", "--max-hours", 1e-9)
        self.assertEqual(done.code, 85, done.err)
        self.assert_refused(self.run_here(*words, "--frame", FRAME, "--restart", "c.h5"), "c.h5", "--frame")
        self.solved(*words, "--frame", 4, "--restart", "c.h5")

    def test_odd_ones_are_refused(self):
        def refused(name, *phrases, words=()):
            self.assert_refused(self.run_here("solve", "--weights", "cell.h5", "--input", name, *words), *phrases)

        self.state("signal.wav", "--frame", FRAME)
        refused("signal.wav", "cell.h5", "features")  # frames of one sample
        refused("table.csv", "--frame 4 is for recordings", words=("--frame", 4))
        with wave.open(str(self.folder / "long.wav"), "wb") as file:
            file.setparams((2, 2, 8000, 0, "NONE", ""))
            file.writeframes(bytes(4 * 20000))
        refused("long.wav", "--frame 20000", "40000 numbers", "the frame times the channels", words=("--frame", 20000))
        for words in (["--model", "gru", "--steps", 2], ["--model", "resnet", "--input", "frames.h5"]):
            self.assert_refused(self.run_here("solve", *words, "--frame", 4), "--frame", "leave it out")
        whole = (self.folder / "signal.wav").read_bytes()
        (self.folder / "signal.wav").write_bytes(whole[:100])
        refused("signal.wav", "signal.wav", words=("--frame", FRAME))
        (self.folder / "table.csv").write_text("a,b\n1,2\n3,x\n", encoding="utf-8")
        refused("table.csv", "line 3", "'x' in column 2")
        (self.folder / "table.csv").write_bytes(b"\0\1\2")
        refused("table.csv", "neither HDF5 nor WAV")


if __name__ == "__main__":
    main()
