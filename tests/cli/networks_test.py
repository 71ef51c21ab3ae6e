"""The trained networks that come with the program: sweeps, agreement with sequential sampling, and quality."""
from program import ProgramTest, main

ALL_STEPS = ["--window", "all", "--verify"]
QUASI_NEWTON = ["--samples", 2, "--method", "quasi-newton"]


class Networks(ProgramTest):
    def test_sweeps_over_all_1000_steps_at_once(self):
        for most, words in [(25, ["--method", "gaussian"]), (100, ["--method", "picard"]),
                            (8, ["--samples", 4, "--method", "newton"]), (25, QUASI_NEWTON)]:
            report = self.solved("generate", *words, *ALL_STEPS, timeout=240)
            self.assertEqual((report["status"], report["steps"]), ("converged", 1000))
            self.assertLessEqual(report["iterations"], most, words)
            self.assertLess(report["sample_error"], 1e-6, words)

    def test_ddim_agrees_with_sequential_sampling(self):
        for steps in (100, 1000):
            for method in ("gaussian", "picard"):
                report = self.solved("generate", "--sampler", "ddim", "--steps", steps, "--samples", 4,
                                     "--method", method, "--verify")
                self.assertLess(report["sample_error"], 1e-6, method)
        for words in (["--samples", 4, "--method", "newton"], QUASI_NEWTON):
            report = self.solved("generate", "--sampler", "ddim", "--steps", 100, *words, *ALL_STEPS)
            self.assertLess(report["sample_error"], 1e-6, words)

    def test_latents_are_as_near_to_held_out_ones_as_these_to_each_other(self):
        report = self.solved("generate", "--samples", 500, "--network-precision", "float32",
                             "--method", "sequential", "--held-out", "fashion-mnist")
        self.assertTrue(report["wasserstein_exact"])
        self.assertLess(report["wasserstein_held_out"], 1.5 * report["wasserstein_among_held_out"])


if __name__ == "__main__":
    main()
