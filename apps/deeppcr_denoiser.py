"""A denoising network of PyTorch as a TorchScript module: forward(x, t), and a class or an embedding as third argument."""
import inspect
import json

from deeppcr_blocks import call_function, check_scriptable, describe, dtype_of, is_close, script, set_to_eval, sizes
from deeppcr_files import DESCRIPTION, Refused, first_line
from deeppcr_tensors import import_torch

TIMES = (0, 1, 7)  # at which a denoiser is tried: every noise schedule has them
CONDITION = ("classes", "null_class", "embedding_shape")  # words of deeppcr.json, each also an option


def whole_number(value, what, least):
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise Refused(f"{what} is {value!r}; a whole number from {least} on is needed")
    return value


class Condition:
    """What a denoiser is told beside state and time: nothing, a class or an embedding."""

    def __init__(self, said, options):
        if not isinstance(said, dict) or not set(said) <= set(CONDITION):
            raise Refused(f"the function returns {said!r} behind the shape; a dictionary with some of {', '.join(CONDITION)} "
                          "is possible")
        given = {name: getattr(options, name) for name in CONDITION}
        given = {name: said.get(name) if value is None else value for name, value in given.items()}
        classes, null_class, embedding = (given[name] for name in CONDITION)
        if classes is not None and embedding is not None:
            raise Refused("both classes and the shape of an embedding are given; a denoiser takes one of them")
        if classes is None and null_class is not None:
            raise Refused("--null-class is the label that stands for no class; it goes with --classes")
        self.about = {"condition": "none"}
        if classes is not None:
            self.about = {"condition": "class", "classes": whole_number(classes, "--classes", 1),
                          "null_class": -1 if null_class is None else whole_number(null_class, "--null-class", -1)}
        if embedding is not None:
            self.about = {"condition": "embedding", "embedding_shape": list(sizes(embedding, "--embedding-shape"))}

    def check_arguments(self, forward):
        """forward must take what the condition needs, and no more without a default."""
        takes = list(inspect.signature(forward).parameters.values())
        needed = [parameter for parameter in takes if parameter.default is parameter.empty]
        if len(takes) < 2 or len(needed) > 3:
            raise Refused(f"forward takes {len(takes)} arguments; forward(self, x, t), (self, x, t, label) or (self, x, t, "
                          "embedding) are possible")
        if self.about["condition"] == "none" and len(needed) == 3:
            raise Refused(f"forward takes '{needed[2].name}' beside state and time: give --classes 10 where it is a class, "
                          "--embedding-shape 77,32 where it is an embedding")
        if self.about["condition"] != "none" and len(takes) == 2:
            raise Refused("classes or the shape of an embedding are given, but forward takes state and time alone")

    def trial(self, random, dtype):
        """The arguments behind the time, one row for each of TIMES."""
        torch = import_torch()
        if self.about["condition"] == "class":
            last, null = self.about["classes"] - 1, self.about["null_class"]
            return [torch.tensor([0, last, null if null >= 0 else last // 2])]
        if self.about["condition"] == "embedding":
            shape = self.about["embedding_shape"]
            return [torch.randn(len(TIMES), *shape, generator=random, dtype=torch.float64).to(dtype)]
        return []

    def summary(self):
        return {"none": "", "class": f", {self.about.get('classes')} classes",
                "embedding": f", embeddings {'x'.join(map(str, self.about.get('embedding_shape', [])))}"}[self.about["condition"]]


def denoise(module, arguments, what):
    """What a denoiser makes of states. @raise Refused where that is not of their shape and type"""
    states = arguments[0]
    try:
        with import_torch().no_grad():
            made = module(*[argument.clone() for argument in arguments])
    except Exception as error:
        text = [line for line in str(error).splitlines() if line.strip()]
        last = text[-1] if "most recent call last" in str(error) else first_line(error)
        raise Refused(f"{what} fails on {', '.join(map(describe, arguments))} (the first size is that of samples): "
                      f"{last}") from error
    if not isinstance(made, import_torch().Tensor) or made.shape != states.shape or made.dtype != states.dtype:
        raise Refused(f"{what} gives {describe(made)} of {describe(states)}; a prediction has the shape and type of the states")
    return made


def check_alone(module, arguments, together):
    """A sampler puts rows of any times into one batch: none may see another."""
    for row in range(len(TIMES)):
        alone = denoise(module, [argument[row:row + 1] for argument in arguments], "the module")
        if not is_close(alone, together[row:row + 1]):
            raise Refused("a sample alone gives something else than among others; normalise over each sample (GroupNorm), "
                          "not over the batch")


def denoiser(source, options):
    """The bytes of the file, its summary, and the files that were read."""
    torch = import_torch()
    value, read = call_function(source)
    value = value if isinstance(value, tuple) else (value,)
    module, shape, said = (*value, None, None)[:3]
    if len(value) > 3 or not isinstance(module, torch.nn.Module):
        raise Refused("the function must return an nn.Module, the shape of a state and, where there is a condition, a "
                      f"dictionary, but returns {', '.join(type(item).__name__ for item in value)}")
    shape = options.shape or shape
    if shape is None:
        raise Refused("the shape of a state is open: return it behind the module, or give --shape 1,28,28")
    shape = sizes(shape, "the shape")
    condition = Condition({} if said is None else said, options)
    set_to_eval([module])
    check_scriptable(module)
    condition.check_arguments(module.forward)
    random, dtype = torch.Generator().manual_seed(1), dtype_of(module)
    states = torch.randn(len(TIMES), *shape, generator=random, dtype=torch.float64).to(dtype)
    arguments = [states, torch.tensor(TIMES), *condition.trial(random, dtype)]
    made, scripted = denoise(module, arguments, "the module"), script(module)
    if not is_close(denoise(scripted, arguments, "the script of the module"), made):
        raise Refused("the script of the module computes something else than the module, by random numbers perhaps")
    check_alone(scripted, arguments, made)
    about = {"format": 1, "denoiser": True, "shape": list(states.shape[1:]), **condition.about}
    return (scripted.save_to_buffer(_extra_files={DESCRIPTION: json.dumps(about).encode()}),
            f"a denoiser of {'x'.join(map(str, about['shape']))}{condition.summary()}, "
            f"{sum(p.numel() for p in module.parameters())} parameters", [read])
