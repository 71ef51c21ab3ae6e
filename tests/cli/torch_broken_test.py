"""Modules that no chain can be made of: each ends in one clear sentence on every number of ranks, without a hang."""
import h5py
import numpy as np

from program import ProgramTest, main
from torch_modules import Gated, Shared, save, save_shared

import torch
from torch import nn

torch.manual_seed(5)
N = 4


class Step(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(N, N)


class Dropout(Step):
    def forward(self, z):
        return nn.functional.dropout(self.fc(z), 0.5, True)


class Counting(Step):
    def __init__(self):
        super().__init__()
        self.register_buffer("calls", torch.zeros(1))

    def forward(self, z):
        self.calls += 1.0
        return self.fc(z) + self.calls


class LearningNorm(Step):
    def forward(self, z):
        return nn.functional.batch_norm(self.fc(z), None, None, training=True)


class MixesSamples(Step):
    def forward(self, z):
        return self.fc(z) - z.mean(0, keepdim=True)


class Wider(Step):
    def forward(self, z):
        return torch.cat([z, self.fc(z)], 1)


class Summed(Step):
    def forward(self, z):
        return self.fc(z).sum()


class Pair(Step):
    def forward(self, z):
        return self.fc(z), z


class Halved(Step):
    def forward(self, z):
        return self.fc(z).to(torch.float32)


class InPlace(Step):
    def forward(self, z):
        z += torch.tanh(self.fc(z))
        return z


class NotANumber(Step):
    def forward(self, z):
        return torch.log(self.fc(z) - 100.0)


class Raises(Step):
    def forward(self, z):
        if z.shape[1] == 4:
            raise ValueError("the user's own words")
        return self.fc(z)


class RaisesLater(Step):
    def forward(self, z):
        if bool((z > 50).any()):
            raise ValueError("the user's own words")
        return self.fc(z)


class WrongSizes(Step):
    def forward(self, z):
        return self.fc(torch.cat([z, z], 1))


class CutOff(Step):
    def forward(self, z):
        return 0.1 * self.fc(z) + torch.tanh(z).detach()


class ThreeArguments(Step):
    def forward(self, z, x, y):
        return self.fc(z) + x + y


class UnsaidArgument(Step):
    def forward(self, z, x):
        return self.fc(z) + x


class NoForward(Step):
    @torch.jit.export
    def step_of(self, z):
        return self.fc(z)


class Traced(Step):
    def forward(self, z):
        return self.fc(z) + torch.arange(len(z)).view(-1, 1).expand(len(z), N).to(z.dtype)


class Complex(Step):
    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(torch.zeros(N, dtype=torch.complex128))

    def forward(self, z):
        return self.fc(z) + torch.real(self.w)


class Broken(ProgramTest):
    def refuse(self, *phrases, words=("check",)):
        done = self.run_here(*words, "--model", "torch", "--module", "m.pt")
        self.assert_refused(done, "--module m.pt", *phrases)

    def step(self, make, *phrases, shape=(N,), **about):
        with self.subTest(make=make.__name__):
            save_shared(make().double(), self.folder / "m.pt", list(shape), steps=3, **about)
            self.refuse(*phrases)

    def test_steps_that_are_no_function_of_one_state(self):
        self.step(Dropout, "called again", "dropout")
        self.step(Counting, "called again")
        self.step(LearningNorm, "a sample alone", "batch normalisation", shape=(1, N))
        self.step(MixesSamples, "a sample alone", "mixed")
        self.step(InPlace, "changes the state that it is given")

    def test_results_that_are_no_state(self):
        self.step(Wider, "states of 3 x 8 of states of 3 x 4", "shape must stay")
        self.step(Summed, "one number", "shape must stay")
        self.step(Pair, "gives a Tuple", "next state")
        self.step(Halved, "makes Float of Double")
        self.step(NotANumber, "NaN")

    def test_exceptions_name_the_line(self):
        self.step(Raises, "torch_broken_test.py, line ", "the user's own words")
        self.step(WrongSizes, "torch_broken_test.py, line ", "shapes cannot be multiplied")

    def test_derivatives(self):
        self.step(CutOff, "derivative of its step is not that of its values", "detach")

    def test_arguments(self):
        self.step(ThreeArguments, "takes 3 arguments")
        self.step(UnsaidArgument, "takes 'x' beside the state", "input_shape")
        self.step(Gated4, "takes the state alone", input_shape=[2])
        save(torch.jit.script(NoForward().double()), self.folder / "m.pt", shape=[N])
        self.refuse("no forward")

    def test_types(self):
        self.step(Complex, "complex")
        save_shared(Gated(N).half(), self.folder / "m.pt", [N])
        self.refuse("type Half", "--precision double")
        mixed = Gated(N).double()
        mixed.gate.float()
        save_shared(mixed, self.folder / "m.pt", [N])
        self.refuse("type Double and Float", "--precision double")

    def test_a_traced_batch_size(self):
        step = torch.jit.trace(Traced().double(), torch.zeros(3, N, dtype=torch.float64), check_trace=False)
        save(torch.jit.script(Shared(step)), self.folder / "m.pt", shape=[N], steps=2)
        self.refuse("sample")

    def test_files(self):
        path = self.folder / "m.pt"
        self.refuse("no such file")
        torch.save(Gated(N), path)
        self.refuse("torch.save()", "torch.jit.script")
        torch.save(Gated(N).state_dict(), path)
        self.refuse("torch.save()", "torch.jit.script")
        path.write_text("no archive")
        self.refuse("no TorchScript file")
        save_shared(Gated(N).double(), path, [N])
        path.write_bytes(path.read_bytes()[:-200])
        self.refuse("torch.jit.script")

    def test_descriptions(self):
        torch.jit.script(Gated(N).double()).save(str(self.folder / "m.pt"))
        self.refuse("no deeppcr.json", "_extra_files")
        for about, phrases in (({"shape": [N], "format": 2}, ["format 2"]),
                               ({}, ["no shape"]),
                               ({"shape": [0]}, ["shape [0]", "from 1"]),
                               ({"shape": "4"}, ["shape \"4\""]),
                               ({"shape": [N], "steps": -1}, ["steps -1"]),
                               ({"shape": [N], "second": "time"}, ["second \"time\""]),
                               ({"shape": [N], "stacks": ["fc.weight"]}, ["no buffer stack0"])):
            with self.subTest(about=about):
                save(Gated(N).double(), self.folder / "m.pt", **about)
                self.refuse(*phrases)
        save(Gated(N).double(), self.folder / "m.pt", shape=[10], end=True, input_shape=[N])
        self.refuse("end of a network")
        save(Gated(N).double(), self.folder / "m.pt", shape=[N], denoiser=True)
        self.refuse("a denoising network, not the steps of a chain")
        self.step(Gated8, "shapes cannot be multiplied", shape=[N])

    def test_stacks(self):
        steps = [Gated(N).double() for _ in range(3)]
        path = self.folder / "m.pt"

        def changed(**changes):
            stacked = Shared(steps[0])
            rows = torch.stack([step.gate.bias.detach() for step in steps])
            stacked.register_buffer("stack0", changes.pop("stack0", rows))
            save(stacked, path, **{"shape": [N], "steps": 3, "stacks": ["gate.bias"], **changes})

        changed(stacks=["gate.size"])
        self.refuse("no parameter 'gate.size'")
        changed(stacks=["door.bias"])
        self.refuse("no part 'door'")
        changed(steps=5)
        self.refuse("3 rows", "5 steps")
        changed(stack0=torch.zeros(3, N + 1, dtype=torch.float64))
        self.refuse("stack0 has sizes 3 x 5", "L x 4")

    def test_an_exception_in_the_middle_of_a_run(self):
        save_shared(RaisesLater().double(), self.folder / "m.pt", [N], steps=8)
        with h5py.File(self.folder / "batch.h5", "w") as file:
            file["inputs"] = np.full((2, N), 100.)
        self.refuse("torch_broken_test.py, line ", "the user's own words", words=("solve", "--input", "batch.h5"))


def Gated4():
    return Gated(4)


def Gated8():
    return Gated(8)


if __name__ == "__main__":
    main()
