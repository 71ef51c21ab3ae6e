"""Data ranks that go by themselves between two means: rounds, drift, restarts in mid-round, scores, refusals."""
import h5py
import numpy as np

from checkpoints import contents
from program import RANKS, ProgramTest, main

RUN = ["train", "--data", "random", "--samples", 256, "--test-samples", 64, "--batch", 16, "--steps", 24,
       "--width", 8, "--warm-up", 10, "--learning-rate", 0.02, "--quiet"]
GRIDS = {1: [(1, 1)], 2: [(1, 2), (2, 1)], 4: [(1, 4), (2, 2)]}[RANKS]


class Rounds(ProgramTest):
    def trained(self, name, *words, **settings):
        self.solved(*RUN, *words, "--checkpoint", name, **settings)
        return contents(self.folder / name)

    def assert_equal(self, ours, theirs):
        self.assertEqual(set(ours), set(theirs))
        for name, values in theirs.items():
            self.assertTrue((ours[name] == values).all(), name)

    def test_rounds_and_drift(self):
        for depth, data in GRIDS:
            grid = ["--depth-ranks", depth, "--data-ranks", data]
            for updates, rounds in ((1, 24), (5, 4), (25, 0)):
                with self.subTest(depth=depth, data=data, updates=updates):
                    report = self.solved(*RUN, *grid, "--clip", "local", "--local-steps", updates, "--max-steps", 24,
                                         "--epochs", 2, "--trace", "run.h5")
                    self.assertEqual((report["local_steps"], report["rounds"]), (updates, rounds))
                    with h5py.File(self.folder / "run.h5", "r") as file:
                        self.assertEqual(list(file["rounds/update"]), [updates * (k + 1) for k in range(rounds)])
                        drift = file["rounds/drift"][:]
                        self.assertTrue(((drift > 0) if data > 1 else (drift == 0)).all())
                        if rounds > 0:
                            self.assertEqual(report["drift"], drift[-1])

    def test_one_data_rank_is_the_usual_path_bit_for_bit(self):
        grid = ["--depth-ranks", RANKS, "--data-ranks", 1, "--max-steps", 12]
        usual = self.trained("a.h5", *grid, "--clip", "mean", "--local-steps", 1)
        self.assert_equal(usual, self.trained("b.h5", *grid))
        ours = self.trained("c.h5", *grid, "--clip", "local", "--local-steps", 4)
        del ours["history/rounds"]
        self.assert_equal(ours, usual)

    def test_every_optimiser_learns(self):
        for words in (["--optimiser", "sgd"], ["--optimiser", "adam"], ["--optimiser", "adamw", "--average-optimiser"]):
            with self.subTest(words=words):
                report = self.solved(*RUN, *words, "--data-ranks", RANKS, "--clip", "local", "--local-steps", 4,
                                     "--epochs", 4)
                self.assertGreater(report["test_accuracy"], 0.8)

    def test_goes_on_bit_for_bit_in_mid_round(self):
        for depth, data in GRIDS:
            more = ["--average-optimiser"] if depth > 1 else []
            with self.subTest(depth=depth, data=data):
                words = [*more, "--depth-ranks", depth, "--data-ranks", data, "--clip", "local", "--local-steps", 8,
                         "--epochs", 2, "--max-steps", 30]
                expected = self.trained("whole.h5", *words)
                first = self.trained("c.h5", *words[:-1], 21)
                self.assertEqual("own/parameters/layers" in first, data > 1)
                self.assert_equal(self.trained("c.h5", *words, "--restart", "c.h5"), expected)

    def test_other_rounds_go_on_from_ranks_that_differ(self):
        grid = ["--data-ranks", RANKS, "--clip", "local", "--max-steps", 11]
        before = self.solved(*RUN, *grid, "--local-steps", 16, "--checkpoint", "half.h5")
        means = contents(self.folder / "half.h5")
        for updates in (11, "auto"):  # a round would end where the run ends
            with self.subTest(updates=updates):
                ended = self.solved(*RUN, *grid, "--local-steps", updates, "--restart", "half.h5", "--checkpoint", "next.h5")
                self.assertEqual(ended["test_loss"], before["test_loss"])
                ours = contents(self.folder / "next.h5")
                for name in means:
                    if name.startswith("parameters/"):
                        self.assertTrue((ours[name] == means[name]).all(), name)

    def test_another_grid_goes_on_from_the_mean(self):
        words = ["--clip", "local", "--local-steps", 8, "--epochs", 2]
        first = self.trained("c.h5", *words, "--data-ranks", RANKS, "--max-steps", 13)
        if RANKS > 1:
            for name in ("layers", "head", "embedding"):
                own = first[f"own/parameters/{name}"].reshape(RANKS, *first[f"parameters/{name}"].shape)
                np.testing.assert_allclose(own.mean(axis=0), first[f"parameters/{name}"], rtol=0, atol=1e-15)
                self.assertGreater(np.abs(own[0] - own[-1]).max(), 1e-4)
        ours = self.trained("n.h5", *words, "--data-ranks", 3, "--restart", "c.h5", ranks=3)
        self.assertEqual(len(ours["history/rounds"]), 4)
        one = self.trained("o.h5", "--epochs", 2, "--restart", "c.h5", ranks=1)  # clip mean
        self.assertEqual(len(one["history/updates"]), 32)

    def test_shards_by_class_drift_further(self):
        words = [*RUN, "--data-ranks", RANKS, "--clip", "local", "--local-steps", 8, "--epochs", 2]
        even, apart = self.solved(*words), self.solved(*words, "--shards", "by-class", "--checkpoint", "c.h5")
        self.assertEqual(apart["updates"], even["updates"])
        if RANKS == 1:
            self.assertEqual(apart["loss"], even["loss"])
            return
        self.assertGreater(apart["drift"], 1.2 * even["drift"])
        plain = self.solved(*RUN, "--data-ranks", RANKS, "--shards", "by-class", "--epochs", 2)  # any --clip
        self.assertGreater(plain["test_accuracy"], 0.5)

    def test_shards_need_labels(self):
        rng = np.random.default_rng(3)
        with h5py.File(self.folder / "x.h5", "w") as file:
            file["inputs"], file["targets"] = rng.normal(size=(32, 6, 2)), rng.normal(size=(32, 6, 1))
        self.assert_refused(self.run_here("train", "--model", "rnn", "--input", "x.h5", "--loss", "mean-square",
                                          "--width", 4, "--batch", 8, "--shards", "by-class"),
                            "--shards by-class", "label", "iid")

    def test_scores_are_those_of_the_mean(self):
        report = self.solved(*RUN, "--data-ranks", RANKS, "--clip", "local", "--local-steps", 8, "--max-steps", 13,
                             "--checkpoint", "c.h5", "--save-weights", "w.h5")
        for ranks in (1, RANKS):
            score = self.solved("evaluate", "--restart", "c.h5", ranks=ranks)
            self.assertAlmostEqual(score["loss"], report["test_loss"], delta=1e-7)
            self.assertEqual(score["confusion"], report["confusion"])
        with h5py.File(self.folder / "w.h5", "r") as weights, h5py.File(self.folder / "c.h5", "r") as file:
            mean = np.abs(file["parameters/head"][:-1]).sum()
            self.assertAlmostEqual(np.abs(weights["head/weight"][:]).sum(), mean, delta=1e-12 * mean)

    def test_rounds_grow_below_a_bound_on_the_drift(self):
        words = [*RUN, "--data-ranks", RANKS, "--clip", "local", "--local-steps", "auto", "--epochs", 4, "--trace", "run.h5"]
        for bound, longest in ((1e300, 32), (1e-9, 1), (0.02, None)):
            with self.subTest(bound=bound):
                report = self.solved(*words, "--drift-bound", bound)
                with h5py.File(self.folder / "run.h5", "r") as file:
                    ends, drift = file["rounds/update"][:], file["rounds/drift"][:]
                lengths = np.diff(ends, prepend=0)
                self.assertEqual(lengths[0], 1)
                for k in range(len(lengths) - 1):
                    factor = 2 if drift[k] <= bound / 2 else 0.5 if drift[k] > bound else 1
                    self.assertEqual(lengths[k + 1], max(1, lengths[k] * factor), k)
                if RANKS > 1 and longest:
                    self.assertEqual(lengths.max(), longest)
                self.assertEqual(report["rounds"], len(ends))

    def test_growing_rounds_go_on_bit_for_bit(self):
        for depth, data in GRIDS:
            with self.subTest(depth=depth, data=data):
                words = ["--depth-ranks", depth, "--data-ranks", data, "--clip", "local", "--local-steps", "auto",
                         "--drift-bound", 0.05, "--epochs", 2, "--max-steps", 30]
                expected = self.trained("whole.h5", *words)
                for stop in (7, 12, 13):
                    self.trained("c.h5", *words[:-1], stop)
                    self.assert_equal(self.trained("c.h5", *words, "--restart", "c.h5"), expected)
        # a run whose rounds were of one length
        self.trained("c.h5", "--clip", "local", "--local-steps", 4, "--max-steps", 6)
        self.trained("c.h5", *words, "--restart", "c.h5")

    def test_one_data_rank_is_told_that_rounds_are_nothing(self):
        done = self.run_here(*RUN, "--clip", "local", "--local-steps", 4, "--data-ranks", 1, "--max-steps", 4)
        self.assertEqual("--clip local makes no difference" in done.err, RANKS > 1, done.err)

    def test_wrong_words_are_refused(self):
        for words, phrases in (
                (["--local-steps", 4], ["--local-steps 4 needs --clip local"]),
                (["--local-steps", 4, "--clip", "mean"], ["--local-steps 4 needs --clip local"]),
                (["--local-steps", 0], ["--local-steps 0"]),
                (["--clip", "local", "--local-steps", "4x"], ["--local-steps 4x", "auto"]),
                (["--local-steps", "auto"], ["--local-steps auto needs --clip local"]),
                (["--clip", "local", "--local-steps", "auto", "--drift-bound", 0], ["--drift-bound 0"]),
                (["--clip", "local", "--local-steps", 4, "--drift-bound", 0.1], ["--drift-bound", "not with 4"]),
                (["--average-optimiser"], ["--average-optimiser needs --clip local"]),
                (["--clip", "none"], ["--clip none", "local"])):
            with self.subTest(words=words):
                self.assert_refused(self.run_here(*RUN, *words), *phrases)
        self.assert_refused(self.run_here("train", "--model", "autoencoder", "--data", "random", "--clip", "local"),
                            "--clip local is for chains")


if __name__ == "__main__":
    main()
