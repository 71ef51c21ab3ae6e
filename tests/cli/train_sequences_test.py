"""Training over time: recurrent cells on images as sequences and on signals from files."""
import wave as wave_file

import h5py
import numpy as np

from program import RANKS, ProgramTest, main

IMAGES = ["train", "--data", "random", "--samples", 240, "--test-samples", 60, "--width", 12,
          "--batch", 24, "--warm-up", 5, "--learning-rate", 0.01]
SIGNALS = ["train", "--model", "gru", "--width", 10, "--batch", 8, "--warm-up", 5, "--input", "s.h5",
           "--learning-rate", 0.01]
LOSS, TEST_LOSS = "history/updates", "history/evaluations"


def depths():
    return [depth for depth in range(1, RANKS + 1) if RANKS % depth == 0]


class TrainSequences(ProgramTest):
    def signals(self, name="s.h5", samples=40, steps=14, early=True, seed=1):
        """Waves of two kinds, which differ in how fast they are; targets: the next value."""
        rng = np.random.default_rng(seed)
        labels = rng.integers(0, 2, samples)
        time = np.arange(steps + 1)[None, :] + rng.uniform(0, 9, (samples, 1))
        wave = np.sin(time * np.where(labels, 1.2, 0.5)[:, None])
        inputs = np.stack([wave[:, :-1], 100 + 7 * rng.normal(size=(samples, steps))], axis=2)
        with h5py.File(self.folder / name, "w") as file:
            file["inputs"] = inputs
            file["labels"] = labels
            file["targets"] = wave[:, 1:, None]
            if early:
                file["lengths"] = rng.integers(4, steps + 1, samples)

    def curve(self, name):
        with h5py.File(self.folder / name, "r") as file:
            return file[LOSS][:, 2].copy()

    def contents(self, name):
        found = {}
        with h5py.File(self.folder / name, "r") as file:
            file.visititems(lambda key, item: found.__setitem__(key, item[()])
                            if isinstance(item, h5py.Dataset) else None)
        return {key: value for key, value in found.items()
                if key.split("/")[0] in ("parameters", "optimiser", "state")}

    def test_images_by_rows_and_by_pixels(self):
        report = self.solved(*IMAGES, "--model", "gru", "--layers", 2, "--as", "rows", "--epochs", 8,
                             "--checkpoint", "g.h5", "--evaluate-every", 0)
        self.assertEqual(report["steps"], 8)
        self.assertGreater(report["test_accuracy"], 0.7)
        score = self.solved("evaluate", "--restart", "g.h5", "--output", "p.h5")
        self.assertEqual(score["confusion"], report["confusion"])
        with h5py.File(self.folder / "p.h5", "r") as file:
            said, labels = file["predictions"][:], file["labels"][:]
        self.assertEqual(said.shape, (60,))
        self.assertAlmostEqual(np.mean(said == labels), report["test_accuracy"])
        for cell in ("rnn", "lstm", "para-gru", "para-lstm"):
            report = self.solved(*IMAGES, "--model", cell, "--as", "pixels", "--max-steps", 3)
            self.assertEqual(report["steps"], 64)
            self.assertTrue(np.isfinite(report["test_loss"]))

    def test_a_score_is_the_same_on_every_grid(self):
        self.signals()
        self.signals("more.h5", seed=2)
        for words in (["--batch", 1, "--loss-at", "each"], ["--batch", 8, "--steps", 6]):
            report = self.solved("train", *SIGNALS[1:5], *words, "--input", "s.h5", "--max-steps", 5, "--checkpoint",
                                 "c.h5", "--depth-ranks", RANKS, "--data-ranks", 1)
            for depth in depths():
                score = self.solved("evaluate", "--restart", "c.h5", "--depth-ranks", depth, "--data-ranks",
                                    1 if words[1] == 1 else RANKS // depth,
                                    ranks=depth if words[1] == 1 else RANKS)
                self.assertAlmostEqual(score["loss"], report["test_loss"], delta=1e-10)
                self.assertEqual(score["steps"], report["steps"])
        # the normalisation stays that of the first run
        self.solved(*SIGNALS, "--max-steps", 4, "--checkpoint", "c.h5", "--epochs", 9)
        scores = [self.solved(*SIGNALS[:-4], "--input", "more.h5", "--restart", "c.h5", "--max-steps", 1,
                              "--learning-rate", 0.01, "--epochs", 9, "--depth-ranks", depth,
                              ranks=depth)["test_loss"] for depth in (1, RANKS)]
        self.assertAlmostEqual(*scores, delta=1e-10)

    def test_labels_of_each_step_and_samples_without_any(self):
        self.signals()
        with h5py.File(self.folder / "s.h5", "r+") as file:
            lengths = file["lengths"][:]
            lengths[[3, 35]] = 0
            labels = np.repeat(file["labels"][:][:, None], 14, axis=1)
            ends = labels[np.arange(40), np.maximum(lengths - 1, 0)]
            labels[:, :3] = 2
            file["lengths"][:] = lengths
            del file["labels"]
            file["labels"] = labels
        judged = lengths > 0
        for at in ("last", "rate"):
            report = self.solved(*SIGNALS, "--loss-at", at, "--test-share", 0, "--epochs", 20, "--checkpoint", "c.h5",
                                 "--evaluate-every", 0)
            self.assertGreater(report["test_accuracy"], 0.6)
            self.assertEqual([sum(row) for row in report["confusion"]],
                             [*np.bincount(ends[judged], minlength=2), 0])
            self.solved("evaluate", "--restart", "c.h5", "--output", "p.h5", "--force")
            with h5py.File(self.folder / "p.h5") as file:
                self.assertEqual(list(file["labels"][:][judged]), list(ends[judged]))
                right = (file["predictions"][:] == ends)[judged]
            self.assertAlmostEqual(right.mean(), report["test_accuracy"], delta=1e-12)

    def test_samples_without_steps_do_not_count_in_the_mean(self):
        self.signals()
        with h5py.File(self.folder / "s.h5", "r+") as file, h5py.File(self.folder / "some.h5", "w") as some:
            lengths = file["lengths"][:]
            lengths[::4] = 0
            file["lengths"][:] = lengths
            for name in ("inputs", "labels", "targets", "lengths"):
                some[name] = file[name][:][lengths > 0]
        for words in (["--loss-at", "each"], ["--loss-at", "last"], ["--loss", "mean-square"]):
            all_of = ["train", "--model", "gru", "--width", 10, *words, "--test-share", 0, "--epochs", 1,
                      "--learning-rate", 1e-3]
            whole = self.solved(*all_of, "--input", "s.h5", "--batch", 40)
            part = self.solved(*all_of, "--input", "some.h5", "--batch", 30)
            for key in ("loss", "test_loss"):
                self.assertAlmostEqual(whole[key], part[key], delta=1e-9)

    def test_samples_that_reach_no_row_of_the_loss_do_not_count_in_the_mean(self):
        self.signals()
        rows = ["--loss", "squared-error", "--loss-rows", "8,12"]
        with h5py.File(self.folder / "s.h5", "r+") as file, h5py.File(self.folder / "some.h5", "w") as some:
            lengths = file["lengths"][:]
            lengths[:10], lengths[10:] = 7, np.maximum(lengths[10:], 8)
            file["lengths"][:] = lengths
            for name in ("inputs", "labels", "lengths"):
                some[name] = file[name][:][10:]
        cell = ["--model", "gru", "--width", 10, *rows]
        whole = self.solved("gradient", *cell, "--input", "s.h5")
        part = self.solved("gradient", *cell, "--input", "some.h5")
        self.assertAlmostEqual(whole["loss"], part["loss"], delta=1e-12)
        words = ["train", *cell, "--test-share", 0, "--epochs", 1, "--learning-rate", 1e-3]
        whole = self.solved(*words, "--input", "s.h5", "--batch", 40)
        part = self.solved(*words, "--input", "some.h5", "--batch", 30)
        for key in ("loss", "test_loss"):
            self.assertGreater(whole[key], 0)
            # the normalisation knows of ten more samples
            self.assertAlmostEqual(whole[key] / part[key], 1, delta=0.05)

    def test_pixels_in_another_order(self):
        words = [*IMAGES, "--model", "gru", "--as", "pixels", "--max-steps", 4]
        plain = self.solved(*words)
        other = self.solved(*words, "--permute", 7, "--checkpoint", "p.h5")
        self.assertNotEqual(plain["loss"], other["loss"])
        self.assertEqual(self.solved(*words, "--permute", 7)["loss"], other["loss"])
        score = self.solved("evaluate", "--restart", "p.h5")
        self.assertAlmostEqual(score["loss"], other["test_loss"], delta=1e-9)
        self.assert_refused(self.run_here(*words, "--permute", 8, "--restart", "p.h5"), "--permute")

    def test_weights_are_for_features_as_they_are(self):
        self.signals()
        for cell in ("rnn", "gru", "lstm", "para-gru", "para-lstm"):
            with self.subTest(cell=cell):
                words = ["train", "--model", cell, "--layers", 2, *SIGNALS[3:], "--test-share", 0]
                report = self.solved(*words, "--epochs", 2, "--data-ranks", RANKS, "--save-weights",
                                     f"{cell}.h5")
                found = self.solved("gradient", "--weights", f"{cell}.h5", "--input", "s.h5")
                self.assertAlmostEqual(found["loss"], report["test_loss"], delta=1e-9)
                # training normalises them again: without a step the weights are what they were
                self.solved("train", "--input", "s.h5", "--batch", 8, "--weights", f"{cell}.h5",
                            "--learning-rate", 0, "--max-steps", 1, "--depth-ranks", RANKS,
                            "--save-weights", "again.h5")
                with h5py.File(self.folder / f"{cell}.h5", "r") as old, \
                        h5py.File(self.folder / "again.h5", "r") as new:
                    for name, values in old["cell/0"].items():
                        np.testing.assert_allclose(new["cell/0"][name][:], values[:], rtol=1e-11,
                                                   atol=1e-12, err_msg=name)

    def test_what_is_read_is_never_written(self):
        self.signals()
        self.signals("t.h5")
        checkpoint = "deeppcr.ckpt.h5"  # found in its folder
        self.solved(*SIGNALS, "--test-input", "t.h5", "--max-steps", 1, "--checkpoint", checkpoint)
        for name in ("s.h5", "t.h5", checkpoint):
            before = (self.folder / name).read_bytes()
            self.assert_refused(self.run_here("evaluate", "--restart", ".", "--output", name, "--force"),
                                f"--output {name}", "reads that file")
            self.assertEqual((self.folder / name).read_bytes(), before)

    def test_next_values(self):
        wave = np.sin(np.arange(60) / 3)[:, None] * [1, 2] + [0, 5]
        np.savetxt(self.folder / "x.csv", wave, "%.17g", ",", header="a,b", comments="")
        with h5py.File(self.folder / "x.h5", "w") as file:
            file["inputs"], file["targets"] = wave[:-1], wave[1:]
        words = ["train", "--model", "lstm", "--width", 6, "--batch", 1, "--loss", "mean-square",
                 "--loss-at", "each", "--test-share", 0, "--max-steps", 5]
        next_ones = [*words, "--target", "next"]
        expected = self.solved(*words, "--input", "x.h5")
        found = self.solved(*next_ones, "--input", "x.csv", "--checkpoint", "c.h5")
        self.assertEqual(found["steps"], 59)
        self.assertEqual((found["loss"], found["test_loss"]), (expected["loss"], expected["test_loss"]))
        score = self.solved("evaluate", "--restart", "c.h5", "--output", "p.h5", ranks=1)
        self.assertAlmostEqual(score["loss"], found["test_loss"], delta=1e-9)
        with h5py.File(self.folder / "p.h5", "r") as file:
            error = file["predictions"][:][0] - wave[1:]
        self.assertAlmostEqual((error**2).mean(), score["loss"], delta=1e-9)
        self.assert_refused(self.run_here(*words, "--input", "x.h5", "--restart", "c.h5"), "--target")

    def test_next_values_of_samples_that_end_early(self):
        self.signals()
        with h5py.File(self.folder / "s.h5", "r") as old, h5py.File(self.folder / "n.h5", "w") as new:
            x = old["inputs"][:]
            new["inputs"], new["targets"] = x[:, :-1], x[:, 1:]
            new["lengths"] = old["lengths"][:] - 1
        words = ["--loss", "mean-square", "--loss-at", "each", "--max-steps", 5]
        expected = self.solved(*SIGNALS[:9], "--input", "n.h5", *words)
        found = self.solved(*SIGNALS[:9], "--input", "s.h5", *words, "--target", "next")
        self.assertEqual((found["loss"], found["test_loss"]), (expected["loss"], expected["test_loss"]))

    def test_frames_of_recordings_alone(self):
        with wave_file.open(str(self.folder / "x.wav"), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(8000)
            file.writeframes((20000 * np.sin(np.arange(160) / 3)).astype("<i2").tobytes())
        words = ["train", "--model", "gru", "--width", 6, "--batch", 1, "--loss", "mean-square",
                 "--loss-at", "each", "--test-share", 0, "--max-steps", 2, "--target", "next"]
        done = self.run_here(*words, "--input", "x.wav", "--frame", 4, "--checkpoint", "c.h5")
        if "built without libsndfile" in done.err:
            self.skipTest("this program reads no WAV")
        self.assertEqual(done.code, 0, done.err)
        with h5py.File(self.folder / "x.h5", "w") as file:
            file["inputs"] = np.ones((3, 9, 4))
        self.assertEqual(self.solved("evaluate", "--restart", "c.h5", "--input", "x.h5")["steps"], 8)
        self.assertEqual(self.solved("evaluate", "--restart", "c.h5", "--input", "x.wav")["steps"], 39)
        self.assert_refused(self.run_here("evaluate", "--restart", "c.h5", "--input", "x.h5", "--frame",
                                          4), "--frame 4", "HDF5")
        self.solved(*IMAGES, "--model", "gru", "--max-steps", 1, "--checkpoint", "i.h5")
        self.assert_refused(self.run_here("evaluate", "--restart", "i.h5", "--frame", 4), "--frame 4",
                            "recording")

    def test_scores_without_the_training_file(self):
        self.signals()
        self.signals("t.h5", samples=9, steps=11, seed=2)
        report = self.solved(*SIGNALS, "--test-input", "t.h5", "--max-steps", 3, "--checkpoint", "c.h5")
        (self.folder / "s.h5").unlink()
        score = self.solved("evaluate", "--restart", "c.h5")
        self.assertAlmostEqual(score["loss"], report["test_loss"], delta=1e-9)
        self.assertEqual(score["steps"], 11)
        self.assertEqual(score["data"], "t.h5")

    def test_samples_without_truth_are_predicted_without_a_score(self):
        self.signals()
        self.signals("bare.h5", samples=9, seed=2)
        with h5py.File(self.folder / "bare.h5", "r+") as file:
            labels, lengths = file["labels"][:], file["lengths"][:]
            del file["labels"], file["targets"]
        self.signals("full.h5", samples=9, seed=2)
        for words, each in (([], False), (["--loss-at", "rate"], False), (["--loss-at", "each"], True),
                            (["--loss", "mean-square", "--loss-at", "each"], False)):
            with self.subTest(words=words):
                self.solved(*SIGNALS, *words, "--max-steps", 4, "--checkpoint", "c.h5", "--force")
                self.assert_refused(self.run_here("evaluate", "--restart", "c.h5", "--input", "bare.h5"),
                                    "bare.h5", "no score", "--output")
                said = {}
                for name in ("full", "bare"):
                    report = self.solved("evaluate", "--restart", "c.h5", "--input", f"{name}.h5",
                                         "--output", f"{name}.p.h5", "--force")
                    for key in ("loss", "test_loss"):
                        self.assertEqual(key in report, name == "full", report)
                    with h5py.File(self.folder / f"{name}.p.h5", "r") as file:
                        said[name] = file["predictions"][:]
                        self.assertEqual("labels" in file, name == "full" and "mean-square" not in words)
                if each:  # labels of samples ask for one prediction a sample, none for one a step
                    ends = said["bare"][np.arange(9), np.maximum(lengths - 1, 0)]
                    self.assertEqual(said["bare"].shape, (9, 14))
                    self.assertEqual(list(ends), list(said["full"]))
                else:
                    np.testing.assert_array_equal(said["bare"], said["full"])
        table = self.run_here("evaluate", "--restart", "c.h5", "--input", "bare.h5", "--output", "t.h5")
        self.assertIn("no score", table.out)

    def test_both_sets_need_the_same_truth(self):
        self.signals()
        for name in ("bare.h5", "steps.h5"):
            self.signals(name)
            with h5py.File(self.folder / name, "r+") as file:
                labels = file["labels"][:]
                del file["labels"]
                if name == "bare.h5":
                    del file["targets"]
                else:
                    file["labels"] = np.repeat(labels[:, None], 14, 1)
        bare = ["train", "--model", "gru", "--batch", 8, "--input", "bare.h5", "--test-input", "s.h5"]
        squares = ["--loss", "mean-square"]
        for words, phrases in ((bare, ["--input bare.h5", "/labels"]),
                               ([*bare, *squares], ["--input bare.h5", "/targets"]),
                               ([*SIGNALS, "--test-input", "bare.h5"], ["--test-input bare.h5", "/labels"]),
                               ([*SIGNALS, "--test-input", "bare.h5", *squares],
                                ["--test-input bare.h5", "/targets"]),
                               ([*SIGNALS, "--test-input", "steps.h5"],
                                ["steps.h5", "a step", "s.h5", "a sample"])):
            with self.subTest(words=words):
                self.assert_refused(self.run_here(*words), *phrases)

    def test_many_classes(self):
        self.signals()
        with h5py.File(self.folder / "s.h5", "r+") as file:
            file["labels"][7] = 60000
        report = self.solved(*SIGNALS, "--epochs", 5, "--checkpoint", "c.h5", "--trace", "t.h5")
        self.assertNotIn("confusion", report)
        score = self.solved("evaluate", "--restart", "c.h5", "--output", "p.h5")
        self.assertNotIn("confusion", score)
        with h5py.File(self.folder / "p.h5", "r") as file:
            right = np.mean(file["predictions"][:] == file["labels"][:])
        self.assertAlmostEqual(right, report["test_accuracy"])
        self.assertAlmostEqual(right, score["accuracy"])
        with h5py.File(self.folder / "s.h5", "r+") as file:
            file["labels"][7] = 2000000000
        self.assert_refused(self.run_here(*SIGNALS), "2000000001 outputs", "GiB")

    def test_outputs_of_no_head_are_refused_at_once(self):
        self.signals()
        with h5py.File(self.folder / "s.h5", "r+") as file:
            del file["targets"]
        self.solved(*SIGNALS, "--loss", "squared-error", "--max-steps", 1, "--checkpoint", "c.h5")
        self.assert_refused(self.run_here("evaluate", "--restart", "c.h5", "--output", "p.h5"),
                            "--output p.h5", "squared-error", "cross-entropy")
        self.assertFalse((self.folder / "p.h5").exists())

    def test_every_grid_gives_the_same_curve(self):
        self.signals()
        for words in (["--loss-at", "last"], ["--loss-at", "rate"], ["--truncate", 5],
                      ["--loss", "mean-square", "--loss-at", "each"],
                      ["--loss", "mean-square", "--loss-at", "each", "--truncate", 4, "--layers", 2]):
            with self.subTest(words=words):
                self.solved(*SIGNALS, *words, "--epochs", 3, "--checkpoint", "one.h5", ranks=1)
                expected = self.curve("one.h5")
                self.assertEqual(len(expected), 12)
                for depth in depths():
                    self.solved(*SIGNALS, *words, "--epochs", 3, "--checkpoint", f"{depth}.h5",
                                "--depth-ranks", depth)
                    error = np.abs(self.curve(f"{depth}.h5") - expected).max()
                    self.assertLessEqual(error, 1e-10 * np.abs(expected).max(), depth)

    def test_goes_on_bit_for_bit(self):
        self.signals()
        words = [*SIGNALS, "--loss-at", "each", "--loss", "mean-square", "--epochs", 4,
                 "--evaluate-every", 0, "--depth-ranks", RANKS]
        self.solved(*words, "--checkpoint", "whole.h5")
        self.solved(*words, "--checkpoint", "c.h5", "--max-steps", 7)
        self.solved(*words, "--checkpoint", "c.h5", "--restart", "auto")
        expected, found = self.contents("whole.h5"), self.contents("c.h5")
        self.assertEqual(sorted(found), sorted(expected))
        for name, values in expected.items():
            self.assertTrue((found[name] == values).all(), name)
        # on another grid to rounding
        self.solved(*words, "--checkpoint", "d.h5", "--max-steps", 7)
        self.solved(*words[:-2], "--checkpoint", "d.h5", "--restart", "auto", ranks=1)
        for name, values in self.contents("d.h5").items():
            if name.startswith("parameters"):
                error = np.abs(values - expected[name]).max()
                self.assertLessEqual(error, 1e-9 * np.abs(expected[name]).max(), name)

    def test_normalisation_is_that_of_the_training(self):
        self.signals()
        self.signals("more.h5", samples=9, seed=2)
        report = self.solved(*SIGNALS, "--test-input", "more.h5", "--epochs", 2, "--checkpoint",
                             "c.h5")
        with h5py.File(self.folder / "s.h5", "r") as file:
            there = np.arange(14)[None, :] < file["lengths"][:][:, None]
            steps = file["inputs"][:][there]
        with h5py.File(self.folder / "c.h5", "r") as file:
            known = file["state/normalisation"][0]
        np.testing.assert_allclose(known, [*steps.mean(0), *steps.std(0)], rtol=1e-12)
        self.assertEqual(report["test_samples"], 9)
        for words in ([], ["--input", "more.h5"]):
            score = self.solved("evaluate", "--restart", "c.h5", *words)
            self.assertAlmostEqual(score["loss"], report["test_loss"], delta=1e-10)
            self.assertEqual(score["confusion"], report["confusion"])

    def test_predicted_targets(self):
        self.signals()
        report = self.solved(*SIGNALS, "--loss", "mean-square", "--loss-at", "each", "--epochs", 20,
                             "--checkpoint", "c.h5", "--evaluate-every", 0)
        self.assertNotIn("test_accuracy", report)
        self.assertEqual(report["test_samples"], 8)
        self.assertLess(report["test_loss"], 0.2)  # their variance is 0.5
        self.solved("evaluate", "--restart", "c.h5", "--output", "p.h5")
        with h5py.File(self.folder / "p.h5", "r") as file:
            said, lengths = file["predictions"][:], file["lengths"][:]
        with h5py.File(self.folder / "s.h5", "r") as file:
            targets = file["targets"][32:]
            self.assertEqual(list(lengths), list(file["lengths"][32:]))
        self.assertEqual(said.shape, targets.shape)
        there = np.arange(14)[None, :] < lengths[:, None]
        errors = np.where(there, ((said - targets) ** 2)[:, :, 0], 0).sum(1) / lengths
        self.assertAlmostEqual(errors.mean(), report["test_loss"], delta=1e-9)
        self.assertTrue((said[~there] == 0).all())

    def test_a_trained_cell_goes_on_for_longer(self):
        self.signals(early=False)
        self.signals("long.h5", samples=5, steps=30, early=False)
        words = ["--loss", "mean-square", "--loss-at", "each"]
        self.solved(*SIGNALS, *words, "--epochs", 2, "--checkpoint", "c.h5")
        score = self.solved("evaluate", "--restart", "c.h5", "--input", "long.h5", "--output", "p.h5")
        self.assertEqual(score["steps"], 30)
        with h5py.File(self.folder / "p.h5", "r") as file:
            self.assertEqual(file["predictions"].shape, (5, 30, 1))

    def test_weights_go_on_in_solve_and_in_training(self):
        self.signals()
        words = [*SIGNALS, "--layers", 2, "--loss", "mean-square", "--loss-at", "each"]
        trained = self.solved(*words, "--epochs", 10, "--save-weights", "w.h5")
        with h5py.File(self.folder / "w.h5", "r") as file:
            self.assertEqual(file["cell/0/weight_ih"].shape, (30, 2))
            self.assertEqual(file["head/weight"].shape, (1, 10))
        report = self.solved("solve", "--weights", "w.h5", "--input", "s.h5")
        self.assertEqual((report["steps"], report["width"], report["state_width"]), (14, 10, 20))
        again = self.solved("train", "--weights", "w.h5", "--batch", 8, "--input", "s.h5", "--loss",
                            "mean-square", "--loss-at", "each", "--max-steps", 1, "--warm-up", 0,
                            "--learning-rate", 1e-9)
        self.assertAlmostEqual(again["test_loss"], trained["test_loss"], delta=1e-6)

    def test_one_long_signal(self):
        with h5py.File(self.folder / "one.h5", "w") as file:
            wave = np.sin(np.arange(51) / 3)
            file["inputs"], file["targets"] = wave[:-1, None], wave[1:, None]
        words = ["train", "--model", "lstm", "--width", 6, "--batch", 1, "--input", "one.h5", "--loss",
                 "mean-square", "--loss-at", "each", "--truncate", 10]
        self.assert_refused(self.run_here(*words), "--test-share")
        report = self.solved(*words, "--test-share", 0, "--epochs", 120, "--learning-rate",
                             0.02, "--depth-ranks", RANKS)
        self.assertEqual(report["steps"], 50)
        self.assertLess(report["test_loss"], 0.1)  # its variance is 0.5
        short = self.solved(*words, "--test-share", 0, "--steps", 20, "--max-steps", 1)
        self.assertEqual(short["steps"], 20)

    def test_wrong_words_are_refused(self):
        self.signals()
        self.signals("wide.h5")
        with h5py.File(self.folder / "wide.h5", "r+") as file:
            inputs = file["inputs"][:]
            del file["inputs"]
            file["inputs"] = np.concatenate([inputs, inputs], axis=2)
        with h5py.File(self.folder / "bare.h5", "w") as file:
            file["inputs"] = np.ones((12, 5, 2))
        gru = [*IMAGES, "--model", "gru"]
        bare = ["train", "--model", "gru", "--batch", 4, "--input", "bare.h5"]
        for words, phrases in (
                ([*gru, "--steps", 9], ["--steps 9", "8 steps"]),
                ([*gru, "--as", "pixels", "--features", 8], ["1 features, not 8", "--features"]),
                ([*gru, "--as", "columns"], ["columns", "rows", "pixels"]),
                ([*IMAGES, "--model", "resnet", "--as", "rows"], ["--as", "resnet"]),
                ([*IMAGES, "--model", "resnet", "--truncate", 3], ["--truncate", "resnet"]),
                (["train", "--model", "autoencoder", "--as", "pixels"], ["--as", "autoencoder"]),
                (["train", "--model", "autoencoder", "--truncate", 5], ["--truncate", "autoencoder"]),
                (["train", "--model", "autoencoder", "--permute", 3], ["--permute", "autoencoder"]),
                (["train", "--model", "autoencoder", "--frame", 7], ["--frame", "--input"]),
                (["train", "--model", "autoencoder", "--test-share", 0.5], ["--test-share"]),
                ([*gru, "--target", "next"], ["--target", "--input"]),
                ([*gru, "--input", "s.h5"], ["--data", "--input"]),
                ([*gru, "--test-share", 0.5], ["--test-share", "--input"]),
                ([*SIGNALS, "--shift", 1], ["--shift", "images"]),
                ([*SIGNALS, "--test-input", "wide.h5"], ["4 features", "wide.h5"]),
                ([*SIGNALS, "--test-share", 1], ["--test-share"]),
                ([*SIGNALS, "--steps", 15], ["--steps 15", "14"]),
                ([*SIGNALS, "--samples", 33], ["--samples 33", "32"]),
                (["train", "--model", "gru", "--batch", 33, "--input", "s.h5"], ["33", "32"]),
                (["train", "--model", "resnet", "--input", "s.h5"], ["resnet", "gru"]),
                (["train", "--model", "gru", "--input", "missing.h5"], ["missing.h5"]),
                (bare, ["/labels", "mean-square"]),
                ([*bare, "--loss", "mean-square"], ["/targets", "cross-entropy"]),
                ([*gru, "--loss", "mean-square"], ["/targets"]),
        ):
            with self.subTest(words=words):
                before = sorted(self.folder.iterdir())
                self.assert_refused(self.run_here(*words), *phrases)
                self.assertEqual(sorted(self.folder.iterdir()), before)
        self.solved(*SIGNALS, "--max-steps", 1, "--checkpoint", "c.h5")
        for words, phrases in ((["--input", "wide.h5"], ["4 features", "2"]),
                               (["--input", "s.h5", "--data", "random"], ["--data", "--input"]),
                               (["--data", "random"], ["8 features", "2"]),
                               (["--output", "s.h5"], ["s.h5"])):
            with self.subTest(words=words):
                self.assert_refused(self.run_here("evaluate", "--restart", "c.h5", *words), *phrases)


if __name__ == "__main__":
    main()
