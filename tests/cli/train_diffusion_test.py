"""Autoencoder and denoiser are trained by `train`, go on after a stop, and then generate."""
import h5py
import numpy as np

from program import ProgramTest, main

SMALL = ["--data", "random", "--samples", 200, "--test-samples", 60, "--batch", 20, "--hidden", 16]


class TrainDiffusion(ProgramTest):
    def autoencoder(self, path, *words, **settings):
        return self.solved("train", "--model", "autoencoder", *SMALL, "--width", 4, "--epochs", 4,
                           "--warm-up", 5, "--checkpoint", path, *words, **settings)

    def denoiser(self, path, *words, **settings):
        return self.solved("train", "--model", "denoiser", "--autoencoder", "ae.h5", *SMALL,
                           "--blocks", 2, "--epochs", 4, "--warm-up", 5, "--checkpoint", path,
                           *words, **settings)

    def test_from_images_to_samples(self):
        report = self.autoencoder("ae.h5")
        self.assertEqual(report["updates"], 40)
        self.assertGreater(report["test_loss"], 0)
        self.assertNotIn("accuracy", report)
        scored = self.solved("evaluate", "--restart", "ae.h5")
        self.assertEqual((scored["updates"], scored["test_samples"]), (40, 60))
        self.assertAlmostEqual(scored["loss"], report["test_loss"], delta=1e-12)
        report = self.denoiser("dn.h5", "--conditional")
        scored = self.solved("evaluate", "--restart", "dn.h5", "--autoencoder", "ae.h5")
        self.assertAlmostEqual(scored["loss"], report["test_loss"], delta=1e-12)
        bands = scored["noise_bands"]
        self.assertEqual([band["first_time"] for band in bands], [1, 201, 401, 601, 801])
        # of whitened latents the best linear guess leaves the share of the signal
        schedule = np.cumprod(1 - np.linspace(1e-4, 0.02, 1000))
        for band in bands:
            share = schedule[band["first_time"] - 1:band["last_time"]].mean()
            self.assertAlmostEqual(band["linear_loss"], share, delta=0.4 * share + 0.02)
        samples = self.solved("generate", "--denoiser", "dn.h5", "--autoencoder", "ae.h5", "--steps",
                              30, "--samples", 4, "--class", 3, "--verify", "--output", "s.h5")
        self.assertLess(samples["sample_error"], 1e-6)
        with h5py.File(self.folder / "s.h5") as file:
            self.assertEqual(file["images"].shape, (4, 8, 8))

    def test_going_on_and_more_ranks_change_nothing(self):
        self.autoencoder("ae.h5")
        self.denoiser("whole.h5", ranks=1)
        self.denoiser("parts.h5", "--max-steps", 17)
        self.denoiser("parts.h5", "--restart", "auto")
        with h5py.File(self.folder / "whole.h5") as one, h5py.File(self.folder / "parts.h5") as two:
            name = "state/denoiser/parameters"
            np.testing.assert_allclose(one[name][:], two[name][:], rtol=0, atol=1e-9)

    def test_bad_input_ends_in_one_line(self):
        train = ["train", *SMALL, "--epochs", 1, "--warm-up", 0]
        self.autoencoder("ae.h5")
        for words, phrases in [
                (["--model", "denoiser"], ["--autoencoder"]),
                (["--model", "denoiser", "--autoencoder", "none.h5"], ["none.h5"]),
                (["--model", "denoiser", "--autoencoder", "ae.h5", "--width", 5], ["--width 5"]),
                (["--model", "autoencoder", "--autoencoder", "ae.h5"], ["--autoencoder ae.h5"]),
                (["--model", "autoencoder", "--loss", "binary-cross-entropy"], ["--loss", "loss of its own"]),
                (["--model", "autoencoder", "--label-smoothing", 0.3], ["--label-smoothing"]),
                (["--model", "autoencoder", "--drift-bound", 3], ["--drift-bound", "--local-steps auto"]),
                (["--model", "autoencoder", "--save-weights", "w.h5"], ["--save-weights"])]:
            self.assert_refused(self.run_here(*train, *words), *phrases)
        self.assert_refused(self.run_here("evaluate", "--restart", "ae.h5", "--autoencoder", "ae.h5"),
                            "--autoencoder ae.h5", "no denoiser")


if __name__ == "__main__":
    main()
