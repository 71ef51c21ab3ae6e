"""Training by the schedules of a pipeline: the curve of one rank, what is held, restarts on other grids, refusals."""
import h5py
import numpy as np

from program import RANKS, ProgramTest, main

# Without clipping, whose norm is summed over ranks.
RUN = ["train", "--data", "random", "--samples", 256, "--test-samples", 100, "--width", 8, "--steps", 96,
       "--batch", 32, "--warm-up", 5, "--learning-rate", 0.02, "--shift", 1, "--epochs", 2, "--clip-norm", 0, "--quiet"]
SCHEDULES = ["gpipe", "1f1b", "zero-bubble"]


def numbers_of(path):
    """Loss curve and parameters of a checkpoint."""
    with h5py.File(path, "r") as file:
        arrays = {name: file["parameters"][name][:] for name in file["parameters"]}
        return arrays | {"loss": file["history/updates"][:, 2]}


class TrainPipeline(ProgramTest):
    def trained(self, *words, run=RUN, **settings):
        done = self.run_here(*run, "--checkpoint", "c.h5", "--json", *words, **settings)
        self.assertEqual(done.code, 0, done.err)
        return done.report, numbers_of(self.folder / "c.h5")

    def assert_same(self, ours, theirs, bound):
        for name, expected in theirs.items():
            error = np.abs(ours[name] - expected).max() / np.abs(expected).max()
            self.assertLessEqual(error, bound, name)

    def test_every_schedule_and_grid_gives_the_curve_of_one_rank(self):
        sequential, expected = self.trained("--nonlinear", "sequential", ranks=1)
        _, alone = self.trained("--pipeline", "gpipe", "--micro-batches", 8, ranks=1)
        self.assert_same(alone, expected, 1e-9)
        for schedule in SCHEDULES:
            for more in ([],) if schedule == "zero-bubble" else ([], ["--recompute"]):
                with self.subTest(schedule=schedule, more=more):
                    report, ours = self.trained("--pipeline", schedule, "--micro-batches", 8, *more)
                    self.assertEqual(report["method"], f"pipeline {schedule}")
                    self.assertEqual(report["depth_ranks"], RANKS)
                    self.assertEqual(report["confusion"], sequential["confusion"])
                    self.assertAlmostEqual(report["test_loss"], sequential["test_loss"], delta=1e-9)
                    for name in ("layers", "embedding", "head"):
                        self.assertTrue((ours[name] == alone[name]).all(), name)
                    self.assertEqual(report["pipeline_micro_batches"], 8)
                    self.assertAlmostEqual(report["pipeline_idle"], report["pipeline_idle_by_formula"])
                    held = {"gpipe": 8}.get(schedule, RANKS)
                    if more and schedule != "zero-bubble":
                        held = 1
                    self.assertEqual(report["pipeline_held"], held)
        if RANKS > 1:
            report, ours = self.trained("--depth-ranks", RANKS)
            self.assertEqual(report["method"], "pipeline zero-bubble")
            self.assertIn("cheapest", report["choice"])
            self.assert_same(ours, expected, 1e-9)
            report, _ = self.trained("--depth-ranks", RANKS, "--keep-trajectories", 256)
            self.assertNotIn("pipeline", report["method"])
        if RANKS == 4:
            _, ours = self.trained("--pipeline", "1f1b", "--depth-ranks", 2)
            self.assert_same(ours, expected, 1e-9)

    def test_inputs_and_inner_rows(self):
        words = ["--loss", "squared-error", "--loss-rows", "48,96", "--width", 12]
        run = [word for word in RUN if word not in ("--width", 8)]
        reports = [self.solved(*run, *words, *more, ranks=ranks)
                   for ranks, *more in ((1, "--nonlinear", "sequential"), (RANKS, "--pipeline", "zero-bubble"))]
        self.assertAlmostEqual(reports[0]["loss"], reports[1]["loss"], delta=1e-10)
        self.assertAlmostEqual(reports[0]["test_loss"], reports[1]["test_loss"], delta=1e-9)

    def test_goes_on_on_another_grid(self):
        _, expected = self.trained("--pipeline", "1f1b")
        self.trained("--pipeline", "1f1b", "--max-steps", 7)
        (self.folder / "c.h5").rename(self.folder / "half.h5")
        _, same = self.trained("--pipeline", "1f1b", "--restart", "half.h5")
        for name in expected:
            self.assertTrue((same[name] == expected[name]).all(), name)
        for words in (["--pipeline", "zero-bubble", "--depth-ranks", 1], ["--nonlinear", "sequential"]):
            with self.subTest(words=words):
                _, other = self.trained(*words, "--restart", "half.h5", ranks=2)
                self.assert_same(other, expected, 1e-9)
        score = self.solved("evaluate", "--restart", "half.h5")
        self.assertEqual(score["updates"], 7)

    def test_delayed_gradients_are_those_of_one_rank(self):
        exact, kept = self.trained("--pipeline", "1f1b", "--micro-batches", 8)[1], None
        for words in (["--old-weights", "keep"], ["--old-weights", "exact"], ["--old-weights", "average"],
                      ["--old-weights", "average", "--delay", 4]):
            with self.subTest(words=words):
                words = ["--pipeline", "delayed", "--micro-batches", 8, *words]
                _, alone = self.trained(*words, ranks=1)
                report, ours = self.trained(*words, "--depth-ranks", RANKS, "--trace", "run.h5")
                self.assert_same(ours, alone, 1e-12)
                self.assertGreater(np.abs(ours["layers"] - exact["layers"]).max(), 1e-3)
                self.assertEqual(report["method"], "pipeline delayed")
                # the 8 updates of an epoch, between two scores
                self.assertEqual(report["pipeline_updates_in_a_row"], 8)
                self.assertAlmostEqual(report["pipeline_idle"], report["pipeline_idle_by_formula"])
                bubble = RANKS - 1
                self.assertAlmostEqual(report["pipeline_idle"], bubble / (64 + bubble), delta=1e-9)
                kept = kept or ours
                if report["delay"] == 1:
                    self.assert_same(ours, kept, 1e-12)
                self.assertEqual((report["old_weights"], report["delay"]), (words[5], words[7] if words[7:] else 1))
                with h5py.File(self.folder / "run.h5", "r") as file:
                    drift = file["old_weights/drift"][:]
                    apart = max(1, report["delay"] - 1)
                    self.assertEqual(list(file["old_weights/update"]), list(range(1 + apart, 17, apart)))
                self.assertEqual(report["drift"], drift[-1])
                if report["delay"] > 1:
                    self.assertTrue((drift > 1e-6).all())
                else:
                    self.assertTrue((drift == 0).all())
                if words[5] == "exact":
                    self.assert_same(self.trained(*words, "--depth-ranks", RANKS, "--recompute")[1], ours, 0)

    def test_delayed_gradients_go_on_bit_for_bit(self):
        clipped = [0.1 if word == 0 else word for word in RUN]
        for words in ([], ["--optimiser", "sgd"], ["--old-weights", "exact", "--delay", 2],
                      ["--old-weights", "average", "--delay", 3]):
            with self.subTest(words=words):
                words = ["--pipeline", "delayed", "--depth-ranks", RANKS, *words]
                _, expected = self.trained(*words, run=clipped)
                self.trained(*words, "--max-steps", 7, run=clipped)
                (self.folder / "c.h5").rename(self.folder / "half.h5")
                _, same = self.trained(*words, "--restart", "half.h5", run=clipped)
                self.assert_same(same, expected, 0)
        # of `average`
        self.assertEqual(self.solved("evaluate", "--restart", "half.h5")["updates"], 7)
        refused = self.run_here(*RUN, "--pipeline", "delayed", "--restart", "half.h5")
        self.assertEqual(refused.code, 1)
        for phrase in ("was written with --delay 3", "was written with --old-weights average", "1_updates_ago is missing"):
            self.assertIn(phrase, refused.err)
        exact = self.run_here(*RUN, "--pipeline", "1f1b", "--restart", "half.h5", "--json")
        self.assertEqual(exact.code, 0, exact.err)
        self.assertIn("was written with --pipeline delayed", exact.err)

    def test_fewer_micro_batches_than_ranks_flush(self):
        if RANKS < 2:
            return
        words = ["--pipeline", "delayed", "--old-weights", "keep", "--delay", 2]
        expected = self.trained(*words, "--micro-batches", RANKS)[1]
        report, ours = self.trained(*words, "--micro-batches", RANKS - 1, "--depth-ranks", RANKS)
        self.assertEqual(report["pipeline_updates_in_a_row"], 1)
        self.assert_same(ours, expected, 1e-9)

    def test_layerpipe_is_late_by_stage(self):
        exact = self.trained("--pipeline", "1f1b", "--micro-batches", 1)[1]
        drifts, found = {}, {}
        for rule in ("keep", "exact", "average"):
            with self.subTest(rule=rule):
                words = ["--pipeline", "layerpipe", "--old-weights", rule, "--depth-ranks", RANKS]
                report, found[rule] = self.trained(*words, "--trace", "run.h5")
                self.assertEqual(report["method"], "pipeline layerpipe")
                self.assertEqual(report["delay"], [2 * (RANKS - 1 - s) for s in range(RANKS)])
                self.assertEqual(report["pipeline_updates_in_a_row"], 8)
                self.assertAlmostEqual(report["pipeline_idle"], report["pipeline_idle_by_formula"])
                self.assertEqual(report["pipeline_held"], min(2 * RANKS - 1, 8))
                with h5py.File(self.folder / "run.h5", "r") as file:
                    self.assertEqual(file["problem"].attrs["delay"], 2 * (RANKS - 1))
                    drifts[rule] = file["old_weights/drift"][:]
                if rule == "keep":
                    self.assert_same(self.trained(*words, "--recompute")[1], found[rule], 0)
        self.assert_same(found["exact"], found["keep"], 1e-12)
        if RANKS == 1:  # nothing is late
            self.assert_same(found["keep"], exact, 0)
            self.assert_same(found["average"], exact, 0)
            return
        self.assertGreater(np.abs(found["keep"]["layers"] - exact["layers"]).max(), 1e-3)
        self.assertTrue((drifts["keep"] == 0).all())
        self.assertTrue((drifts["exact"] < 1e-14).all())
        self.assertTrue((drifts["average"] > 1e-6).all())

    def test_layerpipe_goes_on_bit_for_bit_between_two_rows(self):
        for rule in ("keep", "average"):
            with self.subTest(rule=rule):
                words = ["--pipeline", "layerpipe", "--old-weights", rule, "--depth-ranks", RANKS]
                expected = self.trained(*words)[1]
                self.trained(*words, "--max-steps", 8)
                (self.folder / "c.h5").rename(self.folder / "half.h5")
                same = self.trained(*words, "--restart", "half.h5")[1]
                self.assert_same(same, expected, 0)
        # of `average`
        refused = self.run_here(*RUN, "--pipeline", "delayed", "--restart", "half.h5")
        self.assertEqual(refused.code, 1)
        self.assertIn("was written with --pipeline layerpipe", refused.err)

    def test_the_table_tells_of_it(self):
        done = self.run_here(*[word for word in RUN if word != "--quiet"], "--max-steps", 2, "--pipeline", "1f1b")
        self.assertEqual(done.code, 0, done.err)
        self.assertIn("micro-batches", done.out)
        self.assertIn("by formula", done.out)

    def test_wrong_words_are_refused(self):
        for words, phrases in (
                (["--recompute"], ["--recompute", "--pipeline"]),
                (["--old-weights", "average"], ["--old-weights average needs --pipeline delayed"]),
                (["--pipeline", "1f1b", "--delay", 2], ["--delay 2 needs --pipeline delayed"]),
                (["--pipeline", "delayed", "--delay", 0], ["--delay 0"]),
                (["--pipeline", "layerpipe", "--delay", 1], ["--delay 1", "--pipeline layerpipe"]),
                (["--pipeline", "layerpipe", "--micro-batches", 2], ["--micro-batches 2", "--pipeline layerpipe"]),
                (["--pipeline", "layerpipe", "--clip", "local"], ["--pipeline layerpipe", "--clip local"]),
                (["--pipeline", "1f2b"], ["did you mean 1f1b"]),
                (["--pipeline", "zero-bubble", "--recompute"], ["--recompute", "gpipe, 1f1b, delayed or layerpipe"]),
                (["--pipeline", "1f1b", "--chunks", 4], ["--chunks", "--pipeline 1f1b"]),
                (["--pipeline", "gpipe", "--block-steps", 3], ["--block-steps", "--pipeline gpipe"]),
                (["--pipeline", "1f1b", "--nonlinear", "newton"], ["--nonlinear newton", "--pipeline 1f1b"]),
                (["--pipeline", "gpipe", "--backward-linear", "pcr"], ["--backward-linear pcr"]),
                (["--pipeline", "gpipe", "--pipeline-layout", "interleaved"], ["--pipeline-layout interleaved"]),
                (["--pipeline", "gpipe", "--micro-batches", 33], ["--micro-batches 33"]),
                (["--pipeline", "gpipe", "--model", "autoencoder"], ["--pipeline gpipe", "autoencoder"]),
        ):
            with self.subTest(words=words):
                self.assert_refused(self.run_here(*RUN, *words), *phrases)
        if RANKS > 1:
            run = [12 if word == 8 else word for word in RUN]
            words = ["--pipeline", "layerpipe", "--depth-ranks", RANKS, "--loss", "squared-error", "--loss-rows", "48,96"]
            self.assert_refused(self.run_here(*run, *words), "--pipeline layerpipe needs", "a loss of the last state")


if __name__ == "__main__":
    main()
