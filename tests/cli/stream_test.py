"""Streams from the command line: sources, predictions, stops, frames that are dropped, wrong input."""
import os
import signal
import subprocess

import h5py
import numpy as np

from program import RANKS, ProgramTest, Started, command, main, wait_for

CHAIN = ["--steps", 12, "--width", 8]
RAW = [*CHAIN, "--frame-size", 5, "--classes", 4]
INTERRUPTED = 85


def frames(count, seed=1):
    return np.random.default_rng(seed).normal(size=(count, 5)).astype("<f4")


def written(path):
    """Frames in a file of predictions that a running stream writes."""
    try:
        with h5py.File(path, "r", swmr=True) as file:
            return len(file["predictions/class"])
    except (OSError, KeyError):
        return 0


class Stream(ProgramTest):
    def streamed(self, *words, **settings):
        return self.solved("stream", *words, **settings)

    def table(self, name):
        with h5py.File(self.folder / name) as file:
            return {key: data[:] for key, data in file["predictions"].items()}

    def assert_same(self, name, expected):
        found = self.table(name)
        for key in ("frame", "class", "label", "logits"):
            np.testing.assert_array_equal(found[key], expected[key], err_msg=key)

    def one_rank(self, values, *words):
        """Predictions for a file of frames on one rank."""
        values.tofile(self.folder / "frames.bin")
        self.streamed(*RAW, "--frames", "frames.bin", "--output", "one.h5", "--logits", "--force", *words, ranks=1)
        return self.table("one.h5")

    def fifo(self, *words):
        """A run that waits for frames, and where they are written."""
        os.mkfifo(self.folder / "fifo")
        run = Started("stream", *RAW, "--frames", "fifo", "--output", "p.h5", "--logits", "--json", *words,
                      cwd=self.folder)
        wait_for((self.folder / "p.h5").exists, "a run that has opened its frames")
        # open for both ways, which waits for nobody: a run that has failed must not hold the test
        return run, open(os.open(self.folder / "fifo", os.O_RDWR), "wb", buffering=0)

    def test_says_what_evaluate_says(self):
        train = ["--data", "random", "--samples", 256, "--test-samples", 100]
        self.solved("train", *train, *CHAIN, "--epochs", 4, "--learning-rate", 0.02, "--save-weights", "net.h5", "--checkpoint", "c.h5", ranks=1)
        score = self.solved("evaluate", "--restart", "c.h5", "--output", "said.h5", ranks=1)
        report = self.streamed("--data", "random", "--set", "test", "--max-frames", 100, *CHAIN, "--weights", "net.h5",
                               "--output", "p.h5")
        self.assertEqual(report["status"], "done")
        self.assertEqual(report["frames"], 100)
        self.assertEqual(report["latency_ticks"], RANKS - 1)
        self.assertGreater(score["accuracy"], 0.3)
        # samples of the test set are normalised by all training images in place of the first 256
        self.assertAlmostEqual(report["accuracy"], score["accuracy"], delta=0.02)
        ours = self.table("p.h5")
        with h5py.File(self.folder / "said.h5") as file:
            self.assertGreaterEqual(np.mean(ours["class"] == file["predictions"][:]), 0.98)
            np.testing.assert_array_equal(ours["label"], file["labels"][:])

    def test_says_what_is_random(self):
        frames(2).tofile(self.folder / "f")
        none = self.run_here("stream", *RAW, "--frames", "f")
        self.assertIn("no --weights: the network is drawn by --seed 1, and classes by chance", none.err)
        self.solved("train", "--data", "random", "--samples", 64, *CHAIN, "--save-weights", "net.h5", ranks=1)
        words = ["stream", "--data", "random", "--max-frames", 2, *CHAIN]
        whole = self.run_here(*words, "--weights", "net.h5")
        self.assertEqual((none.code, whole.code), (0, 0), whole.err)
        self.assertNotIn("drawn by", whole.err)
        with h5py.File(self.folder / "net.h5", "a") as file:
            del file["embedding"]
        self.assertIn("net.h5 has no embedding: drawn by --seed 1, and classes by chance",
                      self.run_here(*words, "--weights", "net.h5").err)
        with h5py.File(self.folder / "net.h5", "a") as file:
            del file["head"]
        learns = self.run_here(*words, "--weights", "net.h5", "--learning-rate", 0.01)
        self.assertRegex(learns.err, "net.h5 has no embedding and no head: drawn by --seed 1\n")
        self.assertNotIn("drawn by", self.run_here(*words, "--learning-rate", 0.01).err)

    def test_has_the_bits_of_one_rank(self):
        for steps in (12, 1):  # fewer steps than ranks
            words = ["--data", "random", "--max-frames", 40, "--steps", steps, "--logits", "--force", "--output"]
            self.streamed(*words, "one.h5", ranks=1)
            self.streamed(*words, "ours.h5")
            self.assert_same("ours.h5", self.table("one.h5"))

    def test_file_standard_input_and_lines(self):
        values = frames(30)
        expected = self.one_rank(values)
        self.assertEqual(expected["logits"].shape, (30, 4))
        np.testing.assert_array_equal(expected["class"], expected["logits"].argmax(axis=1))
        self.streamed(*RAW, "--frames", "frames.bin", "--logits", "--output", "file.h5")
        self.assert_same("file.h5", expected)
        done = subprocess.run(command(["stream", *RAW, "--frames", "-", "--print", "--quiet"]), cwd=self.folder,
                              input=values.tobytes(), capture_output=True, check=True, timeout=120)
        lines = [f"{t} {taken}" for t, taken in enumerate(expected["class"])]
        self.assertEqual(done.stdout.decode().splitlines(), lines)

    def test_numbers_are_normalised(self):
        values = frames(5)
        expected = self.one_rank(values)
        (2 + 4 * values).tofile(self.folder / "other.bin")
        self.streamed(*RAW, "--frames", "other.bin", "--mean", 2, "--deviation", 4, "--logits", "--output", "p.h5")
        np.testing.assert_allclose(self.table("p.h5")["logits"], expected["logits"], atol=1e-5)

    def test_labels_and_a_short_last_frame(self):
        values, labels = frames(10), np.arange(10, dtype="<i4") % 4
        expected = self.one_rank(values)
        whole = b"".join(label.tobytes() + frame.tobytes() for label, frame in zip(labels, values))
        (self.folder / "labelled.bin").write_bytes(whole + b"1234567")
        done = self.run_here("stream", *RAW, "--frames", "labelled.bin", "--labelled", "--output", "p.h5", "--json")
        self.assertEqual(done.code, 0, done.err)
        self.assertIn("7 bytes of a frame of 24", done.err)
        self.assertIn("7 bytes of a frame of 24", done.report["left_over"])
        self.assertEqual(done.report["frames"], 10)
        self.assertEqual(done.report["accuracy"], np.mean(expected["class"] == labels))
        np.testing.assert_array_equal(self.table("p.h5")["label"], labels)

    def test_slow_writer_loses_nothing(self):
        values = frames(40)
        expected = self.one_rank(values)
        run, fifo = self.fifo()
        with fifo:
            for frame in values[:20]:
                fifo.write(frame.tobytes()[:7])
                fifo.write(frame.tobytes()[7:])
            # predictions are there before other frames come
            wait_for(lambda: written(self.folder / "p.h5") == 20, "the first frames")
            fifo.write(values[20:].tobytes())
        done = run.end()
        self.assertEqual(done.code, 0, done.err)
        self.assertEqual(done.report["frames"], 40)
        self.assertEqual(done.report["dropped"], 0)
        self.assert_same("p.h5", expected)

    def test_drop_keeps_the_newest(self):
        run, fifo = self.fifo("--drop")
        values = frames(3000)  # 60 kB, which a FIFO holds: they are there at once
        with fifo:
            fifo.write(values.tobytes())
        done = run.end()
        self.assertEqual(done.code, 0, done.err)
        expected = self.one_rank(values)
        ours = self.table("p.h5")
        self.assertGreater(done.report["dropped"], 0)
        self.assertEqual(done.report["frames"] + done.report["dropped"], 3000)
        self.assertEqual(len(ours["frame"]), done.report["frames"])
        self.assertEqual(ours["frame"][-1], 2999)
        self.assertTrue(np.all(np.diff(ours["frame"]) > 0))
        np.testing.assert_array_equal(ours["logits"], expected["logits"][ours["frame"]])

    def test_drop_from_a_source_that_never_waits(self):
        words = ["stream", *RAW, "--frames", "/dev/zero", "--drop", "--json"]
        done = self.run_here(*words, "--max-frames", 100000, "--output", "p.h5")
        self.assertEqual(done.code, 0, done.err)
        self.assertGreater(done.report["frames"], 10)
        self.assertEqual(done.report["frames"] + done.report["dropped"], 100000)
        done = self.run_here(*words, "--max-hours", 0.5 / 3600)
        self.assertEqual(done.code, INTERRUPTED, done.err)
        self.assertIn("--max-hours", done.report["reason"])
        self.assertGreater(done.report["frames"], 10)

    def test_stops_and_goes_on(self):
        values = frames(50)
        expected = self.one_rank(values)

        def by_signal(run):
            if RANKS > 1:
                run.signal_rank(RANKS - 1, signal.SIGUSR1)
            else:
                run.signal_mpirun(signal.SIGUSR1)  # the program itself

        for cause, stop in (("STOP", lambda run: (self.folder / "STOP").touch()), ("signal", by_signal)):
            with self.subTest(cause=cause):
                run, fifo = self.fifo("--force")
                with fifo:
                    fifo.write(values[:20].tobytes())
                    wait_for(lambda: written(self.folder / "p.h5") == 20, "the first frames")
                    stop(run)
                    done = run.end()
                self.assertEqual(done.code, INTERRUPTED, done.err)
                self.assertEqual(done.report["status"], "interrupted")
                self.assertIn(cause, done.report["reason"])
                self.assertIn("before frame 20", done.report["reason"])
                self.assertEqual(done.report["next_frame"], 20)
                first = self.table("p.h5")
                self.streamed(*RAW, "--frames", "frames.bin", "--first-frame", 20, "--logits", "--output", "q.h5",
                              "--force")
                second = self.table("q.h5")
                for key in ("frame", "class", "logits"):
                    np.testing.assert_array_equal(np.concatenate([first[key], second[key]]), expected[key])
                (self.folder / "fifo").unlink()
                (self.folder / "p.h5").unlink()

    def test_stops_by_the_clock_where_no_frame_comes(self):
        os.mkfifo(self.folder / "fifo")
        done = self.run_here("stream", *RAW, "--frames", "fifo", "--max-hours", 1 / 3600, "--json")
        self.assertEqual(done.code, INTERRUPTED, done.err)
        self.assertIn("--max-hours", done.report["reason"])
        self.assertEqual(done.report["frames"], 0)
        # what it tells to go on with: its next frames are new ones, and those of a file the same
        with open(self.folder / "many.bin", "wb") as file:
            file.truncate(10**8)
        for source, hint in (("fifo", "the frames that come then, from 0"), ("many.bin", "--first-frame [1-9][0-9]*")):
            done = self.run_here("stream", *RAW, "--frames", source, "--max-hours", 1e-9)
            self.assertEqual(done.code, INTERRUPTED, done.err)
            self.assertRegex(done.out, f"go on with +.*{hint}\n")

    def test_first_and_most_frames(self):
        expected = self.one_rank(frames(30))
        report = self.streamed(*RAW, "--frames", "frames.bin", "--first-frame", 7, "--max-frames", 11, "--output", "p.h5")
        self.assertEqual((report["frames"], report["next_frame"]), (11, 18))
        ours = self.table("p.h5")
        np.testing.assert_array_equal(ours["frame"], np.arange(7, 18))
        np.testing.assert_array_equal(ours["class"], expected["class"][7:18])

    def test_leaves_out_what_it_need_not_read(self):
        values = frames(5)
        expected = self.one_rank(values)
        with open(self.folder / "sparse.bin", "wb") as file:  # too many frames to read, which take no room
            file.seek(10**9 * 20)
            file.write(values.tobytes())
        words = ["--first-frame", 10**9, "--logits", "--force", "--output", "p.h5"]
        report = self.streamed(*RAW, "--frames", "sparse.bin", *words)
        self.assertEqual((report["frames"], report["next_frame"]), (5, 10**9 + 5))
        np.testing.assert_array_equal(self.table("p.h5")["logits"], expected["logits"])
        if RANKS > 1:
            return  # mpirun stands between
        with open(self.folder / "sparse.bin", "rb") as file:
            subprocess.run(command(["stream", *RAW, "--frames", "-", *words]), cwd=self.folder, stdin=file, check=True,
                           capture_output=True, timeout=60)
        np.testing.assert_array_equal(self.table("p.h5")["logits"], expected["logits"])

    def test_says_where_no_frame_comes(self):
        frames(5).tofile(self.folder / "f")
        (self.folder / "empty").write_bytes(b"1234567")
        for source, more, phrase in (("f", ["--first-frame", 7], "--frames f has 5 frames, and none from frame 7 on"),
                                     ("empty", [], "--frames empty has no whole frame"),
                                     ("/dev/null", [], "--frames /dev/null has no whole frame"),
                                     ("f", ["--first-frame", 4], None)):
            done = self.run_here("stream", *RAW, "--frames", source, *more)
            self.assertEqual(done.code, 0, done.err)
            if phrase:
                self.assertIn(f"nothing is predicted: {phrase}", done.err)
            else:
                self.assertNotIn("nothing is predicted", done.err)

    def test_frames_without_a_class(self):
        values = frames(6)
        values[2, 3] = np.nan
        values.tofile(self.folder / "frames.bin")
        done = self.run_here("stream", *RAW, "--frames", "frames.bin", "--output", "p.h5", "--json")
        self.assertEqual(done.code, 2, done.err)
        self.assertIn("1 of 6 frames", done.report["reason"])
        ours = self.table("p.h5")["class"]
        self.assertEqual(ours[2], -1)
        self.assertTrue(np.all(np.delete(ours, 2) >= 0))

    def test_wrong_input(self):
        values = frames(3)
        values.tofile(self.folder / "f")
        (self.folder / "bad").write_bytes(np.int32(1).tobytes() + values[0].tobytes() +
                                          np.int32(4).tobytes() + values[1].tobytes())
        self.solved("train", "--data", "random", "--samples", 64, *CHAIN, "--save-weights", "net.h5", ranks=1)
        raw = ["--frames", "f", *RAW]
        for words, phrases in (
                ([], ["--data", "--frames", "one of them"]),
                ([*raw, "--data", "random"], ["only one of them"]),
                (["--frames", "none", *RAW], ["--frames none", "No such file"]),
                (["--frames", ".", *RAW], ["--frames .", "directory"]),
                (["--frames", "f", *CHAIN, "--classes", 4], ["--frame-size is needed"]),
                (["--frames", "f", *CHAIN, "--frame-size", 5], ["--classes is needed"]),
                ([*raw, "--weights", "net.h5"], ["--frame-size 5", "net.h5 has 64"]),
                (["--frames", "f", *CHAIN, "--classes", 4, "--weights", "net.h5"], ["--classes 4", "net.h5 has 10"]),
                ([*raw, "--drop"], ["--drop", "ordinary file"]),
                ([*raw, "--set", "test"], ["--set", "--frames f"]),
                (["--data", "random", "--labelled"], ["--labelled", "--data random"]),
                (["--data", "random", "--batch", 3], ["--batch"]),
                ([*raw, "--deviation", 0], ["--deviation 0"]),
                ([*raw, "--logits"], ["--logits", "--output"]),
                ([*raw, "--output", "f"], ["--output f"]),
                ([*raw, "--output", "no/p.h5"], ["no/p.h5"]),
                (["--data", "random", "--model", "gru"], ["--model gru", "inputs over time"]),
                (["--frames", "bad", *RAW, "--labelled"], ["frame 1 has the label 4", "4 classes, 0 to 3"])):
            with self.subTest(words=words):
                self.assert_refused(self.run_here("stream", *words, "--quiet"), *phrases)
        self.assert_refused(self.run_here("stream", *raw, "--print", "--json"), "--print", "--json")


if __name__ == "__main__":
    main()
