"""Published diffusion models: a TorchScript network with its scheduler_config.json. Samples are those of Python's own loop."""
import json

import h5py
import numpy as np

from program import RANKS, ProgramTest, main
import torch_modules  # skips this test where there is no PyTorch

import torch
from torch import nn

torch.set_num_threads(1)
TIMES, STEPS, SAMPLES = 100, 20, 3
SHAPE = [2, 3, 3]
assert torch_modules


class Network(nn.Module):
    """A small convolution that depends on the time and, times a class's number, on the class."""

    def __init__(self, classes=0):
        super().__init__()
        self.conv = nn.Conv2d(2, 2, 3, padding=1)
        self.time = nn.Linear(2, 2)
        self.label = nn.Embedding(classes + 1, 2)

    def base(self, x, t):
        angle = t.to(x.dtype) * 0.05
        features = self.time(torch.stack([torch.sin(angle), torch.cos(angle)], dim=1))
        return 0.8 * x + 0.2 * torch.tanh(self.conv(x) + features[:, :, None, None])


class Plain(Network):
    def forward(self, x, t):
        return self.base(x, t)


class Conditional(Network):
    def forward(self, x, t, label):
        return self.base(x, t) + 0.1 * self.label(label)[:, :, None, None]


class Embedded(Network):
    def forward(self, x, t, embedding):
        return self.base(x, t) + 0.1 * embedding[:, :2, None, None]


def config(kind, **fields):
    return {"_class_name": kind, "_diffusers_version": "0.20.0", "num_train_timesteps": TIMES, "beta_start": 1e-3,
            "beta_end": 0.05, "beta_schedule": "linear", **fields}


DDPM = config("DDPMScheduler", clip_sample=True)
DDIM = config("DDIMScheduler", clip_sample=True, clip_sample_range=1.5, set_alpha_to_one=False, steps_offset=1,
              prediction_type="v_prediction")
DPM = config("DPMSolverMultistepScheduler", timestep_spacing="leading", solver_order=2)
SAMPLERS = {"ddpm": DDPM, "ddim": DDIM, "dpm": DPM}


def loop(network, sampler, z, noise):
    """One step after another, as the formulas of the papers say. z [B, ..]; noise [S, B, ..] that each step adds."""
    signal = np.cumprod(1 - np.linspace(sampler["beta_start"], sampler["beta_end"], TIMES))
    kind = sampler["_class_name"]
    solver = kind == "DPMSolverMultistepScheduler"  # whose leading times leave out the first of one more
    width = TIMES // (STEPS + solver)
    times = [width * (i + solver) + sampler.get("steps_offset", 0) for i in range(STEPS)][::-1]
    before = None
    for k, t in enumerate(times):
        out = network(z.to(network.conv.weight.dtype), torch.full((len(z),), t)).double()
        now = signal[t]
        if sampler.get("prediction_type", "epsilon") == "epsilon":
            x0, eps = (z - np.sqrt(1 - now) * out) / np.sqrt(now), out
        else:
            x0, eps = np.sqrt(now) * z - np.sqrt(1 - now) * out, np.sqrt(now) * out + np.sqrt(1 - now) * z
        if kind == "DDPMScheduler":
            x0 = x0.clamp(-1, 1)
            then = signal[times[k + 1]] if k + 1 < STEPS else 1.0
            alpha = now / then
            z = np.sqrt(then) * (1 - alpha) / (1 - now) * x0 + np.sqrt(alpha) * (1 - then) / (1 - now) * z + noise[k]
        elif kind == "DDIMScheduler":
            x0 = x0.clamp(-1.5, 1.5)
            then = signal[t - width] if t >= width else signal[0]
            z = np.sqrt(then) * x0 + np.sqrt(1 - then) * eps
        else:
            def parts(time):
                return np.sqrt(signal[time]), np.sqrt(1 - signal[time])
            alpha_s, sigma_s = parts(t)
            last = k + 1 == STEPS
            alpha_t, sigma_t = (1.0, 0.0) if last else parts(times[k + 1])
            if last:
                z = x0  # h is infinite
            else:
                lam = lambda a, s: np.log(a / s)
                h = lam(alpha_t, sigma_t) - lam(alpha_s, sigma_s)
                direction = x0
                if before is not None:
                    h_before = lam(alpha_s, sigma_s) - lam(*parts(times[k - 1]))
                    direction = x0 + 0.5 * (x0 - before) * h / h_before
                z = sigma_t / sigma_s * z - alpha_t * np.expm1(-h) * direction
            before = x0
    return z


class Published(ProgramTest):
    def setUp(self):
        super().setUp()
        for name, sampler in SAMPLERS.items():
            (self.folder / f"{name}.json").write_text(json.dumps(sampler))

    def save(self, network, name="net.pt", **about):
        extra = {"deeppcr.json": json.dumps({"format": 1, "denoiser": True, "shape": SHAPE, **about})} if about else {}
        torch.jit.script(network.eval()).save(str(self.folder / name), _extra_files=extra)

    def network(self, kind=Plain, double=True, **about):
        torch.manual_seed(5)
        network = kind(about.get("classes", 0))
        network = network.double() if double else network
        self.save(network, **(about or {"condition": "none"}))
        return network

    def words(self, sampler, *words):
        return ["--denoiser", "net.pt", "--sampler-config", f"{sampler}.json", "--steps", STEPS, "--samples", SAMPLES,
                *words]

    def states(self, sampler, *words):
        """z_0, what steps add, and the samples of one step after another."""
        self.solved("generate", *self.words(sampler, *words), "--method", "sequential", "--keep-trajectory",
                    "--output", "one.h5", "--force")
        shape = [SAMPLES, *SHAPE]
        with h5py.File(self.folder / "one.h5") as file:
            numbers = int(np.prod(SHAPE))
            start = file["trajectory"][0][:, :numbers].reshape(shape)
            noise = file["noise"][()].reshape(STEPS, *shape) if "noise" in file else np.zeros(STEPS)
            return (torch.from_numpy(start), torch.from_numpy(noise),
                    torch.from_numpy(file["latents"][()].reshape(shape)))

    def test_sequential_samples_are_those_of_python(self):
        for double, allowed in [(True, 1e-10), (False, 1e-5)]:
            network = self.network(double=double)
            for name, sampler in SAMPLERS.items():
                start, noise, found = self.states(name)
                with torch.no_grad():
                    expected = loop(network, sampler, start, noise)
                error = (found - expected).abs().max().item() / expected.abs().max().item()
                self.assertLessEqual(error, allowed, (name, double))

    def test_noise_is_of_the_seed_and_of_unit_size(self):
        self.network()
        start, noise, _ = self.states("ddpm")
        other, _, _ = self.states("ddpm", "--seed", 2)
        self.assertGreater((start - other).abs().max().item(), 0.1)
        signal = np.cumprod(1 - np.linspace(1e-3, 0.05, TIMES))
        times = np.arange(STEPS)[::-1] * (TIMES // STEPS)
        then = np.append(signal[times[1:]], 1.0)
        deviation = np.sqrt((1 - signal[times] / then) * (1 - then) / (1 - signal[times]))
        unit = noise.numpy()[:-1] / deviation[:-1].reshape(-1, 1, 1, 1, 1)
        self.assertLess(abs(unit.mean()), 5 / np.sqrt(unit.size))
        self.assertLess(abs(unit.std() - 1), 5 / np.sqrt(2 * unit.size))
        self.assertEqual(np.abs(noise.numpy()[-1]).max(), 0)  # the last step adds none

    def test_every_method_ends_in_the_sequential_samples(self):
        methods = [["gaussian"], ["picard", "--window", 6], ["parataa"], ["quasi-newton", "--diagonal", "probe"],
                   ["quasi-newton", "--diagonal", "exact", "--window", "all"], ["newton", "--window", "all"]]
        self.network()
        for sampler in SAMPLERS:
            for method, *words in methods:
                with self.subTest(sampler=sampler, method=method):
                    report = self.solved("generate", *self.words(sampler), "--method", method, *words, "--verify",
                                         "--tolerance", 1e-8)
                    self.assertEqual(report["status"], "converged")
                    self.assertLessEqual(report["sample_error"], 1e-6)
        self.network(double=False)
        for sampler in SAMPLERS:
            report = self.solved("generate", *self.words(sampler), "--method", "gaussian", "--verify")
            self.assertEqual(report["network_precision"], "float32")
            self.assertLessEqual(report["sample_error"], 2.5e-3)

    def test_classes_and_guidance(self):
        network = self.network(Conditional, condition="class", classes=4, null_class=4)
        start, _, found = self.states("ddim", "--class", 2, "--guidance", 2.5)

        class Guided:
            conv = network.conv

            def __call__(self, x, t):
                label = torch.full_like(t, 2)
                none = network(x, t, torch.full_like(t, 4))
                return none + 2.5 * (network(x, t, label) - none)

        with torch.no_grad():
            expected = loop(Guided(), DDIM, start, np.zeros(STEPS))
        self.assertLessEqual((found - expected).abs().max().item(), 1e-10 * expected.abs().max().item())
        report = self.solved("generate", *self.words("ddim", "--guidance", 2.5), "--method", "gaussian", "--verify",
                             "--tolerance", 1e-8)
        self.assertLessEqual(report["sample_error"], 1e-6)

    def test_embeddings_and_a_file_without_description(self):
        network = self.network(Embedded)
        self.save(network)
        values = np.random.default_rng(2).normal(size=(SAMPLES, 5))
        with h5py.File(self.folder / "prompt.h5", "w") as file:
            file["embedding"] = values
        start, _, found = self.states("ddim", "--shape", "2,3,3", "--embedding", "prompt.h5", "--guidance", 1.5)
        given = torch.from_numpy(values)

        class Guided:
            conv = network.conv

            def __call__(self, x, t):
                none = network(x, t, torch.zeros_like(given))
                return none + 1.5 * (network(x, t, given) - none)

        with torch.no_grad():
            expected = loop(Guided(), DDIM, start, np.zeros(STEPS))
        self.assertLessEqual((found - expected).abs().max().item(), 1e-10 * expected.abs().max().item())

    def test_decoder_pictures_and_moments(self):
        self.network()
        torch.manual_seed(3)
        decoder = nn.Sequential(nn.ConvTranspose2d(2, 3, 2, stride=2), nn.Tanh()).double()
        torch.jit.script(decoder).save(str(self.folder / "vae.pt"))
        with h5py.File(self.folder / "moments.h5", "w") as file:
            file["mean"] = np.full(SHAPE, 0.1)
            file["variance"] = np.full(SHAPE, 0.5)
        report = self.solved("generate", *self.words("ddim"), "--decoder", "vae.pt", "--moments", "moments.h5", "--image",
                             "out.png", "--output", "out.h5", "--verify", "--method", "gaussian", "--tolerance", 1e-8)
        self.assertLessEqual(report["sample_error"], 1e-6)
        with h5py.File(self.folder / "out.h5") as file:
            latents = torch.from_numpy(file["latents"][()].reshape(SAMPLES, *SHAPE))
            with torch.no_grad():
                expected = (decoder(latents).numpy() + 1) / 2
            self.assertEqual(file["images"].shape, (SAMPLES, 3, 6, 6))
            np.testing.assert_allclose(file["images"][()], expected, atol=1e-12)
        self.assertEqual((self.folder / "out.png").read_bytes()[25], 2)  # colours

    def test_left_out_the_steps_are_all_that_there_are(self):
        self.network()
        for sampler, steps in [("ddpm", 100), ("dpm", 99)]:  # whose leading times leave one out
            report = self.solved("generate", "--denoiser", "net.pt", "--sampler-config", f"{sampler}.json", "--samples", 1)
            self.assertEqual(report["evaluations"] if report["method"] == "sequential" else steps, steps)
            self.assertEqual(report["steps"], steps)

    def test_goes_on_where_it_stopped(self):
        self.network()
        words = self.words("ddpm", "--method", "picard", "--window", 4, "--tolerance", 1e-8)
        self.solved("generate", *words, "--output", "whole.h5")
        stopped = self.run_here("generate", *words, "--max-hours", 1e-7, "--checkpoint", "run.h5", "--trace", "trace.h5")
        self.assertEqual(stopped.code, 85, stopped.err)
        report = self.solved("generate", *words, "--restart", "run.h5", "--output", "rest.h5")
        self.assertGreater(report["iterations_before"], 0)
        with h5py.File(self.folder / "whole.h5") as whole, h5py.File(self.folder / "rest.h5") as rest:
            np.testing.assert_allclose(rest["latents"][()], whole["latents"][()], atol=1e-6)
        self.assert_refused(self.run_here("generate", *self.words("ddim"), "--method", "picard", "--restart", "run.h5"),
                            "run.h5", "another network")

    def test_bad_input_ends_in_one_line(self):
        self.network()
        for words, phrases in [
                (["--denoiser", "net.pt"], ["--sampler-config", "scheduler_config.json"]),
                (["--sampler-config", "ddim.json"], ["--denoiser"]),
                (["--denoiser", "net.pt", "--sampler-config", "."], ["--sampler-config ."]),
                (["--denoiser", "net.pt", "--sampler-config", "dpm.json", "--steps", 101], ["101", "100"]),
                (self.words("ddim", "--class", 1), ["--class 1", "no classes"]),
                (self.words("ddim", "--guidance", 2), ["guidance"]),
                (self.words("ddim", "--shape", "2,x"), ["--shape 2,x", "1,28,28"]),
                (self.words("ddim", "--sampler", "ddpm"), ["--sampler ddpm", "ddim.json"]),
                (self.words("ddpm", "--eta", 0.5), ["eta"]),
                (self.words("ddim", "--autoencoder", "net.pt"), ["--autoencoder", "--decoder"]),
                (self.words("ddim", "--moments", "none.h5"), ["none.h5"]),
                (self.words("ddim", "--embedding", "none.h5"), ["none.h5"]),
                (self.words("ddim", "--decoder", "net.pt"), ["net.pt"]),
                (["--guidance", 2], ["--guidance", "--sampler-config"])]:
            self.assert_refused(self.run_here("generate", *words), *phrases)
        (self.folder / "other.json").write_text(json.dumps({"_class_name": "PNDMScheduler"}))
        self.assert_refused(self.run_here("generate", *self.words("other")), "PNDMScheduler", "DDIMScheduler")
        (self.folder / "other.json").write_text("{")
        self.assert_refused(self.run_here("generate", *self.words("other")), "other.json")
        (self.folder / "other.json").write_text(json.dumps({**DDIM, "thresholding": True}))
        self.assert_refused(self.run_here("generate", *self.words("other")), "thresholding")
        (self.folder / "other.json").write_text(json.dumps({**DDIM, "unheard_of": 1}))
        warned = self.run_here("generate", *self.words("other"))
        self.assertEqual(warned.code, 0, warned.err)
        self.assertIn("unheard_of", warned.err)


if __name__ == "__main__":
    main()
