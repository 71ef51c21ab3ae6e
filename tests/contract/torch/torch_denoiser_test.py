#!/usr/bin/python3
"""Writes denoising networks and decoders with what PyTorch makes of them, and runs the test of the program over them.

Arguments: the test, the plug-in, the words that start mpirun with its number of ranks.
"""
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

try:
    import torch
except ImportError:
    print("skipped: no python3-torch here")
    sys.exit(77)

import denoiser_modules as made
from denoiser_modules import CLASSES, EMBEDDING, SHAPE

TEST, PLUGIN, *MPIRUN = sys.argv[1:]
COLUMNS, DOUBLE, SINGLE = 3, 1e-10, 1e-5
TIMES, SAMPLES, LABELS = [0, 7, 99, 40, 3], [0, 1, 2, 1, 0], [3, 0, 1]  # of rows, of rows, of samples
COUNTED = {"condition": "class", "classes": CLASSES, "null_class": CLASSES}
WORDED = {"condition": "embedding", "embedding_shape": EMBEDDING}


class Cases:
    def __init__(self, folder):
        self.folder, self.count = folder, 0
        self.all = {"values": [], "refused": [], "decoders": [], "refused decoders": []}

    def save(self, module, about=None):
        """The name of a new file; `about` is its deeppcr.json, None for none."""
        name = f"{self.count}.pt"
        self.count += 1
        scripted = module if isinstance(module, torch.jit.ScriptModule) else torch.jit.script(module.eval())
        scripted.save(str(self.folder / name), _extra_files={} if about is None else {"deeppcr.json": json.dumps(about)})
        return name

    def values(self, name, module, about=None, condition=None, tolerance=DOUBLE, repeats=None, conditions=None, **options):
        """`condition` [samples, ..] and that of none: what each sample's rows give to forward."""
        module = module.eval()
        if about is not None:
            about = {"format": 1, "denoiser": True, "shape": SHAPE, **about}
        else:
            options["shape"] = SHAPE
        file = self.save(module, about)
        exact = module.double()
        exact = exact.step if isinstance(exact, made.Wrapped) else exact
        rows, samples, times = len(TIMES), torch.tensor(SAMPLES), torch.tensor(TIMES)
        conditions = conditions or {}
        guidance = conditions.get("guidance", 1)

        def predict(x, r):
            def with_condition(*third):
                y = exact(x.unsqueeze(0).clone(), times[r:r + 1].clone(), *third)
                return (y["sample"] if isinstance(y, dict) else y[0] if isinstance(y, tuple) else y)[0]
            if condition is None:
                return with_condition()
            given, null = condition
            c = with_condition(given[samples[r]].unsqueeze(0))
            if guidance == 1:
                return c
            u = with_condition(null.unsqueeze(0))
            return u + guidance * (c - u)

        x = torch.randn(rows, *SHAPE, dtype=torch.float64)
        n = x[0].numel()
        V = torch.randn(rows, COLUMNS, n, dtype=torch.float64)
        J = [torch.autograd.functional.jacobian(lambda z, r=r: predict(z, r), x[r]).reshape(n, n) for r in range(rows)]
        case = {
            "name": name, "options": {"file": file, **options}, "conditions": conditions, "tolerance": tolerance,
            "times": TIMES, "samples": SAMPLES, "k": COLUMNS, "x": flat(x), "V": flat(V),
            "out": flat(torch.stack([predict(x[r], r) for r in range(rows)])),
            "forward": flat(torch.stack([V[r] @ J[r].T for r in range(rows)])),
            "backward": flat(torch.stack([V[r] @ J[r] for r in range(rows)])),
            "facts": {"shape": SHAPE, "classes": CLASSES if isinstance(module, made.Labelled) else 0,
                      "null_class": CLASSES if isinstance(module, made.Labelled) else -1}}
        if repeats:
            case["repeats"] = repeats
        self.all["values"].append(case)

    def refuse(self, name, file, *phrases, conditions=None, **options):
        self.all["refused"].append({"name": name, "options": {"file": file, "shape": SHAPE, **options},
                                    "conditions": conditions or {}, "phrases": phrases})

    def refuse_described(self, about, *phrases, module=None, conditions=None, **options):
        """A sound network whose deeppcr.json is `about`."""
        about = {"format": 1, "denoiser": True, "shape": SHAPE, **about}
        file = self.save(module or made.Labelled().double(), {key: value for key, value in about.items() if value is not None})
        self.refuse(str(about), file, *phrases, conditions=conditions, **{"shape": [], **options})

    def decoder(self, name, module, about=None, tolerance=DOUBLE, **options):
        module = module.eval()
        file = self.save(module, about)
        z = torch.randn(4, *SHAPE, dtype=torch.float64)
        x = module.double()(z)
        x = x["sample"] if isinstance(x, dict) else x
        self.all["decoders"].append({"name": name, "options": {"file": file, "taken": SHAPE, **options}, "tolerance": tolerance,
                                     "z": flat(z), "out": flat(x), "shape": list(x.shape[1:])})

    def refuse_decoder(self, name, module, *phrases, about=None, taken=None):
        self.all["refused decoders"].append({"name": name, "options": {"file": self.save(module, about), "taken": taken or SHAPE},
                                             "phrases": phrases})


def flat(tensor):
    return tensor.detach().reshape(-1).tolist()


def add_values(cases):
    cases.values("described", made.Net().double(), {}, repeats=3500)
    cases.values("without deeppcr.json", made.Net().double())
    cases.values("float32", made.Net(), {}, tolerance=SINGLE)
    cases.values("float64 in single precision", made.Net().double(), precision=32, tolerance=SINGLE)
    cases.values("float32 in double precision", made.Net(), precision=64)
    cases.values("wrapped", made.Wrapped(torch.jit.script(made.Net().double())))
    for module in (made.Tupled, made.Named, made.InPlace, made.Optionally, made.Attention):
        cases.values(module.__name__, module().double())
    traced = torch.jit.trace(made.Net().double(), (torch.randn(2, *SHAPE, dtype=torch.float64), torch.tensor([3, 4])))
    cases.values("traced", traced)

    labels = (torch.tensor(LABELS), torch.tensor(CLASSES))
    embeddings = torch.randn(3, *EMBEDDING, dtype=torch.float64)
    null = torch.randn(EMBEDDING, dtype=torch.float64)
    words = {"embeddings": flat(embeddings)}
    for guidance in (1, 3.5, 0):
        guided = {"guidance": guidance}
        cases.values(f"classes {guidance}", made.Labelled().double(), COUNTED, labels, repeats=1500,
                     conditions={"labels": LABELS, **guided})
        cases.values(f"given classes {guidance}", made.Labelled(), None, labels, tolerance=10 * SINGLE, classes=CLASSES,
                     conditions={"labels": LABELS, **guided})
        cases.values(f"embeddings {guidance}", made.Embedded().double(), WORDED, (embeddings, torch.zeros_like(null)),
                     conditions={**words, **guided})
        cases.values(f"null embedding {guidance}", made.Embedded().double(), None, (embeddings, null), embedding_shape=EMBEDDING,
                     conditions={**words, "null_embedding": flat(null), **guided})


def add_broken(cases):
    def broken(module, *phrases, **options):
        cases.refuse(type(module).__name__, cases.save(module.double()), *phrases, **options)

    broken(made.Dropout(), "called again", "dropout")
    broken(made.Counting(), "called again", "memory")
    broken(made.MixesSamples(), "a sample alone", "mixed")
    broken(made.LearningNorm(), "a sample alone", "batch normalisation")
    broken(made.OneTime(), "a sample alone", "one time")
    broken(made.LearnedVariance(), "4 channels of states of 2", "variances", "y[:, :2]")
    broken(made.Flat(), "predictions of 3 x 72 of states of 3 x 2 x 6 x 6", "shape must stay")
    broken(made.Pair(), "gives a Tuple", "a tuple of it alone")
    broken(made.OtherName(), "Dict", "\"sample\"")
    broken(made.Halved(), "makes Float of Double")
    broken(made.NotANumber(), "NaN")
    broken(made.Raises(), "denoiser_modules.py, line ", "the user's own words")
    broken(made.CutOff(), "derivative is not that of its values", "detach")
    broken(made.NoForward(), "no forward(x, t)")
    broken(made.NumberAsTime(), "takes 't' as float", "Tensor")
    broken(made.StateAlone(), "takes 1 arguments", "forward(x, t)")
    broken(made.FourArguments(), "takes 4 arguments")
    broken(made.FewTimes(), "denoiser_modules.py, line ", "index out of range")
    broken(made.Labelled(), "takes 'y' beside", "--classes K")
    broken(made.Net(), "a state and a time alone", "class", classes=CLASSES)
    broken(made.Net(), "a state and a time alone", "embedding", embedding_shape=EMBEDDING)
    broken(made.Labelled(), "leave one out", classes=CLASSES, embedding_shape=EMBEDDING)
    broken(made.Net(), "no deeppcr.json", "--shape 1,28,28", shape=[])
    broken(made.Net(), "--shape 2,0,6", "from 1", shape=[2, 0, 6])
    broken(made.Net(), "--shape 100000,100000", shape=[100000, 100000])
    broken(made.Net(), "expected input", shape=[3, 6, 6])
    cases.refuse("half", cases.save(made.Net().half()), "type Half", "--precision double")


def add_files(cases):
    cases.refuse("missing", "none.pt", "no such file")
    torch.save(made.Net(), cases.folder / "saved.pt")
    cases.refuse("torch.save", "saved.pt", "torch.save()", "torch.jit.script")
    (cases.folder / "text.pt").write_text("no archive")
    cases.refuse("text", "text.pt", "no TorchScript file")
    about = cases.refuse_described
    about({"format": 2}, "format 2")
    about({"denoiser": None}, "no \"denoiser\": true", "a chain")
    about({"shape": None}, "no shape")
    about({"shape": [0]}, "shape [0]")
    about({"condition": "text"}, "condition \"text\"", "\"embedding\"")
    about({"condition": "class"}, "no classes")
    about({"condition": "class", "classes": 0}, "classes 0", "from 1")
    about({"condition": "class", "classes": 10**12}, "classes 1000000000000")
    about({**COUNTED, "null_class": -2}, "null_class -2", "from 0")
    about({"condition": "embedding"}, "no embedding_shape")
    about(COUNTED, "shape 2 x 6 x 6, but --shape 1,8", "leave it out", shape=[1, 8])
    about(COUNTED, "4 classes, but --classes 9", classes=9)
    about(COUNTED, "takes no embeddings", embedding_shape=EMBEDDING)
    about(WORDED, "embedding_shape 3 x 5", "7", module=made.Embedded().double(), embedding_shape=[7])
    about({"condition": "none"}, "takes 'y' beside")


def add_conditions(cases):
    def conditioned(about, module, conditions, *phrases, **options):
        cases.refuse_described(about, *phrases, module=module.double(), conditions=conditions, **options)

    conditioned(COUNTED, made.Labelled(), {}, "4 classes", "labels from 0 to 3")
    conditioned(COUNTED, made.Labelled(), {"labels": [0, 4]}, "label 4", "0 to 3")
    conditioned(COUNTED, made.Labelled(), {"labels": [0], "embeddings": [1.0]}, "takes no embeddings")
    conditioned({**COUNTED, "null_class": None}, made.Labelled(), {"labels": [0], "guidance": 2}, "guidance 2", "no null_class")
    cases.refuse("no null class", cases.save(made.Labelled(CLASSES).double()), "guidance 2", "class 4", "index out of range",
                 conditions={"labels": [0], "guidance": 2}, classes=CLASSES)
    conditioned({}, made.Net(), {"guidance": 2}, "not conditioned", "guidance 2")
    conditioned({}, made.Net(), {"labels": [1]}, "takes no class")
    conditioned(WORDED, made.Embedded(), {}, "15 numbers for each sample")
    conditioned(WORDED, made.Embedded(), {"embeddings": [0.5] * 16}, "15 numbers", "16 numbers")
    conditioned(WORDED, made.Embedded(), {"embeddings": [0.5] * 15, "null_embedding": [0.0]}, "has 1 numbers", "15")


def add_decoders(cases):
    end = {"format": 1, "end": True, "input_shape": SHAPE, "shape": [3, 12, 12]}
    cases.decoder("described", made.Decoder().double(), end)
    cases.decoder("without deeppcr.json", made.Decoder().double())
    cases.decoder("float32", made.Decoder(), tolerance=SINGLE)
    cases.decoder("named output", made.NamedDecoder().double())
    cases.refuse_decoder("other states", made.Decoder().double(), "takes 72 numbers", "2 x 3 x 6", about=end, taken=[2, 3, 6])
    cases.refuse_decoder("one number", made.Summing().double(), "one number of 2 x 2 x 6 x 6")
    cases.refuse_decoder("a denoiser", made.Net().double(), "a denoising network, not an end",
                         about={"format": 1, "denoiser": True, "shape": SHAPE})


def main():
    torch.manual_seed(7)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(prefix="deeppcr-denoiser-") as name:
        cases = Cases(Path(name))
        for add in (add_values, add_broken, add_files, add_conditions, add_decoders):
            add(cases)
        (cases.folder / "cases.json").write_text(json.dumps(cases.all))
        ranks = MPIRUN[-1]
        start = [] if ranks == "1" else MPIRUN
        environment = {**os.environ, "DEEPPCR_TORCH_PLUGIN": PLUGIN, "DEEPPCR_TEST_FOLDER": name}
        sys.exit(subprocess.run([*start, TEST], env=environment, check=False).returncode)


if __name__ == "__main__":
    main()
