"""Sampling: all methods end in the sequential samples, whatever the number of ranks; files; refusals."""
import signal

import h5py
import numpy as np

from program import RANKS, ProgramTest, Started, main, wait_for

LATENT, HIDDEN, BLOCKS, FREQUENCIES, TIMES, PIXELS = 5, 24, 2, 6, 200, 9
NETWORKS = ["--denoiser", "networks.h5", "--autoencoder", "networks.h5"]
SMALL = [*NETWORKS, "--steps", 40, "--samples", 3]


def layer(random, inputs, outputs, scale=1.0):
    return [scale * random.normal(size=inputs * outputs + outputs) / np.sqrt(inputs)]


def write_networks(path, classes=0):
    """Networks of small width with random parameters."""
    random = np.random.default_rng(1)
    denoiser = layer(random, LATENT, HIDDEN) + layer(random, 2 * FREQUENCIES, HIDDEN)
    if classes:
        denoiser += layer(random, classes, HIDDEN)
    for _ in range(BLOCKS):
        denoiser += layer(random, HIDDEN, HIDDEN)
    denoiser += layer(random, HIDDEN, LATENT, 0.02)
    sizes = [PIXELS, HIDDEN, LATENT, HIDDEN, PIXELS]
    autoencoder = sum((layer(random, a, b) for a, b in zip(sizes, sizes[1:])), [])
    with h5py.File(path, "w") as file:
        file["state/denoiser/parameters"] = np.concatenate(denoiser)
        file["state/denoiser/shape"] = [LATENT, HIDDEN, BLOCKS, FREQUENCIES, classes, 0.0, TIMES]
        file["state/autoencoder/parameters"] = np.concatenate(autoencoder)
        file["state/autoencoder/shape"] = [PIXELS, LATENT, HIDDEN, 1.0, 1.0]


class Generate(ProgramTest):
    def setUp(self):
        super().setUp()
        write_networks(self.folder / "networks.h5")

    def test_every_method_ends_in_the_sequential_samples(self):
        cases = [["gaussian", "--window", "7"], ["picard", "--guess", "coarse:4"],
                 ["quasi-newton", "--diagonal", "probe", "--guess", "copy"],
                 ["parataa", "--history", "2", "--window", "9"],
                 ["newton", "--window", "all", "--guess", "gaussian"]]
        for number, (method, *words) in enumerate(cases):
            sampler = ["ddpm", "ddim"][number % 2]
            report = self.solved("generate", *SMALL, "--sampler", sampler, "--method", method, *words,
                                 "--verify")
            self.assertEqual(report["status"], "converged")
            self.assertLess(report["sample_error"], 1e-6, method)
            self.assertLess(report["max_error"], 1e-6, method)
            self.assertGreaterEqual(report["evaluations"], 40)
            self.assertLessEqual(report["iterations"], 40)
            for name in ("sequential_evaluations", "seconds", "speedup", "bytes", "tolerance"):
                self.assertIn(name, report)

    def test_files_and_comparison_on_the_same_noise(self):
        self.solved("generate", *SMALL, "--method", "sequential", "--output", "one.h5",
                    "--keep-trajectory", ranks=1)
        report = self.solved("generate", *SMALL, "--output", "many.h5", "--image", "many.png",
                             "--trace", "trace.h5", "--trace-states", "all", "--against", "one.h5")
        self.assertLess(report["same_noise_error"], 1e-6)
        self.assertLess(report["wasserstein_against"], 1e-6)
        with h5py.File(self.folder / "one.h5") as one, h5py.File(self.folder / "many.h5") as many:
            self.assertEqual(one["trajectory"].shape, (41, 3, LATENT))
            self.assertEqual(many["images"].shape, (3, 3, 3))
            np.testing.assert_array_equal(one["trajectory"][-1], one["latents"][:])
            np.testing.assert_allclose(one["latents"][:], many["latents"][:], atol=1e-6)
            with h5py.File(self.folder / "trace.h5") as trace:
                np.testing.assert_allclose(trace["states/z"][:], one["trajectory"][:], atol=1e-6)
                self.assertEqual(len(trace["iterations/residual"]), report["iterations"])
        self.assertEqual((self.folder / "many.png").read_bytes()[:4], b"\x89PNG")

    def test_float32_network_changes_the_samples_a_little(self):
        self.solved("generate", *SMALL, "--method", "sequential", "--output", "double.h5")
        report = self.solved("generate", *SMALL, "--method", "gaussian", "--network-precision",
                             "float32", "--verify", "--against", "double.h5")
        self.assertLess(report["sample_error"], 1e-3)
        self.assertLess(report["same_noise_error"], 1e-3)
        self.assertGreater(report["same_noise_error"], 0)

    def test_classes(self):
        write_networks(self.folder / "networks.h5", classes=3)
        ones = self.solved("generate", *SMALL, "--method", "gaussian", "--class", 1, "--output",
                           "ones.h5", "--verify")
        self.assertLess(ones["sample_error"], 1e-6)
        mixed = self.solved("generate", *SMALL, "--against", "ones.h5")
        self.assertGreater(mixed["same_noise_error"], 1e-3)

    def test_stops_and_goes_on(self):
        slow = [*NETWORKS, "--steps", 200, "--samples", 800, "--method", "quasi-newton", "--window", "all"]
        run = Started("generate", *slow, "--checkpoint", "run.h5", "--trace", "t.h5", cwd=self.folder)
        wait_for(lambda: (self.folder / "t.h5").exists(), "the trace")
        if RANKS == 1:
            run.process.send_signal(signal.SIGUSR1)
        else:
            run.signal_rank(0, signal.SIGUSR1)
        done = run.end()
        self.assertEqual(done.code, 85, done.err)
        report = self.solved("generate", *slow, "--restart", "run.h5", "--verify", timeout=240)
        self.assertGreater(report["iterations_before"], 0)
        self.assertLess(report["sample_error"], 1e-6)

    def test_bad_input_ends_in_one_line(self):
        for words, phrases in [
                (["--guess", "coarse:41"], ["--guess coarse:41", "40"]),
                (["--window", "0"], ["--window 0", "auto, all"]),
                (["--keep-trajectory"], ["--keep-trajectory", "--output"]),
                (["--method", "sequential", "--restart", "x.h5"], ["--restart", "sequential"]),
                (["--method", "picard", "--history", 2], ["--history", "parataa", "picard"]),
                (["--history", 9], ["--history 9", "8"]),
                (["--class", 1], ["--class 1", "no classes"]),
                (["--held-out", "nothing"], ["nothing"]),
                (["--against", "networks.h5"], ["networks.h5", "/latents"]),
                (["--image", "missing/x.png"], ["missing/x.png"]),
                (["--method", "gaussan"], ["gaussan", "gaussian"])]:
            self.assert_refused(self.run_here("generate", *SMALL, *words), *phrases)
        self.assert_refused(self.run_here("generate", "--denoiser", "networks.h5"), "--autoencoder")
        self.assert_refused(self.run_here("generate", *NETWORKS, "--steps", 201), "201", "200")
        self.assert_refused(self.run_here("generate", "--denoiser", "none.h5", "--autoencoder",
                                          "networks.h5"), "none.h5")
        with h5py.File(self.folder / "networks.h5", "a") as file:
            del file["state/denoiser/parameters"]
            file["state/denoiser/parameters"] = np.zeros(3)
        self.assert_refused(self.run_here("generate", *SMALL), "networks.h5", "3 parameters")

    def test_solve_takes_approximate_jacobians(self):
        chain = ["--model", "resnet", "--residual-scale", "1/L", "--steps", 30, "--width", 4]
        for jacobian in ("diagonal", "probe", "linear-part"):
            report = self.solved("solve", *chain, "--jacobian", jacobian, "--verify")
            self.assertEqual(report["status"], "converged")
            self.assertLess(report["max_error"], 1e-8)
        for damping in ("none", "clip:0.5"):
            report = self.solved("solve", *chain, "--nonlinear", "windowed", "--damping", damping, "--verify")
            self.assertLess(report["max_error"], 1e-8)
        for words in (["--damping", "clip:0", "--jacobian", "probe"], ["--damping", "clip:1x", "--nonlinear", "windowed"]):
            self.assert_refused(self.run_here("solve", *chain, *words), "clip:C")
        for jacobian in ("dense", "linear-part"):
            self.assert_refused(self.run_here("solve", *chain, "--jacobian", jacobian, "--damping", "clip:1"),
                                "--damping clip:1", jacobian)
        self.assert_refused(self.run_here("solve", "--model", "mlp", "--jacobian", "linear-part"),
                            "linear-part", "does not know it")
        self.assert_refused(self.run_here("solve", "--nonlinear", "sequential", "--jacobian", "probe"),
                            "--jacobian probe", "newton")

    def test_left_open_the_method_is_the_faster_one(self):
        report = self.solved("generate", *SMALL, "--verify")
        self.assertIn(report["method"], ("gaussian", "sequential"))
        self.assertIn("one step after another", report["choice"])
        self.assertLess(report["sample_error"], 1e-6)
        traced = self.solved("generate", *SMALL, "--trace", "run.h5")
        self.assertEqual((traced["method"], traced["choice"]), ("gaussian", ""))

    def test_the_networks_that_come_with_the_program(self):
        report = self.solved("generate", "--steps", 20, "--samples", 2, "--verify")
        self.assertEqual(report["width"], 32)
        self.assertLess(report["sample_error"], 1e-6)


if __name__ == "__main__":
    main()
