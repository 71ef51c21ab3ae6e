"""The trained networks that come with the program: sweeps, agreement with sequential sampling, and quality.

Each method runs at 1 to 4 ranks, with each sampler at one of them at least; DEEPPCR_TEST_ALL=1 runs all of them with all.
"""
import os
import unittest

from program import RANKS, ProgramTest, main

METHODS = {
    "gaussian": ["--method", "gaussian"],
    "picard": ["--method", "picard"],
    "parataa": ["--method", "parataa"],
    "probe": ["--method", "quasi-newton", "--diagonal", "probe"],
    "diagonal": ["--method", "quasi-newton"],
    "newton": ["--method", "newton"],
}
MOST_SWEEPS = {"gaussian": 25, "picard": 100, "parataa": 20, "probe": 25, "diagonal": 25, "newton": 8}
SAMPLERS = [("ddpm", 1000), ("ddim", 100), ("ddim", 1000)]
ALL = bool(os.environ.get("DEEPPCR_TEST_ALL"))


def sampling_cases():
    """Method, samples, sampler and steps. Columns of derivatives take long: fewer samples there."""
    for number, method in enumerate(METHODS):
        samples = 1 if method in ("diagonal", "newton") and not ALL else 16
        chosen = SAMPLERS if ALL else [SAMPLERS[(number + RANKS) % len(SAMPLERS)]]
        for sampler, steps in chosen:
            yield method, samples, sampler, steps


class Networks(ProgramTest):
    def sampled(self, method, samples, sampler, steps, *words):
        report = self.solved("generate", *METHODS[method], "--samples", samples, "--sampler", sampler,
                             "--steps", steps, *words, "--verify", timeout=240)
        case = (method, sampler, steps, *words)
        self.assertEqual((report["status"], report["steps"]), ("converged", steps), case)
        self.assertLess(report["sample_error"], 1e-6, case)
        return report

    def test_all_methods_agree_with_sequential_sampling(self):
        for case in sampling_cases():
            self.sampled(*case)

    @unittest.skipUnless(RANKS == 2 or ALL, "at two ranks")
    def test_sweeps_over_all_1000_steps_at_once(self):
        few = {} if ALL else {"diagonal": 2, "newton": 4}
        for method, most in MOST_SWEEPS.items():
            report = self.sampled(method, few.get(method, 16), "ddpm", 1000, "--window", "all")
            self.assertLessEqual(report["iterations"], most, method)

    @unittest.skipUnless(RANKS == 2, "at two ranks")
    def test_latents_are_as_near_to_held_out_ones_as_these_to_each_other(self):
        report = self.solved("generate", "--samples", 500, "--network-precision", "float32",
                             "--method", "sequential", "--held-out", "fashion-mnist")
        self.assertTrue(report["wasserstein_exact"])
        self.assertLess(report["wasserstein_held_out"], 1.5 * report["wasserstein_among_held_out"])


if __name__ == "__main__":
    main()
