"""Streams that do not come to their end: failing sources and writers, readers that leave or wait, kill -9, the clock."""
import os
import signal
import subprocess
import time

import h5py
import numpy as np

from program import MPIRUN, PROGRAM, RANKS, TIMEOUT, ProgramTest, Started, main, wait_for

RAW = ["--steps", 12, "--width", 8, "--frame-size", 5, "--classes", 4, "--frames"]
LEARN = ["--labelled", "--learning-rate", 0.01]
WEIGHTS = ("embedding/weight", "layers/weight", "layers/bias", "head/weight", "head/bias")


def labelled(count):
    """Frames whose class is the largest of their first four numbers; each comes five times, as in a film."""
    values = np.repeat(np.random.default_rng(1).normal(size=(count // 5, 5)), 5, axis=0).astype("<f4")
    return values, values[:, :4].argmax(axis=1).astype("<i4")


def packed(values, labels):
    return b"".join(label.tobytes() + frame.tobytes() for label, frame in zip(labels, values))


class StreamStops(ProgramTest):
    def outcome(self, name):
        with h5py.File(self.folder / name) as file:
            return dict(file["outcome"].attrs)

    def table(self, name, **how):
        with h5py.File(self.folder / name, **how) as file:
            return {key: data[:] for key, data in file["predictions"].items()}

    def write(self, count, bad=None):
        values, labels = labelled(count)
        if bad is not None:
            labels[bad] = 4
        (self.folder / "frames.bin").write_bytes(packed(values, labels))
        return values, labels

    def shell(self, redirection, *words, start=subprocess.run, **settings):
        """The program with the last rank's standard output redirected by the shell: mpirun would stand between."""
        first = [] if RANKS == 1 else [*MPIRUN, str(RANKS)]
        last = f'if [ "${{OMPI_COMM_WORLD_RANK:-0}}" = {RANKS - 1} ]; then exec "$0" "$@" {redirection}; fi; exec "$0" "$@"'
        return start([*first, "sh", "-c", last, PROGRAM, *map(str, words)], cwd=self.folder, stdout=subprocess.PIPE,
                     stderr=subprocess.PIPE, text=True, **settings)

    def assert_failed(self, name, *phrases):
        found = self.outcome(name)
        self.assertEqual(found["status"], b"failed", name)
        for phrase in phrases:
            self.assertIn(phrase, found["reason"].decode())

    # ---- failures ----------------------------------------------------------------------------------------------------

    def test_bad_label(self):
        self.write(60, bad=50)
        self.assert_refused(self.run_here("stream", *RAW, "frames.bin", *LEARN, "--output", "p.h5", "--trace", "s.h5",
                                          "--checkpoint", "c.h5", "--save-weights", "w.h5"),
                            "frame 50 has the label 4", "go on behind it with --restart c.h5 --first-frame 51")
        self.run_here("stream", *RAW, "frames.bin", *LEARN, "--max-frames", 50, "--save-weights", "v.h5")
        with h5py.File(self.folder / "v.h5") as ours, h5py.File(self.folder / "w.h5") as theirs:
            for name in WEIGHTS:
                np.testing.assert_array_equal(theirs[name], ours[name], err_msg=name)
        for name in ("p.h5", "s.h5"):
            self.assert_failed(name, "frame 50 has the label 4")
        self.assertEqual(self.outcome("p.h5")["frames"], 50)
        np.testing.assert_array_equal(self.table("p.h5")["frame"], np.arange(50))
        # all before it is learned, and it can be stepped over
        self.assertEqual(self.run_here("inspect", "c.h5", "--json", ranks=1).report["iteration"], 50)
        report = self.solved("stream", *RAW, "frames.bin", *LEARN, "--restart", "c.h5", "--first-frame", 51, "--output",
                             "q.h5", "--checkpoint", "c.h5")
        self.assertEqual((report["first_frame"], report["next_frame"]), (51, 60))
        # at the first frame of a run there is nothing to keep
        self.write(60, bad=0)
        self.assert_refused(self.run_here("stream", *RAW, "frames.bin", *LEARN, "--checkpoint", "d.h5"),
                            "go on behind it with --first-frame 1")
        self.assertFalse((self.folder / "d.h5").exists())
        self.write(60, bad=50)
        self.assert_refused(self.run_here("stream", *RAW, "frames.bin", "--labelled", "--output", "q.h5"), "frame 50")
        self.assert_failed("q.h5", "frame 50")

    def test_bad_restart(self):
        self.write(10)
        done = self.run_here("stream", *RAW, "frames.bin", *LEARN, "--restart", "none.h5", "--output", "p.h5")
        self.assert_refused(done, "none.h5")
        self.assertFalse((self.folder / "p.h5").exists())  # nor would an earlier one be replaced

    def test_full_disk(self):
        self.small_disk("200k")
        self.write(20000)
        done = self.run_here("stream", *RAW, "frames.bin", *LEARN, "--logits", "--output", "small/p.h5", "--trace", "s.h5",
                             "--checkpoint", "c.h5")
        self.assertEqual(done.code, 3, done.err)
        self.assertEqual(len(done.own_lines), 1, done.err)
        for phrase in ("small/p.h5", "No space left"):
            self.assertIn(phrase, done.own_lines[0])
        self.assert_failed("s.h5", "small/p.h5", "No space left")
        self.assertFalse((self.folder / "c.h5").exists())

    # ---- readers of --print ------------------------------------------------------------------------------------------

    def test_lines_that_cannot_be_written(self):
        self.write(200)
        done = self.shell(">/dev/full", "stream", *RAW, "frames.bin", "--labelled", "--print", "--quiet", "--output",
                          "p.h5", timeout=TIMEOUT)
        self.assertEqual(done.returncode, 3, done.stderr)
        self.assertEqual(done.stderr.count("deeppcr: "), 1, done.stderr)
        self.assertIn("--print: frame 0", done.stderr)
        self.assert_failed("p.h5", "--print: frame 0")

    def test_reader_that_leaves(self):
        values, labels = self.write(400)
        for name in ("frames", "lines"):
            os.mkfifo(self.folder / name)
        with open(os.open(self.folder / "frames", os.O_RDWR), "wb", buffering=0) as frames:
            run = self.shell("> lines", "stream", *RAW, "frames", *LEARN, "--print", "--quiet", "--output", "p.h5",
                             "--checkpoint", "c.h5", start=subprocess.Popen)
            with open(self.folder / "lines", encoding="utf-8") as lines:
                frames.write(packed(values[:100], labels[:100]))
                for number in range(100):
                    self.assertTrue(lines.readline().startswith(f"{number} "))
            frames.write(packed(values[100:200], labels[100:200]))
            _, err = run.communicate(timeout=TIMEOUT)
        self.assertEqual(run.returncode, 85, err)
        self.assertEqual(err.count("deeppcr: "), 1, err)
        self.assertIn("deeppcr: interrupted: stopped by the reader of --print, which has gone, before frame", err)
        found = self.outcome("p.h5")
        self.assertEqual(found["status"], b"interrupted")
        frames = self.table("p.h5")["frame"]
        np.testing.assert_array_equal(frames, np.arange(found["frames"]))
        self.assertEqual(self.run_here("inspect", "c.h5", "--json", ranks=1).report["iteration"], found["frames"])

    def test_slow_reader(self):
        _, labels = self.write(20000)
        os.mkfifo(self.folder / "lines")
        run = self.shell("> lines", "stream", *RAW, "frames.bin", "--labelled", "--print", "--quiet", "--output", "p.h5",
                         start=subprocess.Popen)
        with open(self.folder / "lines", "rb", buffering=0) as lines:
            text = lines.read(10)
            time.sleep(2)  # meanwhile a pipe takes 64 kB, which is half of all lines
            self.assertIsNone(run.poll())
            text += lines.readall()
        _, err = run.communicate(timeout=TIMEOUT)
        self.assertEqual(run.returncode, 0, err)
        found = self.table("p.h5")
        self.assertGreater(found["seconds"][-1], 1.9)
        expected = [f"{t} {taken} {label}" for t, (taken, label) in enumerate(zip(found["class"], labels))]
        self.assertEqual(text.decode().splitlines(), expected)

    # ---- kill -9 -----------------------------------------------------------------------------------------------------

    def kill(self, run):
        if RANKS > 1:
            run.kill_ranks()
        else:
            run.signal_mpirun(signal.SIGKILL)  # the program itself
        self.assertNotEqual(run.end().code, 0)

    def fifo(self, *words):
        """A run that waits for frames, and where they are written."""
        os.mkfifo(self.folder / "fifo")
        run = Started("stream", *RAW, "fifo", *words, cwd=self.folder)
        return run, open(os.open(self.folder / "fifo", os.O_RDWR), "wb", buffering=0)

    def written(self):
        try:
            return len(self.table("p.h5", mode="r", swmr=True)["frame"])
        except (OSError, KeyError):
            return 0

    def test_kill_of_a_stream_that_learns(self):
        values, labels = self.write(300)
        words = [*LEARN, "--logits", "--checkpoint-frames", 40, "--checkpoint"]
        self.solved("stream", *RAW, "frames.bin", *words, "whole.h5", "--output", "w.h5", "--save-weights", "whole.w.h5")
        run, fifo = self.fifo(*words, "c.h5", "--output", "p.h5")
        with fifo:
            for first in range(0, 200, 10):
                fifo.write(packed(values[first:first + 10], labels[first:first + 10]))
                if (self.folder / "c.h5.1").exists():
                    break
                time.sleep(0.02)
            wait_for((self.folder / "c.h5.1").exists, "two checkpoints")
            self.kill(run)
        before = self.table("p.h5", mode="r", swmr=True)
        report = self.solved("stream", *RAW, "frames.bin", *words, "c.h5", "--restart", "auto", "--output", "q.h5",
                             "--save-weights", "w.w.h5")
        first = report["first_frame"]
        self.assertIn(first, range(40, 201, 40))
        self.assertEqual(report["next_frame"], 300)
        # the killed run has left all frames from before the checkpoint, and maybe more
        self.assertGreaterEqual(len(before["frame"]), first)
        expected, after = self.table("w.h5"), self.table("q.h5")
        for key in ("frame", "class", "label", "logits"):
            np.testing.assert_array_equal(np.concatenate([before[key][:first], after[key]]), expected[key], err_msg=key)
        with h5py.File(self.folder / "whole.w.h5") as ours, h5py.File(self.folder / "w.w.h5") as theirs:
            for name in WEIGHTS:
                np.testing.assert_array_equal(theirs[name], ours[name], err_msg=name)

    def test_kill_of_a_stream_that_predicts(self):
        values, labels = self.write(200)
        self.solved("stream", *RAW, "frames.bin", "--labelled", "--logits", "--output", "w.h5")
        run, fifo = self.fifo("--labelled", "--logits", "--output", "p.h5")
        with fifo:
            fifo.write(packed(values[:90], labels[:90]))
            wait_for(lambda: self.written() > 0, "the first frames")
            self.kill(run)
        inspected = self.run_here("inspect", "p.h5", "--json", ranks=1)
        self.assertEqual(inspected.report["outcome"], "running")
        before = self.table("p.h5", mode="r", swmr=True)
        self.solved("stream", *RAW, "frames.bin", "--labelled", "--logits", "--first-frame", before["frame"][-1] + 1,
                    "--output", "q.h5")
        expected, after = self.table("w.h5"), self.table("q.h5")
        for key in ("frame", "class", "label", "logits"):
            np.testing.assert_array_equal(np.concatenate([before[key], after[key]]), expected[key], err_msg=key)

    # ---- the clock ---------------------------------------------------------------------------------------------------

    def test_checkpoints_by_the_clock(self):
        values, labels = self.write(60)
        run, fifo = self.fifo(*LEARN, "--checkpoint", "c.h5", "--checkpoint-every", 0.004, "--output", "p.h5", "--json")
        with fifo:
            for first, name in ((0, "c.h5"), (30, "c.h5.1")):
                fifo.write(packed(values[first:first + 30], labels[first:first + 30]))
                wait_for((self.folder / name).exists, "a checkpoint")
            self.assertIsNone(run.process.poll())
        done = run.end()
        self.assertEqual(done.code, 0, done.err)
        self.assertEqual(done.report["frames"], 60)
        self.assertEqual(done.report["updates"][-1], 60)
    def test_checkpoints_that_take_longer_than_the_time_between_them(self):
        values, labels = self.write(5)
        os.mkfifo(self.folder / "fifo")
        run = Started("stream", "--steps", 40, "--width", 256, *RAW[4:], "fifo", *LEARN, "--checkpoint", "c.h5",
                      "--checkpoint-every", 1e-6, "--json", cwd=self.folder)
        with open(os.open(self.folder / "fifo", os.O_RDWR), "wb", buffering=0) as fifo:
            wait_for((self.folder / "c.h5").exists, "a checkpoint")
            fifo.write(packed(values, labels))
        done = run.end()
        self.assertEqual(done.code, 0, done.err)
        self.assertEqual(done.report["frames"], 5)

    def test_checkpoints_by_the_clock_that_nothing_is_for(self):
        self.write(5)
        for words, phrases in (([*LEARN, "--checkpoint-every", 1], ["--checkpoint-every", "--checkpoint FILE"]),
                               (["--checkpoint-every", 1], ["--checkpoint-every", "--learning-rate"])):
            self.assert_refused(self.run_here("stream", *RAW, "frames.bin", *words), *phrases)


if __name__ == "__main__":
    main()
