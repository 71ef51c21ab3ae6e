"""Streams that learn as they go: what they report and write, that timing changes nothing, wrong input."""
import json
import os
import signal
import subprocess

import h5py
import numpy as np

from program import RANKS, ProgramTest, Started, command, main, wait_for

CHAIN = ["--steps", 12, "--width", 8]
RAW = [*CHAIN, "--frame-size", 5, "--classes", 4, "--frames"]
RATE = ["--learning-rate", 0.01]


def labelled(count, seed=1):
    """Frames whose class is the largest of their first four numbers; each comes five times, as in a film."""
    values = np.repeat(np.random.default_rng(seed).normal(size=(count // 5, 5)), 5, axis=0).astype("<f4")
    labels = values[:, :4].argmax(axis=1).astype("<i4")
    return values, labels


def packed(values, labels):
    return b"".join(label.tobytes() + frame.tobytes() for label, frame in zip(labels, values))


class StreamLearning(ProgramTest):
    def learned(self, *words, **settings):
        return self.solved("stream", *words, "--force", **settings)

    def tables(self, name, group="predictions"):
        with h5py.File(self.folder / name) as file:
            return {key: data[:] for key, data in file[group].items()}

    def write(self, count):
        values, labels = labelled(count)
        (self.folder / "frames.bin").write_bytes(packed(values, labels))
        return values, labels

    def test_report_and_trace(self):
        _, labels = self.write(2050)
        report = self.learned(*RAW, "frames.bin", "--labelled", *RATE, "--optimiser", "adam", "--weight-decay", 0,
                              "--trace", "s.h5", "--output", "p.h5")
        self.assertEqual(report["status"], "done")
        self.assertEqual(report["optimiser"], "adam")
        self.assertEqual(report["learning_rate"], 0.01)
        self.assertIn("PARTIME", report["rule"])
        staleness = [2 * (RANKS - 1 - stage) for stage in range(RANKS)]
        self.assertEqual(report["staleness"], staleness)
        self.assertEqual(report["updates"], [2050 - frames for frames in staleness])
        found = self.tables("s.h5", "learning")
        np.testing.assert_array_equal(found["frame"], [*range(100, 2001, 100), 2050])
        right = self.tables("p.h5")["class"] == labels
        np.testing.assert_allclose(found["accuracy"][:20], right[:2000].reshape(20, 100).mean(axis=1))
        self.assertAlmostEqual(found["accuracy"][20], right[2000:].mean())
        self.assertEqual(report["recent_frames"], 950)
        self.assertAlmostEqual(report["recent_accuracy"], right[-950:].mean())
        # it learns: far from one in four, and from the loss of equal chances
        self.assertGreater(found["accuracy"][15:].mean(), 0.6)
        self.assertLess(found["loss"][15:].mean(), 0.7 * found["loss"][0])

    def test_predicts_before_it_learns(self):
        self.write(50)
        words = [*RAW, "frames.bin", "--labelled", "--logits", "--output"]
        self.learned(*words, "still.h5")
        self.learned(*words, "p.h5", *RATE)
        still, ours = self.tables("still.h5")["logits"], self.tables("p.h5")["logits"]
        np.testing.assert_array_equal(ours[0], still[0])
        self.assertTrue(np.all(np.any(ours[1:] != still[1:], axis=1)))

    def test_weights_are_those_learned(self):
        values, labels = self.write(1500)
        self.learned(*RAW, "frames.bin", "--labelled", *RATE, "--save-weights", "w.h5")
        score = self.learned(*CHAIN, "--weights", "w.h5", "--frames", "frames.bin", "--labelled", "--output", "p.h5",
                             "--logits")
        self.assertGreater(score["accuracy"], 0.6)
        with h5py.File(self.folder / "w.h5") as file:
            weight, bias = file["embedding/weight"][:], file["embedding/bias"][:]
            z = values[:3] @ weight.T + bias
            for w, b in zip(file["layers/weight"][:], file["layers/bias"][:]):
                z = z + np.tanh(np.tanh(z @ w[0].T + b[0]) @ w[1].T + b[1]) / np.sqrt(12)
            logits = z @ file["head/weight"][:].T + file["head/bias"][:]
        np.testing.assert_allclose(self.tables("p.h5")["logits"][:3], logits, rtol=1e-6, atol=1e-8)

    def test_slow_frames_learn_the_same(self):
        values, labels = self.write(200)
        words = ["--labelled", *RATE, "--logits", "--trace"]
        self.learned(*RAW, "frames.bin", *words, "s.h5", "--output", "p.h5")
        os.mkfifo(self.folder / "fifo")
        run = Started("stream", *RAW, "fifo", *words, "slow.h5", "--output", "q.h5", "--json", cwd=self.folder)
        wait_for((self.folder / "slow.h5").exists, "a run that has opened its frames")

        def rows():
            try:
                with h5py.File(self.folder / "slow.h5", "r", swmr=True) as file:
                    return len(file["learning/loss"])
            except (OSError, KeyError):
                return 0

        with open(os.open(self.folder / "fifo", os.O_RDWR), "wb", buffering=0) as fifo:
            fifo.write(packed(values[:120], labels[:120]))
            # pauses go by, and the trace can be read
            wait_for(lambda: rows() == 1, "the first row of the trace")
            fifo.write(packed(values[120:], labels[120:]))
        done = run.end()
        self.assertEqual(done.code, 0, done.err)
        np.testing.assert_array_equal(self.tables("q.h5")["logits"], self.tables("p.h5")["logits"])
        for key in ("frame", "loss", "accuracy"):
            np.testing.assert_array_equal(self.tables("slow.h5", "learning")[key], self.tables("s.h5", "learning")[key])

    def test_nothing_is_learned_from_no_numbers(self):
        values, labels = self.write(60)
        values[20, 3] = np.nan
        (self.folder / "frames.bin").write_bytes(packed(values, labels))
        done = self.run_here("stream", *RAW, "frames.bin", "--labelled", *RATE, "--output", "p.h5", "--json")
        self.assertEqual(done.code, 2, done.err)
        self.assertIn("1 of 60 frames", done.report["reason"])
        self.assertIn("--learning-rate", done.report["reason"])
        found = self.tables("p.h5")["class"]
        self.assertEqual(found[20], -1)
        self.assertTrue(np.all(np.delete(found, 20) >= 0))
        # a stage leaves out that frame and, later, the gradient of each stage behind it that has met it
        self.assertEqual(done.report["updates"],
                         [60 - 2 * (RANKS - 1 - stage) - (RANKS - stage) for stage in range(RANKS)])

    def test_goes_on_from_a_checkpoint(self):
        values, labels = self.write(200)
        words = ["--labelled", *RATE, "--logits", "--checkpoint-frames", 40]
        whole = self.learned(*RAW, "frames.bin", *words, "--checkpoint", "whole.h5", "--output", "p.h5",
                             "--save-weights", "w.h5")
        expected = self.tables("p.h5")
        # gradients under way at frames 40, 80, 120, 160 are dropped
        drops = [5 * 2 * (RANKS - 1 - stage) for stage in range(RANKS)]
        self.assertEqual(whole["updates"], [200 - dropped for dropped in drops])
        for frames, source in ((80, "frames.bin"), (120, "standard input")):
            self.learned(*RAW, "frames.bin", *words, "--checkpoint", "c.h5", "--max-frames", frames, "--output",
                         "first.h5")
            on = [*words, "--checkpoint", "c.h5", "--restart", "c.h5", "--output", "q.h5", "--save-weights", "v.h5"]
            if source == "frames.bin":
                second = self.learned(*RAW, source, *on)
            else:  # standard input has only what comes now
                done = subprocess.run(command(["stream", *RAW, "-", *on, "--force", "--json"]), cwd=self.folder,
                                      input=packed(values[frames:], labels[frames:]), capture_output=True, check=True,
                                      timeout=120)
                second = json.loads(done.stdout)
            self.assertEqual(second["updates"], whole["updates"])
            self.assertEqual(second["next_frame"], 200)
            for key in ("frame", "class", "label", "logits"):
                found = np.concatenate([self.tables("first.h5")[key], self.tables("q.h5")[key]])
                np.testing.assert_array_equal(found, expected[key], err_msg=f"{key} from frame {frames}")
            with h5py.File(self.folder / "w.h5") as ours, h5py.File(self.folder / "v.h5") as theirs:
                for name in ("embedding/weight", "layers/weight", "layers/bias", "head/weight", "head/bias"):
                    np.testing.assert_array_equal(theirs[name], ours[name])

    def test_keeps_the_files_of_the_first_part(self):
        values, labels = self.write(200)
        words = [*RAW, "frames.bin", "--labelled", *RATE, "--checkpoint", "c.h5", "--restart", "auto", "--output", "p.h5",
                 "--trace", "s.h5"]
        self.solved("stream", *words, "--max-frames", 120)
        self.assertFalse((self.folder / "p.h5.1").exists())  # nothing to go on from
        self.solved("stream", *words)
        for name, first, last in (("p.h5.1", 0, 120), ("p.h5", 120, 200)):
            np.testing.assert_array_equal(self.tables(name)["frame"], np.arange(first, last))
        np.testing.assert_array_equal(self.tables("s.h5.1", "learning")["frame"], [100, 120])
        np.testing.assert_array_equal(self.tables("s.h5", "learning")["frame"], [200])
        with h5py.File(self.folder / "p.h5") as file:
            self.assertEqual(file["outcome"].attrs["iterations_before"], 120)

    def test_says_what_is_other_than_before(self):
        values, labels = self.write(20)
        words = [*RAW, "frames.bin", "--labelled", *RATE]
        self.learned(*words, "--checkpoint", "c.h5")
        done = self.run_here("stream", *words, "--restart", "c.h5", "--mean", 2, "--deviation", 4, "--first-frame", 3)
        self.assertEqual(done.code, 0, done.err)
        for now, before in (("--mean 2", "--mean 0"), ("--deviation 4", "--deviation 1"),
                            ("--first-frame 3", "--first-frame 0")):
            self.assertRegex(done.err, f"{now}: 'c.h5' was written with {before}")
        same = self.run_here("stream", *words, "--restart", "c.h5")
        self.assertNotIn("was written with", same.err)

    def test_never_goes_back(self):
        values, labels = self.write(60)
        words = [*RAW, "frames.bin", "--labelled", *RATE, "--checkpoint", "c.h5"]
        self.learned(*words)

        def iteration():
            return self.run_here("inspect", "c.h5", "--json", ranks=1).report["iteration"]

        # a stop before any frame is left out; a smaller --max-frames
        stopped = self.run_here("stream", *words, "--restart", "c.h5", "--max-hours", 1e-9, "--json")
        self.assertIn(stopped.code, (0, 85), stopped.err)
        self.assertEqual((stopped.report["frames"], stopped.report["next_frame"], iteration()), (0, 60, 60))
        fewer = self.learned(*words, "--restart", "c.h5", "--max-frames", 25)
        self.assertEqual((fewer["frames"], fewer["next_frame"], iteration()), (0, 60, 60))
        # frames that are read to be left out are safe points, too
        (self.folder / "STOP").touch()
        zero = self.run_here("stream", *RAW, "/dev/zero", "--labelled", *RATE, "--first-frame", 10**12, "--checkpoint",
                             "d.h5", "--json")
        self.assertEqual(zero.code, 85, zero.err)
        self.assertEqual(zero.report["next_frame"], 10**12)
        # a file that ends before
        (self.folder / "frames.bin").write_bytes(packed(values[:30], labels[:30]))
        self.assert_refused(self.run_here("stream", *words, "--restart", "c.h5"), "it has 30 frames", "frame 60")
        self.assertEqual(iteration(), 60)

    def test_checkpoints_that_leave_nothing_to_learn(self):
        self.write(20)
        words = ["stream", *RAW, "frames.bin", "--labelled", *RATE, "--checkpoint", "c.h5", "--checkpoint-frames"]
        lost = 2 * (RANKS - 1)
        if RANKS > 1:
            self.assert_refused(self.run_here(*words, lost), f"--checkpoint-frames {lost}", f"more than {lost}")
        for frames in (lost + 1, max(10 * lost, 1)):
            done = self.run_here(*words, frames)
            self.assertEqual(done.code, 0, done.err)
            few = 0 < frames < 10 * lost
            self.assertEqual(f"learns from {frames - lost} of {frames} frames" in done.err, few, done.err)

    def test_stops_with_a_checkpoint(self):
        values, labels = labelled(60)
        os.mkfifo(self.folder / "fifo")
        words = [*RAW, "fifo", "--labelled", *RATE, "--logits", "--checkpoint", "c.h5"]
        run = Started("stream", *words, "--output", "p.h5", "--json", cwd=self.folder)
        wait_for((self.folder / "p.h5").exists, "a run that has opened its frames")

        def predicted():
            try:
                with h5py.File(self.folder / "p.h5", "r", swmr=True) as file:
                    return len(file["predictions/class"])
            except (OSError, KeyError):
                return 0

        with open(os.open(self.folder / "fifo", os.O_RDWR), "wb", buffering=0) as fifo:
            fifo.write(packed(values[:35], labels[:35]))
            wait_for(lambda: predicted() == 35, "the first frames")
            (self.folder / "STOP").touch()
            done = run.end()
            self.assertEqual(done.code, 85, done.err)
            self.assertIn("before frame 35", done.report["reason"])
        (self.folder / "fifo").unlink()
        (self.folder / "frames.bin").write_bytes(packed(values, labels))
        raw = [*RAW, "frames.bin", "--labelled", *RATE, "--logits", "--checkpoint"]
        self.learned(*raw, "c.h5", "--restart", "auto", "--output", "q.h5")
        self.learned(*raw, "d.h5", "--checkpoint-frames", 35, "--output", "whole.h5")
        found = np.concatenate([self.tables("p.h5")["logits"], self.tables("q.h5")["logits"]])
        np.testing.assert_array_equal(found, self.tables("whole.h5")["logits"])

    def test_saves_when_told(self):
        values, labels = labelled(60)
        os.mkfifo(self.folder / "fifo")
        run = Started("stream", *RAW, "fifo", "--labelled", *RATE, "--checkpoint", "c.h5", "--output", "p.h5", "--json",
                      cwd=self.folder)
        wait_for((self.folder / "p.h5").exists, "a run that has opened its frames")
        with open(os.open(self.folder / "fifo", os.O_RDWR), "wb", buffering=0) as fifo:
            fifo.write(packed(values[:30], labels[:30]))
            if RANKS > 1:
                run.signal_rank(RANKS - 1, signal.SIGUSR2)
            else:
                run.signal_mpirun(signal.SIGUSR2)  # the program itself
            wait_for((self.folder / "c.h5").exists, "the checkpoint")
            fifo.write(packed(values[30:], labels[30:]))
        done = run.end()
        self.assertEqual(done.code, 0, done.err)
        self.assertEqual(done.report["frames"], 60)
        self.assertTrue((self.folder / "c.h5.1").exists())  # the one at the end has followed it

    def test_schedules(self):
        self.write(100)
        raw = [*RAW, "frames.bin", "--labelled", "--optimiser", "sgd", "--clip-norm", 0, "--save-weights"]
        report = self.learned(*raw, "a.h5", "--learning-rate", 0.02, "--warm-up", 1000)
        self.assertEqual((report["schedule"], report["warm_up"], report["loss"]), ("constant", 1000, "cross-entropy"))
        self.learned(*raw, "b.h5", "--learning-rate", 0.02)
        # steps of a warm-up that never ends are a tenth of others, and less
        self.learned(*raw, "start.h5", "--learning-rate", 1e-300)
        moved = [self.distance(name, "start.h5") for name in ("a.h5", "b.h5")]
        self.assertGreater(moved[0], 0)
        self.assertLess(moved[0], 0.1 * moved[1])
        # no rate is left after two frames by a thousandth
        step = ["--learning-rate", 0.02, "--schedule", "step", "--decay-every", 1, "--decay", 0]
        self.learned(*raw, "c.h5", *step)
        self.learned(*raw, "d.h5", *step, "--max-frames", 2 * RANKS - 1)  # each stage has had its first update
        self.assertEqual(self.distance("c.h5", "d.h5"), 0)
        self.learned(*raw, "e.h5", "--learning-rate", 0.02, "--schedule", "cosine", "--max-frames", 100)
        self.assertLess(self.distance("e.h5", "start.h5"), moved[1])

    def distance(self, ours, theirs):
        with h5py.File(self.folder / ours) as one, h5py.File(self.folder / theirs) as other:
            return float(np.linalg.norm(one["layers/weight"][:] - other["layers/weight"][:]))

    def test_losses(self):
        self.write(600)
        raw = [*RAW, "frames.bin", "--labelled", *RATE]
        plain = self.learned(*raw)
        for words in (["--loss", "binary-cross-entropy"], ["--label-smoothing", 0.1], ["--class-weights", "1,2,1,0.5"]):
            with self.subTest(words=words):
                report = self.learned(*raw, *words)
                self.assertNotEqual(report["recent_loss"], plain["recent_loss"])
                self.assertGreater(report["accuracy"], 0.4)

    def test_images(self):
        report = self.learned("--data", "random", "--max-frames", 300, *CHAIN, *RATE, "--optimiser", "sgd")
        self.assertEqual(report["frames"], 300)
        self.assertEqual(report["updates"][-1], 300)

    def test_wrong_input(self):
        values, labels = self.write(25)
        values.tofile(self.folder / "f")
        labels[20] = 4
        (self.folder / "bad").write_bytes(packed(values, labels))
        random = ["--data", "random", "--max-frames", 5, *CHAIN]
        self.learned(*random, *RATE, "--checkpoint", "c.h5")
        self.learned(*random, *RATE, "--checkpoint", "other.h5", ranks=RANKS + 1)
        self.solved("train", "--data", "random", "--samples", 64, *CHAIN, "--checkpoint", "t.h5",
                    "--save-weights", "net.h5", ranks=1)
        for words, phrases in (
                ([*RAW, "f", *RATE], ["--learning-rate 0.01", "--frames f", "--labelled"]),
                ([*RAW, "bad", "--labelled", *RATE, "--checkpoint", "d.h5"], ["frame 20 has the label 4", "0 to 3"]),
                ([*random, "--optimiser", "sgd"], ["--optimiser", "--learning-rate"]),
                ([*random, "--momentum", 0.5], ["--momentum", "--learning-rate"]),
                ([*random, "--clip-norm", 1], ["--clip-norm", "--learning-rate"]),
                ([*random, "--trace", "s.h5"], ["--trace", "--learning-rate"]),
                ([*random, "--save-weights", "w.h5"], ["--save-weights", "--learning-rate"]),
                ([*random, *RATE, "--trace", "no/s.h5"], ["no/s.h5"]),
                ([*random, *RATE, "--optimiser", "sgd", "--momentum", 1], ["momentum 1"]),
                ([*random, *RATE, "--optimiser", "sgd", "--beta1", 0.5], ["--beta1"]),
                ([*random, *RATE, "--checkpoint-frames", 3], ["--checkpoint-frames", "--checkpoint"]),
                ([*random, "--checkpoint", "d.h5"], ["--checkpoint", "--learning-rate"]),
                ([*random, *RATE, "--restart", "none.h5"], ["none.h5"]),
                ([*random, *RATE, "--restart", "t.h5"], ["t.h5", "not written by deeppcr stream"]),
                ([*random, *RATE, "--restart", "other.h5"], [f"by {RANKS + 1} ranks", f"mpirun -n {RANKS + 1}"]),
                ([*random, *RATE, "--restart", "c.h5", "--optimiser", "sgd"], ["c.h5", "momentum", "--optimiser"]),
                ([*random, *RATE, "--restart", "c.h5", "--activation", "relu"], ["c.h5", "--activation relu"]),
                ([*random, *RATE, "--restart", "c.h5", "--weights", "net.h5"], ["--weights", "--restart"]),
                ([*random, "--warm-up", 5], ["--warm-up", "--learning-rate"]),
                ([*random, "--loss", "cross-entropy"], ["--loss", "--learning-rate"]),
                ([*random, "--label-smoothing", 0.1], ["--label-smoothing", "--learning-rate"]),
                ([*random, *RATE, "--loss", "squared-error"], ["--loss squared-error", "binary-cross-entropy"]),
                ([*random, *RATE, "--loss", "auc"], ["--loss auc", "cross-entropy"]),
                ([*random, *RATE, "--loss-at", "each"], ["--loss-at", "last"]),
                ([*random, *RATE, "--class-weights", "1,2"], ["--class-weights"]),
                ([*random, *RATE, "--restart", "c.h5", "--loss", "binary-cross-entropy"], ["c.h5", "--loss"]),
                ([*RAW, "f", "--labelled", *RATE, "--schedule", "cosine"], ["--schedule cosine", "--max-frames"]),
                ([*random, "--learning-rate", -1], ["--learning-rate -1"])):
            with self.subTest(words=words):
                self.assert_refused(self.run_here("stream", *words, "--quiet"), *phrases)


if __name__ == "__main__":
    main()
