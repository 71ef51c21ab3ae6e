"""Training from the command line: the same curve for every method and grid, falling losses, scores, refusals."""
import gzip
import struct

import h5py
import numpy as np

from program import RANKS, ProgramTest, main

SMALL = ["train", "--data", "random", "--samples", 320, "--test-samples", 100, "--width", 8,
         "--warm-up", 10, "--learning-rate", 0.02]
DEEP = [*SMALL, "--steps", 1024, "--batch", 4, "--max-steps", 50, "--quiet"]
# (depth ranks, data ranks) and the methods that are compared there
GRIDS = {1: {(1, 1): ["hybrid", "pcr"]},
         2: {(1, 2): ["sequential", "hybrid"], (2, 1): ["sequential", "hybrid", "pcr"]},
         4: {(1, 4): ["sequential"], (2, 2): ["hybrid"], (4, 1): ["hybrid", "pcr"]}}[RANKS]


def numbers_of(path):
    """Loss curve and parameters of a run that wrote <path>.h5 and <path>.ckpt.h5."""
    with h5py.File(f"{path}.h5", "r") as trace, h5py.File(f"{path}.ckpt.h5", "r") as checkpoint:
        arrays = {name: checkpoint["parameters"][name][:] for name in checkpoint["parameters"]}
        return arrays | {"loss": trace["training/loss"][:]}


def write_idx(folder, name, values, compress):
    """An IDX file of unsigned bytes."""
    values = np.asarray(values, dtype=np.uint8)
    data = struct.pack(f">BBBB{values.ndim}I", 0, 0, 8, values.ndim, *values.shape) + values.tobytes()
    path = folder / (name + (".gz" if compress else ""))
    path.write_bytes(gzip.compress(data) if compress else data)
    return path


class Train(ProgramTest):
    def trained(self, name, *words, **settings):
        """Numbers of a run with trace and checkpoint."""
        done = self.run_here(*words, "--trace", f"{name}.h5", "--checkpoint", f"{name}.ckpt.h5",
                             **settings)
        self.assertEqual(done.code, 0, done.err)
        return numbers_of(self.folder / name)

    def assert_same(self, ours, theirs, bound):
        for name, expected in theirs.items():
            self.assertEqual(ours[name].shape, expected.shape)
            error = np.abs(ours[name] - expected).max() / np.abs(expected).max()
            self.assertLessEqual(error, bound, name)

    def test_every_method_and_grid_gives_the_same_curve(self):
        """50 updates of 1024 layers: sequential on one rank is what the others are held against."""
        expected = self.trained("one", *DEEP, "--linear", "sequential", ranks=1)
        self.assertEqual(len(expected["loss"]), 50)
        self.assertLess(expected["loss"][-5:].mean(), 0.8 * expected["loss"][:5].mean())
        for (depth, data), methods in GRIDS.items():
            for linear in methods:
                with self.subTest(depth=depth, data=data, linear=linear):
                    ours = self.trained("other", *DEEP, "--linear", linear, "--depth-ranks", depth,
                                        "--data-ranks", data, "--newton-rtol", 1e-12)
                    self.assert_same(ours, expected, 1e-8)

    def test_every_nonlinear_solver_gives_the_same_curve(self):
        """All solvers that work on depth ranks at once, against sequential training on one."""
        if RANKS > 2:
            self.skipTest("one and two ranks have all of them")
        for model in (["--model", "mlp"], ["--model", "resnet", "--residual-scale", "1/L"]):
            deep = [*DEEP, *model, "--max-steps", 20]
            deep.remove("--max-steps")
            deep.remove(50)
            expected = self.trained("one", *deep, "--nonlinear", "sequential", ranks=1)
            for words in (["shooting", "--chunks", 4], ["shooting", "--coupling", "identity"], ["auto"],
                          ["windowed"]):
                with self.subTest(model=model, solver=words):
                    ours = self.trained("other", *deep, "--nonlinear", *words, "--depth-ranks", RANKS,
                                        "--newton-rtol", 1e-12)
                    self.assert_same(ours, expected, 1e-8)

    def test_passes_by_different_methods(self):
        expected = self.trained("one", *SMALL, "--steps", 40, "--quiet", ranks=1)
        ours = self.trained("other", *SMALL, "--steps", 40, "--quiet", "--forward-linear", "hybrid",
                            "--backward-linear", "sequential", "--newton-rtol", 1e-12)
        self.assert_same(ours, expected, 1e-8)

    def test_kept_trajectories_save_iterations(self):
        words = [*SMALL[:-1], 1e-5, "--steps", 256, "--gain", 2, "--epochs", 3, "--linear", "hybrid",
                 "--newton-rtol", 1e-6]
        copies = self.solved(*words)
        kept = self.solved(*words, "--keep-trajectories", 320)
        self.assertLess(kept["iterations"], 0.8 * copies["iterations"])
        self.assertAlmostEqual(kept["loss"], copies["loss"], delta=1e-4 * copies["loss"])

    def test_report_and_trace(self):
        report = self.solved(*SMALL, "--steps", 20, "--batch", 8, "--epochs", 2, "--linear",
                             "hybrid", "--trace", "run.h5", "--layer-norm", "--shift", 1)
        self.assertEqual(report["updates"], 80)
        self.assertEqual(report["depth_ranks"] * report["data_ranks"], RANKS)
        self.assertEqual(report["method"], "newton+hybrid")
        self.assertGreater(report["test_accuracy"], 0.5)
        self.assertGreater(report["iterations"], 80)
        self.assertEqual(np.sum(report["confusion"]), 100)
        self.assertIn("sequential", report["advice"])
        with h5py.File(self.folder / "run.h5", "r") as file:
            training = file["training"]
            self.assertEqual(list(training["update"]), list(range(80)))
            self.assertEqual(list(training["epoch"]), [0] * 40 + [1] * 40)
            self.assertEqual(training["seconds"].shape, (80, len(training["seconds"].attrs["stages"])))
            self.assertEqual(training["newton_iterations"][:].sum(), report["iterations"])
            self.assertEqual(list(file["evaluation/update"]), [40, 80])
            self.assertEqual(file["evaluation/accuracy"][-1], report["test_accuracy"])
            self.assertTrue((file["evaluation/confusion"][:] == report["confusion"]).all())
            self.assertEqual(file["outcome"].attrs["status"], b"converged")
            rates = training["learning_rate"][:]
            self.assertTrue((np.diff(rates[:10]) > 0).all())  # warm-up
            self.assertTrue((np.diff(rates[10:]) < 0).all())

    def test_evaluate_gives_the_score_of_the_run(self):
        report = self.solved(*SMALL, "--steps", 20, "--activation", "relu", "--block-layers", 3,
                             "--checkpoint", "c.h5")
        for words in ((), ("--depth-ranks", RANKS), ("--linear", "hybrid")):
            with self.subTest(words=words):
                score = self.solved("evaluate", "--restart", "c.h5", *words)
                self.assertEqual(score["updates"], report["updates"])
                self.assertEqual(score["confusion"], report["confusion"])
                self.assertAlmostEqual(score["loss"], report["test_loss"], delta=1e-7)
        table = self.run_here("evaluate", "--restart", "c.h5", "--test-samples", 30)
        self.assertIn("recall", table.out)
        (self.folder / "run").mkdir()
        self.assert_refused(self.run_here("evaluate", "--restart", "run"), "run/deeppcr.ckpt.h5")
        (self.folder / "c.h5").rename(self.folder / "run" / "deeppcr.ckpt.h5")
        score = self.solved("evaluate", "--restart", "run")
        self.assertEqual(score["confusion"], report["confusion"])

    def test_weights_go_on_in_solve(self):
        self.solved(*SMALL, "--steps", 12, "--batch", 8, "--epochs", 2, "--save-weights", "w.h5")
        with h5py.File(self.folder / "w.h5", "r") as file:
            self.assertEqual(file["layers/weight"].shape, (12, 2, 8, 8))
            self.assertEqual(file["embedding/weight"].shape, (8, 64))
            self.assertEqual(file["head/weight"].shape, (10, 8))
        self.assertEqual(self.solved("solve", "--weights", "w.h5")["steps"], 12)
        again = self.solved(*SMALL, "--weights", "w.h5", "--max-steps", 10)
        self.assertLess(again["loss"], 1)
        self.assertIn("cheapest of", again["choice"])

    def test_images_from_files(self):
        rng = np.random.default_rng(3)
        labels = rng.integers(0, 3, 120)
        images = (labels[:, None, None] * 80 + rng.integers(0, 20, (120, 4, 5)))
        for name in ("train", "t10k"):
            write_idx(self.folder, f"{name}-images-idx3-ubyte", images, True)
            write_idx(self.folder, f"{name}-labels-idx1-ubyte", labels, name == "train")
        report = self.solved("train", "--data", ".", "--steps", 10, "--width", 4, "--batch", 12,
                             "--epochs", 20, "--warm-up", 5, "--learning-rate", 0.02)
        self.assertEqual(report["updates"], 200)
        self.assertGreater(report["test_accuracy"], 0.95)

    def test_wrong_images_are_refused(self):
        good = np.zeros((20, 4, 4))
        for name in ("train", "t10k"):
            write_idx(self.folder, f"{name}-images-idx3-ubyte", good, False)
            write_idx(self.folder, f"{name}-labels-idx1-ubyte", np.zeros(20), False)
        path = self.folder / "train-images-idx3-ubyte"
        whole = path.read_bytes()
        for data, phrase in ((whole[:-1], "truncated"), (whole + b"x", "oversized"),
                             (whole[:10], "truncated"), (b"P5" + whole[2:], "not an IDX file"),
                             (whole[:4] + b"\0\0\0\x15" + whole[8:], "labels")):
            path.write_bytes(data)
            self.assert_refused(self.run_here("train", "--data", ".", "--batch", 4), phrase)
        path.write_bytes(whole)
        self.assert_refused(self.run_here("train", "--data", ".", "--batch", 21), "batch", "20")

    def test_a_loss_that_is_no_number(self):
        done = self.run_here("train", "--data", "random", "--samples", 320, "--width", 8,
                             "--steps", 64, "--learning-rate", 1e6, "--clip-norm", 0,
                             "--warm-up", 0, "--optimiser", "sgd", "--checkpoint", "c.h5", "--json",
                             "--activation", "relu", "--schedule", "constant", "--batch", 4)
        self.assertEqual(done.code, 2, done.err)
        report = done.report
        self.assertEqual(report["status"], "failed")
        self.assertIn("--learning-rate", report["reason"])
        self.assertEqual(report["checkpoint"], "c.h5")
        with h5py.File(self.folder / "c.h5", "r") as file:
            self.assertTrue(np.isfinite(file["parameters/layers"][:]).all())
        self.assertEqual(self.run_here("evaluate", "--restart", "c.h5").code, 0)

    def test_wrong_words_are_refused(self):
        for words, phrases in (
                (["--depth-ranks", RANKS, "--data-ranks", 2], ["--depth-ranks", "ranks"]),
                (["--data-ranks", RANKS + 1], ["--data-ranks", "divided"]),
                (["--steps", 0], ["--steps 0"]),
                (["--optimiser", "adm"], ["did you mean adam"]),
                (["--nesterov", "--momentum", 0], ["Nesterov"]),
                (["--optimiser", "adamw", "--nesterov"], ["--nesterov", "sgd"]),
                (["--newton-rtol", 0], ["--newton-rtol 0"]),
                (["--checkpoint-steps", 3], ["--checkpoint-steps", "--checkpoint"]),
                (["--restart", "missing.h5"], ["missing.h5"]),
                (["--model", "mlp", "--layer-norm"], ["--layer-norm"]),
                (["--batch", 400], ["400", "320"]),
        ):
            with self.subTest(words=words):
                self.assert_refused(self.run_here(*SMALL, *words), *phrases)
        self.assert_refused(self.run_here("train", "--data", "random", "--width", 10, "--loss",
                                          "squared-error", "--loss-rows", "1,9999"), "9999")
        self.assert_refused(self.run_here("train", "--data", "no-such-set"), "no-such-set")
        self.assert_refused(self.run_here("evaluate"), "--restart")
        self.solved("solve", "--steps", 4, "--max-hours", 1, "--save-weights", "w.h5")
        self.assert_refused(self.run_here("evaluate", "--restart", "w.h5"), "w.h5")


if __name__ == "__main__":
    main()
