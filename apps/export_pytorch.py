#!/usr/bin/python3
"""Turns the parameters of a PyTorch network into a weights file for `deeppcr --weights FILE`.

The network is a chain of equal fully connected layers n -> n, with an optional embedding (features -> n) before it and an
optional head (n -> classes) behind it. SOURCE is a file saved by torch.save(model.state_dict(), FILE), also inside a
checkpoint's dictionary, or module:function, where the function returns such a state_dict or a torch.nn.Module.
Layers whose names differ by numbers are taken in the order of these.
"""
import argparse
import collections
import importlib
import io
import os
import re
import sys
import warnings
from pathlib import Path

PROGRAM = "deeppcr-export-pytorch"
# The modules of the tools: beside them in the sources, in share/deeppcr where they are installed.
HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "share" / "deeppcr")]
try:
    import h5py
    import numpy as np
    from deeppcr_files import WEIGHTS, Refused, check_output, first_line, replacing, report, run
    from deeppcr_tensors import import_torch, load_file
except ImportError as missing:
    sys.exit(f"{PROGRAM}: {missing} (Debian: python3-h5py; deeppcr_*.py come with this program)")


def note(words):
    print(f"{PROGRAM}: {words}", file=sys.stderr)


# ---- reading ---------------------------------------------------------------------------------------------------------

def load_function(source):
    """What the function `module:function` returns, and the file of the module."""
    module, _, function = source.partition(":")
    sys.path.insert(0, os.getcwd())
    try:
        found = importlib.import_module(module)
        result = getattr(found, function)()
        result = result.state_dict() if hasattr(result, "state_dict") else result
    except (Exception, SystemExit) as error:  # it is the user's code: whatever it does, one sentence
        raise Refused(f"{type(error).__name__}: {first_line(error)}") from error
    return result, getattr(found, "__file__", None)


# ---- the state_dict --------------------------------------------------------------------------------------------------

MOST_LEVELS = 4  # of dictionaries in dictionaries
SPARSE = "is sparse; save it dense (tensor.to_dense())"
QUANTISED = "is quantised; save it dequantised (tensor.dequantize())"
NO_VALUES = "has no values (device meta)"
NOT_DENSE = (SPARSE, QUANTISED, NO_VALUES)


def is_tensor(value):
    return isinstance(value, import_torch().Tensor)


def state_dicts(value, name="", level=0):
    """Dotted name -> each dictionary inside value that has a tensor called `weight` or `...weight`."""
    if not isinstance(value, collections.abc.Mapping) or level > MOST_LEVELS:
        return {}
    weights = [entry for key, entry in value.items() if str(key).split(".")[-1] == "weight"]
    if any(is_tensor(entry) or what_is_wrong(entry) in NOT_DENSE for entry in weights):
        return {name: value}
    found = {}
    for key, entry in value.items():
        found.update(state_dicts(entry, f"{name}.{key}" if name else str(key), level + 1))
    return found


def contents(value):
    """A few words on something that holds no state_dict."""
    if not isinstance(value, collections.abc.Mapping):
        return f"it is a {type(value).__name__}"
    words = [f"'{key}' ({type(entry).__name__})" for key, entry in list(value.items())[:6]]
    return f"it has {', '.join(words)}" if words else "it is empty"


def find_state(value, key):
    """The one state_dict in what was loaded, or the one that --key names."""
    found = state_dicts(value)
    if not found:
        raise Refused("it holds no state_dict (a dictionary of tensors, some of them called 'weight'), "
                      f"{contents(value)}; save model.state_dict()")
    names = ", ".join(f"'{name}'" for name in found if name)
    if key is not None and key not in found:
        raise Refused(f"there is no state_dict '{key}' (--key); " + (f"known: {names}" if names else "it is one itself"))
    if key is None and len(found) > 1:
        raise Refused(f"it holds several state_dicts, {names}: choose one with --key NAME")
    name = next(iter(found)) if key is None else key
    if name and key is None:
        note(f"the parameters are those of '{name}'")
    return found[name]


def what_is_wrong(tensor):
    """Why a tensor cannot be a weight, or nothing."""
    if not is_tensor(tensor):
        name = type(tensor).__name__
        return next((words for word, words in (("sparse", SPARSE), ("qtensor", QUANTISED), ("meta", NO_VALUES))
                     if word in name), f"is no tensor ({name})")
    if tensor.is_complex():
        return "holds complex numbers; weights are real"
    if tensor.is_quantized:
        return QUANTISED
    if tensor.layout != import_torch().strided:
        return SPARSE
    if tensor.device.type == "meta":
        return NO_VALUES
    return "" if tensor.is_floating_point() else f"holds {tensor.dtype}, no floating point numbers"


def to_numpy(name, tensor):
    """float64 stays, float16 and bfloat16 become float32 without loss; nothing else is a weight."""
    torch = import_torch()
    wrong = what_is_wrong(tensor)
    if wrong:
        raise Refused(f"'{name}' {wrong}")
    try:
        array = (tensor if tensor.dtype == torch.float64 else tensor.float()).detach().cpu().numpy()
    except Exception as error:
        raise Refused(f"'{name}' cannot be read: {first_line(error)}") from error
    bad = array.size - np.count_nonzero(np.isfinite(array))
    if bad:
        note(f"warning: '{name}' holds {bad} values that are not finite (nan or inf)")
    return array


def as_arrays(state, prefix):
    """Name -> array of the tensors whose names start with prefix, in their order."""
    for name in state:
        if not isinstance(name, str):
            raise Refused(f"the key {name!r} is no name but {type(name).__name__}, so this is no state_dict")
    return {name: to_numpy(name, tensor) for name, tensor in state.items() if name.startswith(prefix)}


# ---- layers and their order ------------------------------------------------------------------------------------------

class Layer:
    """One nn.Linear: weight [out, in], bias [out] (zero where the network has none)."""

    def __init__(self, name, weight, bias):
        self.name, self.weight = name, weight
        self.bias = bias if bias is not None else np.zeros(weight.shape[0], weight.dtype)
        self.square = weight.shape[0] == weight.shape[1]
        self.numbers = tuple(map(int, re.findall("[0-9]{1,18}", name)))
        self.pattern = re.sub("[0-9]{1,18}", "#", name)


def linear_layers(arrays):
    """All fully connected layers, in the order of the state_dict."""
    layers, used = [], set()
    for name, array in arrays.items():
        if not re.search(r"(^|\.)weight$", name):
            continue
        if array.ndim != 2 or not array.size:
            raise Refused(f"'{name}' has shape {list(array.shape)}; only fully connected layers "
                          "(weights of two dimensions) can be exported")
        bias_name = name[:-len("weight")] + "bias"
        bias = arrays.get(bias_name)
        if bias is not None and bias.shape != array.shape[:1]:
            raise Refused(f"'{bias_name}' has shape {list(bias.shape)}, but the weight has {array.shape[0]} rows")
        layers.append(Layer(name[:-len("weight")].rstrip("."), array, bias))
        used |= {name, bias_name}
    left = [name for name in arrays if name not in used]
    if left:
        raise Refused(f"'{left[0]}' belongs to no fully connected layer; --prefix limits what is exported")
    return layers


def names_of(layers):
    names = [layer.name for layer in layers]
    return ", ".join(names if len(names) <= 6 else [*names[:3], "...", *names[-2:]])


def take(layers, name):
    """Removes the layer of that name from the list and returns it."""
    for layer in layers:
        if layer.name == name:
            layers.remove(layer)
            return layer
    raise Refused(f"there is no layer '{name}'; known: {', '.join(layer.name for layer in layers)}")


def by_number(layers):
    """Layers whose names differ by numbers, in the order of these, on the places that they have; the others stay."""
    ordered = list(layers)
    for pattern in {layer.pattern for layer in layers}:
        places = [i for i, layer in enumerate(layers) if layer.pattern == pattern]
        for place, layer in zip(places, sorted((layers[i] for i in places), key=lambda layer: layer.numbers)):
            ordered[place] = layer
    return ordered


def check_even(pattern, numbers, is_first):
    """One of the numbers in the names goes up evenly, and from the start: by 1, or by 2 with a tanh between two layers."""
    gaps = [after - before for before, after in zip(numbers, numbers[1:])]
    if not gaps:
        return
    for before, after, gap in zip(numbers, numbers[1:], gaps):
        if gap != min(gaps):
            raise Refused(f"from '{pattern}' {before} the numbers go on with {after}, elsewhere in steps of {min(gaps)}: "
                          "a layer is missing, or belongs to an end (--embedding and --head name these)")
    if is_first and numbers[0] > gaps[0]:
        raise Refused(f"'{pattern}' starts with {numbers[0]}: the layers before it are missing")


def check_complete(layers, embedding):
    """The numbers in names of one pattern make a full table: none is missing, none is there twice."""
    pattern, numbers = layers[0].pattern, [layer.numbers for layer in layers]
    axes = [sorted(set(column)) for column in zip(*numbers)]
    for axis in axes:
        check_even(pattern, axis, embedding is None or embedding.pattern != pattern)
    if len(set(numbers)) < len(numbers):
        raise Refused(f"two layers '{pattern}' have the same number")
    if len(numbers) < np.prod([len(axis) for axis in axes], dtype=float):
        raise Refused(f"of the layers '{pattern}' some are missing: {len(numbers)} are there ({names_of(layers)})")


def check_order(chain, embedding, trusted):
    """Refuses a chain whose order or completeness its names leave open."""
    patterns = list(dict.fromkeys(layer.pattern for layer in chain))
    for pattern in patterns:
        check_complete([layer for layer in chain if layer.pattern == pattern], embedding)
    if len(patterns) == 1:
        return
    if not trusted:
        raise Refused(f"the file has its names in another order than the network, so that of '{patterns[0]}' and "
                      f"'{patterns[1]}' cannot be told; --embedding and --head name the layers at the ends of the chain, "
                      "or save model.state_dict() as it is")
    note(f"the chain is taken in the order of the file: {names_of(chain)}")


def pop_ends(layers, first, last):
    """The layers at the two ends that are not n -> n, where no name was given."""
    if first is None and layers and not layers[0].square:
        first = layers.pop(0)
    if last is None and layers and not layers[-1].square:
        last = layers.pop()
    return first, last


def check_widths(first, chain, last):
    width = next((layer.weight.shape[0] for layer in chain if layer.square), None)
    if width is None:
        raise Refused("there is no layer n -> n, so no chain")
    for layer in chain:
        if layer.weight.shape != (width, width):
            raise Refused(f"layer '{layer.name}' is {list(layer.weight.shape)}, but the chain is [{width}, {width}]; "
                          "--embedding and --head name the layers at its ends")
    if first is not None and first.weight.shape[0] != width:
        raise Refused(f"the embedding '{first.name}' ends in {first.weight.shape[0]} values, the chain has width {width}; "
                      "--embedding and --head name the layers at its ends")
    if last is not None and last.weight.shape[1] != width:
        raise Refused(f"the head '{last.name}' starts from {last.weight.shape[1]} values, the chain has width {width}")


def split(layers, embedding, head, in_key_order):
    """Embedding, chain and head: by name where given, else by place and shape; each end may be missing."""
    layers = list(layers)
    first = take(layers, embedding) if embedding else None
    last = take(layers, head) if head else None
    chain = by_number(layers)
    moved = chain != layers
    first, last = pop_ends(chain, first, last)
    check_widths(first, chain, last)
    check_order(chain, first, trusted=not moved and not in_key_order)
    if moved:
        note(f"the file has its layers in another order; they are taken by number: {names_of(chain)}")
    return first, chain, last


# ---- writing ---------------------------------------------------------------------------------------------------------

def stack(layers, block_layers):
    """Weights [L, n, n] and biases [L, n]; with several layers a block [L, k, n, n] and [L, k, n]."""
    if len(layers) % block_layers:
        raise Refused(f"{len(layers)} layers cannot be cut into blocks of {block_layers} (--block-layers)")
    weight = np.stack([layer.weight for layer in layers])
    bias = np.stack([layer.bias for layer in layers])
    if block_layers > 1:
        shape = (len(layers) // block_layers, block_layers)
        weight, bias = weight.reshape(shape + weight.shape[1:]), bias.reshape(shape + bias.shape[1:])
    return weight, bias


def write(path, first, weight, bias, last, options):
    """HDF5 is made in memory: it cannot end in order on a full disk, nor on a file system without locks."""
    memory = io.BytesIO()
    axes = ["step", "block layer"] if options.block_layers > 1 else ["step"]
    source = os.fsencode(options.source).decode(errors="replace")
    with h5py.File(memory, "w") as file:
        file.attrs.update(format="deeppcr-weights", format_version=1, source=source, model=options.kind)
        for group, w, b, lead in (("layers", weight, bias, axes),
                                  ("embedding", first and first.weight, first and first.bias, []),
                                  ("head", last and last.weight, last and last.bias, [])):
            if w is None:
                continue
            for name, array, dimensions in (("weight", w, lead + ["out", "in"]), ("bias", b, lead + ["out"])):
                dataset = file.create_dataset(f"{group}/{name}", data=array)
                dataset.attrs["long_name"] = f"{name} of the {group}"
                dataset.attrs["dimensions"] = dimensions
    path.write_bytes(memory.getbuffer())


def summary(weight, first, last, options):
    return (f"{options.output}: {weight.shape[0]} steps of width {weight.shape[-1]}"
            + (f", {options.block_layers} layers each" if options.block_layers > 1 else "")
            + (f", embedding from {first.weight.shape[1]} features" if first else "")
            + (f", head to {last.weight.shape[0]} classes" if last else ""))


# ---- the program -----------------------------------------------------------------------------------------------------

def parse():
    parser = argparse.ArgumentParser(prog=PROGRAM, description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", help="checkpoint.pt, or module:function")
    parser.add_argument("-o", "--output", type=Path, required=True, help="the weights file (HDF5)")
    parser.add_argument("--kind", choices=("mlp", "resnet"), default="mlp", help="the chain's model (default: mlp)")
    parser.add_argument("--block-layers", type=int, default=1, metavar="K",
                        help="fully connected layers of one residual block (default: 1)")
    parser.add_argument("--prefix", default="", help="only parameters whose names start with this")
    parser.add_argument("--key", metavar="NAME", help="which state_dict, where a checkpoint has several")
    parser.add_argument("--embedding", metavar="LAYER", help="name of the embedding, where its shape does not tell")
    parser.add_argument("--head", metavar="LAYER", help="name of the head, where its shape does not tell")
    parser.add_argument("--force", action="store_true",
                        help="replace the output even if it is no weights file of deeppcr")
    options = parser.parse_args()
    if options.block_layers < 1 or (options.kind == "mlp" and options.block_layers != 1):
        sys.exit(f"{PROGRAM}: --block-layers is at least 1, and 1 for --kind mlp")
    return options


def load(source):
    """What SOURCE holds, and the file that it came from."""
    if re.fullmatch(r"[\w.]+:\w+", source) and not Path(source).exists():
        return load_function(source)
    return load_file(Path(source)), source


def export(options):
    """The network's parts as arrays, and the file that they came from."""
    try:
        value, read = load(options.source)
        arrays = as_arrays(find_state(value, options.key), options.prefix)
        in_key_order = list(arrays) == sorted(arrays)
        first, chain, last = split(linear_layers(arrays), options.embedding, options.head, in_key_order)
        return first, *stack(chain, options.block_layers), last, [read] if read else []
    except Refused as error:
        raise Refused(f"cannot export {options.source}: {error}") from error


def main():
    options = parse()
    check_output(options.output, WEIGHTS, [options.source], options.force)
    warnings.simplefilter("ignore")  # of torch, about itself
    first, weight, bias, last, reads = export(options)
    with replacing(options.output, WEIGHTS, reads, options.force) as path:
        write(path, first, weight, bias, last, options)
    report(summary(weight, first, last, options))


if __name__ == "__main__":
    run(PROGRAM, main)
