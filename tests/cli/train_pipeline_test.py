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
    def trained(self, *words, **settings):
        done = self.run_here(*RUN, "--checkpoint", "c.h5", "--json", *words, **settings)
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

    def test_the_table_tells_of_it(self):
        done = self.run_here(*[word for word in RUN if word != "--quiet"], "--max-steps", 2, "--pipeline", "1f1b")
        self.assertEqual(done.code, 0, done.err)
        self.assertIn("micro-batches", done.out)
        self.assertIn("by formula", done.out)

    def test_wrong_words_are_refused(self):
        for words, phrases in (
                (["--recompute"], ["--recompute", "--pipeline"]),
                (["--pipeline", "1f2b"], ["did you mean 1f1b"]),
                (["--pipeline", "zero-bubble", "--recompute"], ["--recompute", "gpipe or 1f1b"]),
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


if __name__ == "__main__":
    main()
