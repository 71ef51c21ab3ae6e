"""Pipelines from the command line: both passes, files, training, what auto takes, wrong options."""
import h5py
import numpy as np

from program import RANKS, ProgramTest, main

CHAOTIC = ["--model", "mlp", "--gain", 3, "--steps", 200, "--width", 8, "--batch", 7]
LAYOUTS = [["contiguous"], ["contiguous", "--micro-batches", 3], ["interleaved"],
           ["interleaved", "--block-steps", 7, "--micro-batches", 7], ["samples"]]
PIPELINE = ["--nonlinear", "pipeline", "--pipeline-layout"]
MANY = ["--steps", 512, "--batch", 8 * RANKS]
TRAIN = ["train", "--data", "random", "--model", "mlp", "--steps", 40, "--width", 8, "--samples", 64, "--test-samples", 32,
         "--batch", 16, "--epochs", 3]


class Pipeline(ProgramTest):
    def test_solve(self):
        for words in LAYOUTS:
            with self.subTest(words=words):
                report = self.solved("solve", *CHAOTIC, *PIPELINE, *words, "--verify")
                self.assertEqual(report["max_error"], 0)
                self.assertEqual(report["exact_states"], 200)
                self.assertEqual(report["method"], "pipeline")
                self.assertEqual(report["pipeline_layout"], words[0] if RANKS > 1 else "contiguous")
                self.assertLessEqual(report["pipeline_idle"], report["pipeline_idle_by_formula"] + 1e-12)
                if "--micro-batches" in words:
                    self.assertEqual(report["pipeline_micro_batches"], words[-1])

    def test_weights_a_rank(self):
        whole = self.solved("solve", *CHAOTIC, ranks=1)["weight_bytes_per_rank"]
        self.assertEqual(whole, 200 * (8 * 8 + 8) * 8)
        for layout, share in [("contiguous", RANKS), ("interleaved", RANKS), ("samples", 1)]:
            ours = self.solved("solve", *CHAOTIC, *PIPELINE, layout)["weight_bytes_per_rank"]
            self.assertLessEqual(ours, 1.1 * whole / share)

    def test_gradient_and_its_file(self):
        for loss in (["--loss", "cross-entropy"], ["--loss", "squared-error", "--loss-rows", "every"]):
            self.solved("gradient", *CHAOTIC, *loss, "--nonlinear", "sequential", "--output", "one.h5", "--force", ranks=1)
            for words in LAYOUTS:
                with self.subTest(loss=loss, words=words):
                    report = self.solved("gradient", *CHAOTIC, *loss, *PIPELINE, *words, "--verify",
                                         "--output", "ours.h5", "--force")
                    self.assertEqual(report["gradient_method"], "pipeline")
                    self.assertLessEqual(report["max_error"], 1e-12)
                    self.same_results("one.h5", "ours.h5")

    def same_results(self, expected, found):
        with h5py.File(self.folder / expected) as one, h5py.File(self.folder / found) as other:
            np.testing.assert_array_equal(one["z_last"][:], other["z_last"][:])
            names = []
            one.visititems(lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None)
            for name in names:
                size = np.abs(one[name][()]).max()
                np.testing.assert_allclose(other[name][()], one[name][()], rtol=0, atol=1e-12 * size, err_msg=name)

    def test_states_in_a_trace(self):
        self.solved("solve", *CHAOTIC, "--nonlinear", "sequential", "--trace", "one.h5", "--trace-states", "all", ranks=1)
        for layout in ("contiguous", "interleaved", "samples"):
            self.solved("solve", *CHAOTIC, *PIPELINE, layout, "--trace", "ours.h5", "--trace-states", "all", "--force")
            with h5py.File(self.folder / "one.h5") as one, h5py.File(self.folder / "ours.h5") as ours:
                np.testing.assert_array_equal(one["states/z"][:], ours["states/z"][:])

    def test_backward_alone(self):
        report = self.solved("gradient", *CHAOTIC, "--nonlinear", "sequential", "--backward", "pipeline", "--verify")
        self.assertEqual(report["gradient_method"], "pipeline")
        self.assertLessEqual(report["max_error"], 1e-12)

    def test_backward_auto_takes_what_the_layout_asks_for(self):
        for layout in ("interleaved", "samples"):
            report = self.solved("gradient", "--steps", 512, "--batch", 4, *PIPELINE, layout, "--backward", "auto", "--verify")
            self.assertEqual(report["gradient_method"] == "pipeline", RANKS > 1)
            self.assertLessEqual(report["max_error"], 1e-12)

    def test_auto_takes_it_for_many_samples(self):
        for command, method in [("solve", "method"), ("gradient", "gradient_method")]:
            many = self.solved(command, *MANY, "--verify")
            self.assertEqual(many[method] == "pipeline", RANKS > 1)
            self.assertLessEqual(many["max_error"], 1e-12)
            if RANKS > 1:
                self.assertIn(f"{8 * RANKS} samples on {RANKS} ranks", many["choice"])
                self.assertEqual(many["pipeline_layout"], "interleaved")
        few = self.solved("solve", "--steps", 512, "--batch", 4 * RANKS)
        self.assertNotEqual(few["method"], "pipeline")
        asked = self.solved("gradient", *MANY, "--chunks", RANKS)
        self.assertNotIn("pipeline", (asked["method"], asked["gradient_method"]))

    def test_auto_goes_on_from_a_checkpoint(self):
        stopped = self.run_here("solve", *MANY, "--nonlinear", "newton", "--checkpoint", "c.h5", "--max-hours", 1e-9)
        self.assertEqual(stopped.code, 85, stopped.err)
        self.assertEqual(self.solved("solve", *MANY, "--restart", "c.h5", "--verify")["max_error"], 0)

    def test_training(self):
        expected = self.solved(*TRAIN, "--nonlinear", "sequential", ranks=1)
        for words in (["contiguous"], ["interleaved", "--block-steps", 3], ["auto", "--micro-batches", 2]):
            with self.subTest(words=words):
                report = self.solved(*TRAIN, *PIPELINE, *words, "--depth-ranks", RANKS, "--trace", "t.h5", "--force")
                self.assertAlmostEqual(report["test_loss"], expected["test_loss"], delta=1e-10)

    def test_wrong_options(self):
        cases = [(["--nonlinear", "pipeline", "--micro-batches", 8], ["--micro-batches 8", "7 samples"]),
                 ([*PIPELINE, "interleaved", "--block-steps", 201], ["--block-steps 201", "200 steps"]),
                 ([*PIPELINE, "contiguous", "--block-steps", 2], ["--block-steps 2", "interleaved"]),
                 (["--nonlinear", "pipeline", "--block-steps", 2], ["--block-steps 2", "interleaved"]),
                 ([*PIPELINE, "samples", "--micro-batches", 2], ["--micro-batches 2", "samples"]),
                 (["--nonlinear", "pipeline", "--micro-batches", -1], ["--micro-batches -1"]),
                 ([*PIPELINE, "rows"], ["--pipeline-layout rows", "interleaved"]),
                 (["--nonlinear", "newton", "--micro-batches", 2], ["--micro-batches", "pipeline"]),
                 (["--nonlinear", "pipeline", "--restart", "auto"], ["--restart", "pipeline"]),
                 (["--nonlinear", "pipeline", "--checkpoint", "c.h5"], ["--checkpoint", "pipeline"])]
        for words, texts in cases:
            with self.subTest(words=words):
                self.assert_refused(self.run_here("solve", *CHAOTIC, *words), *texts)
        if RANKS > 1:
            mixed = [*PIPELINE, "interleaved", "--block-steps", 3]
            self.assert_refused(self.run_here("gradient", *CHAOTIC, *mixed, "--backward", "hybrid"), "one range", "pipeline")
            self.assert_refused(self.run_here(*TRAIN, *mixed, "--backward-linear", "hybrid"), "one range")
            self.assert_refused(self.run_here(*TRAIN, *PIPELINE, "samples"), "--pipeline-layout samples", "--data-ranks")


if __name__ == "__main__":
    main()
