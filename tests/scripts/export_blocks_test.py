#!/usr/bin/python3
"""Tests of export_pytorch.py --blocks. Exit code 77 (skipped) where PyTorch is missing."""
import json
import os
import subprocess
import sys
import tempfile
import textwrap
import unittest
from pathlib import Path

from run_script import APPS, assert_refused, run, run_here

try:
    import torch
except ImportError:
    print("skipped: PyTorch is not installed (Debian: python3-torch)")
    sys.exit(77)

NET = """
    import torch
    from torch import nn


    class Conv(nn.Module):
        def __init__(self, channels):
            super().__init__()
            self.conv, self.norm = nn.Conv2d(channels, channels, 3, padding=1), nn.BatchNorm2d(channels)

        def forward(self, z):
            return z + 0.1 * torch.relu(self.norm(self.conv(z)))


    class Attention(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.1, batch_first=True)

        def forward(self, z):
            return 0.5 * z + 0.5 * self.layer(z)


    class Denoiser(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc = nn.Linear(4, 4)

        def forward(self, z, l):
            return 0.9 * z + 0.1 * torch.tanh(self.fc(z) + torch.sin(l.to(z.dtype)).unsqueeze(1))


    class Cell(nn.Module):
        def __init__(self):
            super().__init__()
            self.cell = nn.GRUCell(2, 4)

        def forward(self, z, x):
            return self.cell(x, z)


    def convolutions():
        torch.manual_seed(0)
        blocks = [Conv(3).double() for _ in range(4)]
        for block in blocks:  # statistics of a trained network
            block.norm.running_mean.normal_()
        return blocks, (3, 5, 5)


    def new_convolutions():
        return nn.ModuleList([Conv(2) for _ in range(3)]).eval(), (2, 4, 4)


    def attention():
        torch.manual_seed(0)
        return [Attention() for _ in range(3)]


    def denoiser():
        return Denoiser().double(), 4, 9


    def cell():
        return Cell()


    def sequential():
        return nn.Sequential(nn.Linear(4, 4), nn.Tanh())
"""


def eager(function):
    """The blocks that the function of NET returns."""
    names = {}
    exec(textwrap.dedent(NET), names)  # pylint: disable=exec-used
    blocks = names[function]()
    return blocks[0] if isinstance(blocks, tuple) else blocks


class ExportBlocks(unittest.TestCase):
    def setUp(self):
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.output = self.folder / "chain.pt"
        (self.folder / "net.py").write_text(textwrap.dedent(NET))

    def export(self, function, *words, said=""):
        """The module in the file, and what the file says of it."""
        process = run_here("export_pytorch.py", "--blocks", f"{self.folder}/net.py:{function}", "-o", self.output, *words)
        self.assertEqual(process.returncode, 0, process.stderr)
        self.assertIn(said, process.stderr)
        self.assertEqual(process.stderr == "", said == "", process.stderr)
        extra = {"deeppcr.json": ""}
        chain = torch.jit.load(str(self.output), _extra_files=extra)
        about = json.loads(extra["deeppcr.json"])
        self.assertEqual(about.pop("format"), 1)
        return chain, about, process.stdout

    def assert_walk(self, chain, about, function):
        """The template with each step's rows of the stacks computes what the user's blocks do, one after another."""
        step, z = chain.step, torch.randn(2, *about["shape"], dtype=chain.stack0.dtype)
        expected = z
        tensors = step.state_dict()
        with torch.no_grad():
            for l, block in enumerate(eager(function)):
                for i, name in enumerate(about["stacks"]):
                    tensors[name].copy_(getattr(chain, f"stack{i}")[l])
                z, expected = step(z), block.eval()(expected)
        torch.testing.assert_close(z, expected, rtol=1e-13 if z.dtype == torch.float64 else 1e-5, atol=1e-6)

    def test_different_weights_are_stacked(self):
        chain, about, said = self.export("convolutions", said="eval() is called: BatchNorm2d in training")
        self.assertEqual(about, {"shape": [3, 5, 5], "shared": False, "steps": 4, "buffers": ["norm.running_mean"], "stacks":
                                 ["conv.weight", "conv.bias", "norm.weight", "norm.bias", "norm.running_mean"]})
        self.assertEqual(list(chain.stack0.shape), [4, 3, 3, 3, 3])
        self.assertEqual(dict(chain.named_buffers())["stack1"].dtype, torch.float64)
        self.assertFalse(chain.training)
        self.assertIn("4 steps of states 3x5x5", said)
        self.assert_walk(chain, about, "convolutions")

    def test_the_shape_by_option_and_dropout_off(self):
        chain, about, _ = self.export("attention", "--shape", "3,8", said="Dropout")
        self.assertEqual((about["shape"], about["steps"]), ([3, 8], 3))
        self.assert_walk(chain, about, "attention")

    def test_buffers_that_are_alike_stay_in_the_template(self):
        _, about, _ = self.export("new_convolutions")
        self.assertEqual(about["stacks"], ["conv.weight", "conv.bias", "norm.weight", "norm.bias"])
        self.assertEqual(about["buffers"], [])

    def test_shared_weights(self):
        chain, about, _ = self.export("denoiser")
        self.assertEqual(about, {"shape": [4], "shared": True, "steps": 9, "stacks": [], "buffers": [], "second": "step"})
        z = torch.randn(2, 4, dtype=torch.float64)
        self.assertEqual(chain.step(z, torch.tensor([3, 3])).shape, z.shape)
        _, about, _ = self.export("cell", "--shape", 4, "--input-shape", 2)
        self.assertEqual(about, {"shape": [4], "shared": True, "stacks": [], "buffers": [], "second": "input",
                                 "input_shape": [2]})
        _, about, _ = self.export("sequential", "--shape", 4, "--steps", 6)
        self.assertEqual((about["shared"], about["steps"]), (True, 6))

    def test_the_lines_of_the_manual_write_the_same(self):
        manual = (APPS / "MODULE_FILE.md").read_text().split("## The same without the tool")[1]
        lines = [line[4:] for line in manual.splitlines() if line.startswith("    ") or not line][1:]
        (self.folder / "by_hand.py").write_text("\n".join(lines).replace("make_blocks", "new_convolutions"))
        subprocess.run([sys.executable, "by_hand.py"], cwd=self.folder, check=True)
        extra = {"deeppcr.json": ""}
        chain = torch.jit.load(str(self.output), _extra_files=extra)
        by_hand = json.loads(extra["deeppcr.json"])
        other, about, _ = self.export("new_convolutions", "--force")
        self.assertEqual({**by_hand, "buffers": []}, {"format": 1, **about})
        self.assertEqual([name for name, _ in chain.named_buffers()], [name for name, _ in other.named_buffers()])
        self.assertEqual(chain.step.code, other.step.code)

    def refuse(self, body, *phrases, words=("--shape", 4)):
        """`body` defines make_blocks()."""
        path = self.folder / "bad.py"
        path.write_text("import torch\nfrom torch import nn\n" + textwrap.dedent(body))
        self.output.unlink(missing_ok=True)
        with self.subTest(body=body):
            assert_refused(self, run_here("export_pytorch.py", "--blocks", f"{path}:make_blocks", "-o", self.output, *words),
                           "cannot export", *phrases)
            self.assertFalse(self.output.exists())
        sys.modules.pop("bad", None)

    def refuse_block(self, body, *phrases, words=("--shape", 4), count=2):
        """`body` is that of a module called Block."""
        self.refuse("class Block(nn.Module):\n" + textwrap.indent(textwrap.dedent(body), "    ")
                    + f"\n\ndef make_blocks():\n    return [Block() for _ in range({count})]\n", *phrases, words=words)

    def test_what_cannot_be_scripted(self):
        init = "def __init__(self):\n    super().__init__()\n    "
        self.refuse_block(init + "self.act = lambda z: z\n\ndef forward(self, z):\n    return self.act(z)", "lambda", "'act'")
        self.refuse_block("def forward(self, z, **kw):\n    return z", "**kw", "cannot be scripted")
        self.refuse_block("def forward(self, z):\n    import math\n    return z * math.sqrt(2)", "cannot be scripted", "bad.py line")
        self.refuse_block(init + "self.fc = nn.utils.weight_norm(nn.Linear(4, 4))\n\ndef forward(self, z):\n    return self.fc(z)",
                          "'fc' (Linear)", "remove_weight_norm()")
        self.refuse_block(init + "self.fc = nn.utils.parametrizations.orthogonal(nn.Linear(4, 4))\n\n"
                          "def forward(self, z):\n    return self.fc(z)", "'fc'", "remove_parametrizations()")

    def test_what_is_no_step(self):
        self.refuse_block("def forward(self, z):\n    return z[:, :2]", "[2, 2] of states of [2, 4]")
        self.refuse_block("def forward(self, z):\n    return z, z", "gives a tuple")
        self.refuse_block("def forward(self, z):\n    return z.double()", "torch.float64 of torch.float32")
        self.refuse_block("def forward(self, z):\n    raise ValueError('odd')", "odd")
        self.refuse_block("def forward(self, z, mask):\n    return z * mask", "'mask'", "--input-shape")
        self.refuse_block("def forward(self):\n    return 0", "0 arguments")
        self.refuse_block("def forward(self, z):\n    return z", "takes the state alone", words=("--shape", 4, "--input-shape", 2))
        self.refuse_block("def forward(self, z):\n    return z + torch.rand_like(z)", "random ones")
        self.refuse_block("def __init__(self):\n    super().__init__()\n    self.fc = nn.Linear(4, 4)\n\n"
                          "def forward(self, z):\n    return self.fc(z)", "fails on states of [2, 3]", words=("--shape", 3))

    def test_blocks_that_differ(self):
        self.refuse("def make_blocks():\n    return [nn.Linear(4, 4), nn.Linear(4, 4, bias=False)]", "blocks 0 and 1", "'bias'")
        self.refuse("def make_blocks():\n    return [nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 3)]", "blocks 0 and 2")
        self.refuse("def make_blocks():\n    return [nn.ReLU(), nn.Tanh()]", "block 1 computes something else")
        self.refuse("""
            class Step(nn.Module):
                def __init__(self, h):
                    super().__init__()
                    self.h = h

                def forward(self, z):
                    return z + self.h * torch.tanh(z)


            def make_blocks():
                return [Step(1 / (l + 1)) for l in range(3)]
            """, "block 1 computes something else", "register_buffer")

    def test_what_the_function_returns(self):
        self.refuse("def make_blocks():\n    return []", "an empty list")
        self.refuse("def make_blocks():\n    return 3", "'int'")
        self.refuse("def make_blocks():\n    return [nn.Tanh(), 3]", "no list of nn.Module")
        self.refuse("def make_blocks():\n    return nn.Sequential(nn.Tanh())", "return list(blocks)")
        self.refuse("def make_blocks():\n    return [nn.Tanh()]", "--shape 3,8,8", words=())
        self.refuse("def make_blocks():\n    return [nn.Tanh()], 'x'", "the shape is 'x'", words=())
        self.refuse("def make_blocks():\n    return [nn.Tanh()], (3, 0)", "from 1 on", words=())
        self.refuse("def make_blocks():\n    return [nn.Tanh()], 4, 1, 2", "returns 4 values", words=())
        self.refuse("def make_blocks():\n    return [nn.Tanh()]", "1 blocks, but 3 steps", words=("--shape", 4, "--steps", 3))
        self.refuse("def make_blocks():\n    return nn.Tanh()", "-1", words=("--shape", 4, "--steps", -1))
        self.refuse("def make_blocks():\n    raise KeyError('weights')", "KeyError: 'weights' (bad.py line 4)")
        self.refuse("def make_others():\n    pass", "no function make_blocks")
        self.refuse("def make_blocks(:", "SyntaxError")
        for source in "net.py", "none.py:f", ":f", "no.such.module:f":
            assert_refused(self, run_here("export_pytorch.py", "--blocks", source, "-o", self.output), "cannot export")

    def test_a_module_at_an_end_of_a_chain(self):
        source = self.folder / "ends.py"
        source.write_text(textwrap.dedent("""
            import torch
            from torch import nn

            def stem():
                torch.manual_seed(0)
                return nn.Sequential(nn.Conv2d(1, 3, 3, stride=2), nn.Dropout(), nn.Flatten()), (1, 7, 7)

            def mixed():
                return nn.Flatten(0), 4

            def pair():
                return nn.GRUCell(2, 3), 2

            def nothing():
                return 5
            """))
        words = ["export_pytorch.py", "-o", self.output, "--end"]
        process = run_here(*words, f"{source}:stem")
        self.assertEqual(process.returncode, 0, process.stderr)
        self.assertIn("from 1x7x7 to 27, 30 parameters", process.stdout)
        self.assertIn("Dropout", process.stderr)
        extra = {"deeppcr.json": ""}
        end = torch.jit.load(str(self.output), _extra_files=extra)
        self.assertEqual(json.loads(extra["deeppcr.json"]), {"format": 1, "end": True, "input_shape": [1, 7, 7], "shape": [27]})
        torch.manual_seed(0)
        conv, x = torch.nn.Conv2d(1, 3, 3, stride=2), torch.randn(2, 1, 7, 7)
        torch.testing.assert_close(end.step(x), conv(x).flatten(1))
        self.output.unlink()
        assert_refused(self, run_here(*words, f"{source}:mixed"), "one row a sample")
        assert_refused(self, run_here(*words, f"{source}:nothing"), "'int'")
        assert_refused(self, run_here(*words, f"{source}:pair", "--shape", "3"), "fails on inputs of [2, 3]")
        assert_refused(self, run_here(*words, f"{source}:stem", "--steps", "3"), "--steps")

    def test_the_network_for_fashion_mnist(self):
        script = APPS.parent / "job_scripts" / "train_fashion_mnist_modules.sh"
        process = subprocess.run([script], capture_output=True, text=True, check=False,
                                 env={**os.environ, "DEEPPCR_EXPORT_ONLY": "1", "DEEPPCR_RUNS": str(self.folder / "resnet"),
                                      "DEEPPCR_BLOCKS": "20", "DEEPPCR_PYTHON": sys.executable})
        self.assertEqual(process.returncode, 0, process.stderr)
        extra = {"deeppcr.json": ""}
        stem, chain, head = (torch.jit.load(str(self.folder / "resnet" / f"{name}.pt"), _extra_files=extra if name == "resnet"
                                            else {}) for name in ("stem", "resnet", "head"))
        about = json.loads(extra["deeppcr.json"])
        self.assertEqual((about["steps"], about["shape"], about["buffers"]), (20, [16, 14, 14], []))
        z, step = stem.step(torch.randn(3, 1, 28, 28)), chain.step
        norms = [z.norm().item()]
        with torch.no_grad():
            for l in range(20):
                for i, name in enumerate(about["stacks"]):
                    step.state_dict()[name].copy_(getattr(chain, f"stack{i}")[l])
                z = step(z)
                norms.append(z.norm().item())
        self.assertEqual(list(head.step(z).shape), [3, 10])
        self.assertTrue(norms[0] < norms[-1] < 20 * norms[0], norms)  # blocks at random neither vanish nor grow with depth

    def test_options_and_files(self):
        source = f"{self.folder}/net.py:sequential"
        for words in (["--blocks", source, "net.pt"], ["--blocks", source, "--onnx", "x"], []):
            assert_refused(self, run_here("export_pytorch.py", "-o", self.output, *words), "give SOURCE, --onnx FILE, --blocks")
        assert_refused(self, run_here("export_pytorch.py", "--blocks", source, "--kind", "mlp", "-o", self.output), "--kind")
        assert_refused(self, run_here("export_pytorch.py", "x.pt", "--steps", 3, "-o", self.output), "--steps", "--blocks")
        assert_refused(self, run_here("export_pytorch.py", "--blocks", source, "-o", self.folder / "net.py", "--force"),
                       "is read by this run")
        torch.jit.script(torch.nn.Tanh()).save(str(self.output))
        before = self.output.read_bytes()
        assert_refused(self, run_here("export_pytorch.py", "--blocks", f"{self.folder}/net.py:denoiser", "-o", self.output),
                       "no module of deeppcr", "--force")
        self.assertEqual(self.output.read_bytes(), before)
        self.export("denoiser", "--force")
        self.export("denoiser")  # what it wrote itself is replaced
        self.assertFalse((self.folder / "__pycache__").exists())

    def test_without_pytorch_one_sentence(self):
        (self.folder / "torch.py").write_text("raise ImportError('no torch')")
        process = run("export_pytorch.py", "--blocks", f"{self.folder}/net.py:cell", "-o", self.output,
                      environment={"PYTHONPATH": str(self.folder)})
        assert_refused(self, process, "PyTorch is not installed", "python3-torch")


if __name__ == "__main__":
    unittest.main(verbosity=2)
