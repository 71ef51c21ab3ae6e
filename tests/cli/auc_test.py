"""Two classes in place of many, and the loss of AUC (CODA): scores, rounds, stages, restarts, refusals."""
import h5py
import numpy as np

from checkpoints import contents
from program import RANKS, ProgramTest, main

RUN = ["train", "--data", "random", "--samples", 512, "--test-samples", 128, "--batch", 16, "--steps", 12,
       "--width", 8, "--warm-up", 5, "--quiet"]
CLASSES = ["--positives", "5,6,7,8,9"]
THIN = [*CLASSES, "--positive-fraction", 0.25]
AUC = ["--loss", "auc", "--optimiser", "sgd", "--learning-rate", 0.05, "--schedule", "constant"]
GRIDS = {1: [(1, 1)], 2: [(1, 2), (2, 1)], 4: [(1, 4), (2, 2)]}[RANKS]


def area(scores, positive):
    """Of all pairs."""
    above = np.sign(scores[positive][:, None] - scores[~positive][None, :])
    return (above + 1).mean() / 2


class Auc(ProgramTest):
    def trained(self, name, *words, **settings):
        self.solved(*RUN, *THIN, *words, "--checkpoint", name, **settings)
        return contents(self.folder / name)

    def test_delayed_updates_are_drawn_to_the_reference_point(self):
        losses = [self.solved(*RUN, *THIN, *AUC, "--stage-steps", 10, "--epochs", 2, "--depth-ranks", RANKS, "--pipeline",
                              "delayed", "--old-weights", rule)["loss"] for rule in ("keep", "exact")]
        self.assertAlmostEqual(*losses, delta=1e-9)

    def test_every_loss_scores_two_classes(self):
        for loss in (["--learning-rate", 0.02], ["--loss", "binary-cross-entropy", "--learning-rate", 0.05], AUC,
                     [*AUC, "--loss-at", "each"], [*AUC, "--loss-at", "rate"]):
            with self.subTest(loss=loss):
                report = self.solved(*RUN, *THIN, *loss, "--epochs", 8, "--checkpoint", "c.h5")
                self.assertGreater(report["test_auc"], 0.9)
                self.assertEqual(np.sum(report["confusion"], axis=1).tolist(), [65, 63])
                score = self.solved("evaluate", "--restart", "c.h5", "--output", "said.h5", "--force")
                self.assertAlmostEqual(score["auc"], report["test_auc"], delta=1e-9)
                self.assertEqual(score["confusion"], report["confusion"])
                with h5py.File(self.folder / "said.h5", "r") as file:
                    scores, positive = file["scores"][:], file["labels"][:] == 1
                    self.assertAlmostEqual(area(scores, positive), score["auc"], delta=1e-12)
                    self.assertEqual(file["roc"].attrs["area"], score["auc"])
                    false, true = file["roc/false_positive_rate"][:], file["roc/true_positive_rate"][:]
                    self.assertAlmostEqual(((true[1:] + true[:-1]) / 2 * np.diff(false)).sum(), score["auc"],
                                           delta=1e-12)
                    for threshold, a, b in list(zip(file["roc/threshold"][:], false, true))[::16]:
                        taken = scores >= threshold
                        self.assertAlmostEqual(taken[positive].mean(), b, delta=1e-12)
                        self.assertAlmostEqual(taken[~positive].mean(), a, delta=1e-12)

    def test_every_grid_gives_the_same(self):
        for place, more in (("last", ["--pipeline", "1f1b", "--micro-batches", 4]), ("each", []), ("rate", [])):
            words = [*AUC, "--stage-steps", 10, "--loss-at", place, "--max-steps", 15]
            expected = self.trained("a.h5", *words, ranks=1)
            self.assertGreater(abs(expected["parameters/auc/dual"]).max(), 0.01)
            for depth, data in GRIDS:
                with self.subTest(place=place, depth=depth, data=data):
                    ours = self.trained("b.h5", *words, *more, "--depth-ranks", depth, "--data-ranks", data)
                    self.assertEqual(set(ours), set(expected))
                    for name in expected:
                        if name.startswith(("parameters", "reference")):
                            np.testing.assert_allclose(ours[name], expected[name], rtol=0, atol=1e-9, err_msg=name)

    def test_goes_on_bit_for_bit_in_mid_round_and_mid_stage(self):
        for depth, data in GRIDS:
            with self.subTest(depth=depth, data=data):
                words = [*AUC, "--depth-ranks", depth, "--data-ranks", data, "--clip", "local", "--local-steps", 8,
                         "--stage-steps", 12, "--proximal", 2, "--epochs", 3, "--max-steps", 30]
                expected = self.trained("whole.h5", *words)
                first = self.trained("c.h5", *words[:-1], 21)
                for name in ("layers", "head", "auc/centres"):
                    self.assertTrue((first[f"reference/{name}"] != first[f"parameters/{name}"]).any(), name)
                self.assertNotIn("reference/auc/dual", first)
                self.assertEqual("own/parameters/auc/dual" in first, data > 1)
                ours = self.trained("c.h5", *words, "--restart", "c.h5")
                self.assertEqual(set(ours), set(expected))
                for name, values in expected.items():
                    self.assertTrue((ours[name] == values).all(), name)
                self.assertEqual(expected["history/rounds"][:, 0].tolist(), [8, 12, 16, 24])

    def test_thinning_is_by_seed(self):
        ours = [self.trained(f"{k}.h5", "--max-steps", 3, "--seed", seed) for k, seed in enumerate((1, 1, 2))]
        self.assertTrue((ours[0]["parameters/head"] == ours[1]["parameters/head"]).all())
        self.assertTrue((ours[0]["parameters/head"] != ours[2]["parameters/head"]).any())
        whole = self.solved(*RUN, *CLASSES, "--epochs", 1)
        self.assertEqual(whole["updates"], 512 // 16)
        self.assertEqual(self.solved(*RUN, *THIN, "--epochs", 1)["updates"], (257 + 86) // 16)

    def test_ten_classes_have_no_area(self):
        self.assertNotIn("test_auc", self.solved(*RUN, "--max-steps", 2))

    def test_wrong_words_are_refused(self):
        for words, phrases in (
                (["--loss", "auc"], ["--loss auc", "--positives"]),
                (["--positives", "5,x"], ["--positives '5,x'", "5,6,7,8,9"]),
                (["--positives", "12"], ["--positives 12", "0 to 9"]),
                (["--positives", "0,1,2,3,4,5,6,7,8,9"], ["all of the 512", "both"]),
                (["--positive-fraction", 0.1], ["--positive-fraction 0.1 needs --positives"]),
                (["--positives", "3", "--positive-fraction", 0.5], ["--positive-fraction 0.5", "512"]),
                ([*CLASSES, "--loss", "cross-entropy", "--stage-steps", 4], ["--stage-steps 4 goes with --loss auc"])):
            with self.subTest(words=words):
                self.assert_refused(self.run_here(*RUN, *words), *phrases)
        self.assert_refused(self.run_here("gradient", "--loss", "auc"), "--loss auc is for train")
        self.assert_refused(self.run_here("train", "--model", "autoencoder", "--data", "random", "--positives", 1),
                            "--positives is for chains")
        self.trained("c.h5", *AUC, "--max-steps", 3)
        self.assert_refused(self.run_here("evaluate", "--restart", "c.h5", "--test-samples", 4),
                            "none of the 4 test samples are positive", "--loss auc")
        self.trained("c.h5", "--max-steps", 3)
        self.assertNotIn("auc", self.solved("evaluate", "--restart", "c.h5", "--test-samples", 4))
        self.assert_refused(self.run_here(*RUN, "--positives", 1, "--restart", "c.h5"), "--positives 1", "c.h5")


if __name__ == "__main__":
    main()
