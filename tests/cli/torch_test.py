"""--model torch: states and gradients are those of PyTorch's own loop over the modules, for every solver and number of ranks."""
import unittest

import h5py
import numpy as np

from program import RANKS, ProgramTest, main
import torch_modules as modules
from torch_modules import save, save_shared, save_stacked, walk

import torch
from torch import nn

torch.set_num_threads(1)
SOLVERS = (["--nonlinear", "sequential"], ["--nonlinear", "auto"], ["--nonlinear", "shooting"],
           ["--nonlinear", "newton"])
one_rank = unittest.skipIf(RANKS > 1, "one rank is enough")


def seeded(make, count=None):
    torch.manual_seed(7)
    steps = [make().double().eval() for _ in range(count or 1)]
    return steps if count else steps[0]


class Torch(ProgramTest):
    def batch(self, *shape, seed=3):
        """batch.h5 with inputs of that shape, as a tensor."""
        values = np.random.default_rng(seed).normal(size=shape)
        with h5py.File(self.folder / "batch.h5", "w") as file:
            file["inputs"] = values
            file["labels"] = np.arange(shape[0]) % 3
        return torch.from_numpy(values)

    def results(self, command, *words):
        self.solved(command, "--model", "torch", "--module", "chain.pt", "--input", "batch.h5", "--output", "out.h5",
                    "--force", *words)
        with h5py.File(self.folder / "out.h5") as file:
            found = {}
            file.visititems(lambda name, item: found.update({name: item[()]})
                            if isinstance(item, h5py.Dataset) else None)
        return found

    def assert_close(self, found, expected, allowed=1e-10):
        expected = np.asarray(expected.detach()).reshape(np.shape(found))
        self.assertLessEqual(np.abs(found - expected).max(), allowed * np.abs(expected).max())

    def assert_states(self, expected, *words, solvers=SOLVERS):
        for solver in solvers:
            with self.subTest(solver=solver):
                self.assert_close(self.results("solve", *solver, *words)["z_last"], expected)

    def test_own_weights(self):
        steps = seeded(lambda: modules.Gated(6), 24)
        save_stacked(steps, self.folder / "chain.pt", [6])
        z = self.batch(5, 6)
        self.assert_states(walk(steps, z)[-1])

    def test_states_of_any_shape(self):
        steps = seeded(lambda: modules.ConvBlock(2), 7)
        save_stacked(steps, self.folder / "chain.pt", [2, 5, 5])
        expected = walk(steps, self.batch(3, 2, 5, 5))[-1]
        self.assert_states(expected)
        self.batch(3, 50)
        self.assert_states(expected, solvers=SOLVERS[:1])

    def test_shared_weights(self):
        step = seeded(lambda: modules.Gated(6))
        save_shared(step, self.folder / "chain.pt", [6], steps=31)
        z = self.batch(4, 6)
        self.assert_states(walk([step] * 31, z)[-1])
        self.assert_states(walk([step] * 12, z)[-1], "--steps", 12, solvers=SOLVERS[:2])

    def test_attention(self):
        step = seeded(modules.Attention)
        save_shared(step, self.folder / "chain.pt", [3, 8], steps=9)
        self.assert_states(walk([step] * 9, self.batch(2, 3, 8))[-1])

    def test_the_step_number(self):
        step = seeded(lambda: modules.Denoiser(5))
        save_shared(step, self.folder / "chain.pt", [5], steps=16, second="step")
        z = self.batch(3, 5)
        for l in range(16):
            z = step(z, torch.full((3,), l))
        self.assert_states(z)

    def test_inputs_over_time(self):
        step = seeded(lambda: modules.Cell(3, 5))
        save_shared(step, self.folder / "chain.pt", [5], second="input", input_shape=[3])
        x = self.batch(4, 20, 3)
        states = walk([step] * 20, torch.zeros(4, 5, dtype=torch.float64), x)
        self.assert_states(states[-1])
        lengths = [20, 1, 7, 13]
        with h5py.File(self.folder / "batch.h5", "a") as file:
            file["lengths"] = lengths
        self.assert_states(torch.stack([states[length - 1][b] for b, length in enumerate(lengths)]))

    def gradients(self, steps, z, found):
        """Compares with PyTorch's of the program's head and loss."""
        weight = torch.from_numpy(found["z_last"])  # sizes only: the head is read below
        self.assertEqual(weight.shape[0], z.shape[0])
        z = z.clone().requires_grad_(True)
        last = walk(steps, z)[-1].flatten(1)
        # --loss squared-error compares with the unit vector of the label's component
        target = nn.functional.one_hot(torch.arange(len(z)) % 3, last.shape[1]).double()
        loss = ((last - target) ** 2).mean()
        loss.backward()
        self.assertAlmostEqual(float(found["loss"]), float(loss), delta=1e-10 * float(loss))
        self.assert_close(found["input_gradient"], z.grad)

    def test_gradients(self):
        for name, steps, shape in (
                ("own", seeded(lambda: modules.Gated(6), 12), [6]),
                ("conv", seeded(lambda: modules.ConvBlock(2), 5), [2, 5, 5])):
            save_stacked(steps, self.folder / "chain.pt", shape)
            z = self.batch(4, *shape)
            for solver in SOLVERS:
                with self.subTest(name=name, solver=solver):
                    for step in steps:
                        step.zero_grad()
                    found = self.results("gradient", *solver, "--loss", "squared-error")
                    self.gradients(steps, z, found)
                    for parameter, _ in steps[0].named_parameters():
                        expected = torch.stack([dict(step.named_parameters())[parameter].grad for step in steps])
                        self.assert_close(found[f"gradients/{parameter}"], expected)

    def test_gradients_of_shared_weights(self):
        step = seeded(lambda: modules.Gated(6))
        save_shared(step, self.folder / "chain.pt", [6], steps=12)
        z = self.batch(4, 6)
        for solver in SOLVERS:
            with self.subTest(solver=solver):
                step.zero_grad()
                found = self.results("gradient", *solver, "--loss", "squared-error")
                self.gradients([step] * 12, z, found)
                for name, parameter in step.named_parameters():
                    self.assert_close(found[f"gradients/{name}"], parameter.grad)

    def test_check(self):
        save_stacked(seeded(lambda: modules.Gated(4), 6), self.folder / "chain.pt", [4])
        save_stacked(seeded(lambda: modules.ConvBlock(1), 4), self.folder / "conv.pt", [1, 5, 5])
        save_shared(seeded(lambda: modules.Cell(3, 5)), self.folder / "cell.pt", [5], second="input", input_shape=[3])
        save_shared(seeded(lambda: modules.Denoiser(5)), self.folder / "denoiser.pt", [5], steps=5)
        save_shared(seeded(modules.Attention), self.folder / "attention.pt", [3, 8], steps=4)
        for name in ("chain", "conv", "cell", "denoiser", "attention"):
            with self.subTest(name=name):
                report = self.solved("check", "--model", "torch", "--module", f"{name}.pt")
                self.assertEqual(report["status"], "passed")

    def test_single_precision(self):
        steps = [step.float() for step in seeded(lambda: modules.Gated(6), 24)]
        save_stacked(steps, self.folder / "chain.pt", [6])
        z = self.batch(5, 6)
        words = ["solve", "--model", "torch", "--module", "chain.pt", "--input", "batch.h5"]
        self.assert_refused(self.run_here(*words, "--rtol", "1e-6"), "--rtol 1e-06", "single precision",
                            "--precision double")
        self.assert_refused(self.run_here("check", *words[1:5]), "--precision double")
        with torch.no_grad():
            expected = walk(steps, z.float())[-1]
        for solver in SOLVERS:
            self.assert_close(self.results("solve", *solver)["z_last"], expected, 1e-4)
        expected = walk([step.double() for step in steps], z)[-1]
        self.assert_close(self.results("solve", "--precision", "double")["z_last"], expected)

    def test_training(self):
        save_stacked(seeded(lambda: modules.Gated(6), 8), self.folder / "chain.pt", [6])
        words = ["train", "--model", "torch", "--module", "chain.pt", "--samples", 256, "--test-samples", 64,
                 "--batch", 32, "--learning-rate", 0.01]
        whole = self.solved(*words, "--checkpoint", "whole.h5")
        grid = ["--depth-ranks", RANKS, "--data-ranks", 1]
        split = self.solved(*words, *grid, "--checkpoint", "split.h5")
        self.assertAlmostEqual(split["loss"], whole["loss"], delta=1e-9 * whole["loss"])
        self.solved(*words, "--max-steps", 3, "--checkpoint", "part.h5")
        self.solved(*words, "--restart", "part.h5", "--checkpoint", "part.h5")
        with h5py.File(self.folder / "whole.h5") as expected, h5py.File(self.folder / "part.h5") as found:
            before = torch.stack([step.gate.weight.detach() for step in seeded(lambda: modules.Gated(6), 8)])
            after = expected["parameters/gate.weight"][()]
            self.assertTrue(np.any(after != before.reshape(after.shape).numpy()))
            self.assertTrue(np.array_equal(found["parameters/gate.weight"], after))
        score = self.solved("evaluate", "--restart", "whole.h5")
        self.assertAlmostEqual(score["loss"], whole["test_loss"], delta=1e-9)

    @one_rank
    def test_sizes_are_those_of_the_file(self):
        save_stacked(seeded(lambda: modules.Gated(6), 8), self.folder / "chain.pt", [6])
        words = ["solve", "--model", "torch", "--module", "chain.pt"]
        report = self.solved(*words)
        self.assertEqual((report["steps"], report["width"]), (8, 6))
        self.assertEqual(self.solved(*words, "--steps", 3)["steps"], 3)
        self.assert_refused(self.run_here(*words, "--steps", 9), "--steps 9", "8 steps")
        self.assert_refused(self.run_here(*words, "--width", 5), "--width 5", "6 numbers")
        self.batch(3, 5)
        self.assert_refused(self.run_here(*words, "--input", "batch.h5"), "5 numbers", "6")
        self.assert_refused(self.run_here(*words, "--save-weights", "w.h5"), "--save-weights")

    @one_rank
    def test_restart_knows_another_module(self):
        save_stacked(seeded(lambda: modules.Gated(4), 12), self.folder / "chain.pt", [4])
        words = ["solve", "--model", "torch", "--module", "chain.pt", "--nonlinear", "newton"]
        stopped = self.run_here(*words, "--checkpoint", "run.h5", "--max-hours", 1e-9)
        self.assertEqual(stopped.code, 85, stopped.err)
        self.solved(*words, "--restart", "run.h5")
        torch.manual_seed(8)
        save_stacked([modules.Gated(4).double() for _ in range(12)], self.folder / "chain.pt", [4])
        self.assert_refused(self.run_here(*words, "--restart", "run.h5"), "run.h5", "another network")

    @one_rank
    def test_without_the_plug_in(self):
        done = self.run_here("solve", "--model", "torch", "--module", "chain.pt",
                             env={"DEEPPCR_TORCH_PLUGIN": str(self.folder / "none.so")})
        self.assert_refused(done, "the plug-in", "none.so")


if __name__ == "__main__":
    main()
