#!/usr/bin/python3
"""Turns the parameters of a PyTorch network into a weights file for `deeppcr --weights FILE`.

The network is a chain of equal fully connected layers n -> n, with an optional embedding (features -> n) before it and an
optional head (n -> classes) behind it; or nn.RNN, nn.GRU, nn.LSTM or cells of these, stacked or alone, with an optional head.
SOURCE is a file saved by torch.save(model.state_dict(), FILE), also inside a checkpoint's dictionary, NAME.safetensors or
its index NAME.safetensors.index.json, or module:function, where the function returns such a state_dict or a torch.nn.Module.
Layers whose names differ by numbers are taken in the order of these. --onnx takes the RNN, GRU or LSTM nodes of an ONNX model
in place of SOURCE.

--blocks FILE.py:function writes any modules z -> z as TorchScript for `deeppcr --model torch --module FILE`: the function
returns a list of blocks with weights of their own, or one module whose weights all steps share; behind it the shape of one
sample's state and, for one module, the number of steps: return blocks, (3, 8, 8). --end FILE.py:function writes in the same way
one module that stands before or behind a chain: return stem, (1, 28, 28), the shape of one sample's input. --denoiser
FILE.py:function writes a denoising network forward(x, t) or, with --classes or --embedding-shape, forward(x, t, condition):
return net, (1, 28, 28), {"classes": 10, "null_class": 10}.
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

# The modules of the tools: beside them in the sources, in share/deeppcr where they are installed.
HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "share" / "deeppcr")]
try:
    import h5py
    import numpy as np
    from deeppcr_blocks import chain_of_blocks, end_of_chain
    from deeppcr_cells import ACTIVATIONS, NAME, activation_of, cells_of, has_cells
    from deeppcr_denoiser import denoiser
    from deeppcr_files import MODULE, WEIGHTS, Refused, check_output, first_line, replacing, report, run
    from deeppcr_layers import PROGRAM, by_number, check_complete, linear_layers, names_of, note, take, write_layer
    from deeppcr_onnx import cells_of_onnx
    from deeppcr_safetensors import is_safetensors, load_safetensors
    from deeppcr_tensors import import_torch, load_file
except ImportError as missing:
    sys.exit(f"deeppcr-export-pytorch: {missing} (Debian: python3-h5py; deeppcr_*.py come with this program)")


# ---- reading ---------------------------------------------------------------------------------------------------------

def load_function(source):
    """The state_dict that `module:function` returns, what the module says of its activation, and the module's file."""
    module, _, function = source.partition(":")
    sys.path.insert(0, os.getcwd())
    try:
        found = importlib.import_module(module)
        network = getattr(found, function)()
        state = network.state_dict() if hasattr(network, "state_dict") else network
    except (Exception, SystemExit) as error:  # it is the user's code: whatever it does, one sentence
        raise Refused(f"{type(error).__name__}: {first_line(error)}") from error
    return state, activation_of(network), getattr(found, "__file__", None)


# ---- the state_dict --------------------------------------------------------------------------------------------------

MOST_LEVELS = 4  # of dictionaries in dictionaries
SPARSE = "is sparse; save it dense (tensor.to_dense())"
QUANTISED = "is quantised; save it dequantised (tensor.dequantize())"
NO_VALUES = "has no values (device meta)"
NOT_DENSE = (SPARSE, QUANTISED, NO_VALUES)


def is_tensor(value):
    return isinstance(value, import_torch().Tensor)


def state_dicts(value, name="", level=0):
    """Dotted name -> each dictionary inside value that has a tensor called `weight`, `...weight`, or as cells call it."""
    if not isinstance(value, collections.abc.Mapping) or level > MOST_LEVELS:
        return {}
    weights = [entry for key, entry in value.items()
               if str(key).split(".")[-1] == "weight" or NAME.fullmatch(str(key))]
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


class Chain:
    """Equal layers and what stands at their ends: the parts of the file, each as its two arrays and their leading axes."""

    def __init__(self, first, weight, bias, last, options):
        self.parts = {"layers": (weight, bias, ["step", "block layer"] if options.block_layers > 1 else ["step"])}
        self.parts.update({name: (part.weight, part.bias, [])
                           for name, part in (("embedding", first), ("head", last)) if part})
        self.kind, self.block_layers = options.kind, options.block_layers

    def write(self, file):
        file.attrs["model"] = self.kind
        for group, (weight, bias, lead) in self.parts.items():
            write_layer(file, group, weight, bias, lead)

    def summary(self):
        weight, embedding, head = (self.parts.get(name, (None,))[0] for name in ("layers", "embedding", "head"))
        return (f"{weight.shape[0]} steps of width {weight.shape[-1]}"
                + (f", {self.block_layers} layers each" if self.block_layers > 1 else "")
                + (f", embedding from {embedding.shape[1]} features" if embedding is not None else "")
                + (f", head to {head.shape[0]} classes" if head is not None else ""))


def write(path, network, source):
    """HDF5 is made in memory: it cannot end in order on a full disk, nor on a file system without locks."""
    memory = io.BytesIO()
    with h5py.File(memory, "w") as file:
        file.attrs.update(format="deeppcr-weights", format_version=1, source=os.fsencode(source).decode(errors="replace"))
        network.write(file)
    path.write_bytes(memory.getbuffer())


# ---- the program -----------------------------------------------------------------------------------------------------

def parse():
    parser = argparse.ArgumentParser(prog=PROGRAM, description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", nargs="?", help="checkpoint.pt, NAME.safetensors, or module:function")
    parser.add_argument("--onnx", metavar="FILE", help="an ONNX model with RNN, GRU or LSTM nodes (needs python3-onnx)")
    parser.add_argument("--blocks", metavar="FILE.py:FUNCTION", help="what returns the blocks of a chain (or module:function)")
    parser.add_argument("--end", metavar="FILE.py:FUNCTION", help="what returns a module before or behind a chain")
    parser.add_argument("--denoiser", metavar="FILE.py:FUNCTION", help="what returns a denoising network")
    parser.add_argument("--shape", metavar="SIZES", help="with --blocks and --denoiser: the shape of one sample's state, such as "
                        "3,8,8; with --end: of its input")
    parser.add_argument("--steps", type=int, metavar="L", help="with --blocks: steps of one module that all share")
    parser.add_argument("--input-shape", metavar="SIZES", help="with --blocks: of the input of a step, for forward(self, z, x)")
    parser.add_argument("--classes", type=int, metavar="N", help="with --denoiser: forward(self, x, t, label) takes labels below N")
    parser.add_argument("--null-class", type=int, metavar="K", help="with --classes: the label that stands for no class")
    parser.add_argument("--embedding-shape", metavar="SIZES",
                        help="with --denoiser: of one sample's embedding, for forward(self, x, t, embedding)")
    parser.add_argument("-o", "--output", type=Path, required=True,
                        help="the weights file (HDF5), with --blocks, --end and --denoiser the module (TorchScript)")
    parser.add_argument("--kind", choices=("mlp", "resnet"), help="the model of a chain of layers (default: mlp)")
    parser.add_argument("--activation", choices=ACTIVATIONS, help="of an RNN, whose state_dict does not say it (default: tanh)")
    parser.add_argument("--block-layers", type=int, metavar="K",
                        help="fully connected layers of one residual block (default: 1)")
    parser.add_argument("--prefix", default="", help="only parameters whose names start with this")
    parser.add_argument("--key", metavar="NAME", help="which state_dict, where a checkpoint has several")
    parser.add_argument("--embedding", metavar="LAYER", help="name of the embedding, where its shape does not tell")
    parser.add_argument("--head", metavar="LAYER", help="name of the head, where its shape does not tell")
    parser.add_argument("--force", action="store_true",
                        help="replace the output even if deeppcr has not written it as such a file")
    options = parser.parse_args()
    if [options.source, options.onnx, options.blocks, options.end, options.denoiser].count(None) != 4:
        sys.exit(f"{PROGRAM}: give SOURCE, --onnx FILE, --blocks FILE.py:FUNCTION, --end FILE.py:FUNCTION or "
                 "--denoiser FILE.py:FUNCTION")
    block_layers = 1 if options.block_layers is None else options.block_layers
    if block_layers < 1 or (options.kind != "resnet" and block_layers != 1):
        sys.exit(f"{PROGRAM}: --block-layers is at least 1, and 1 for --kind mlp")
    return options


DENOISER_WORDS = ["classes", "null-class", "embedding-shape"]


def refuse_options(options, names, what):
    """Options that say nothing of what is exported."""
    for name in names:
        if getattr(options, name.replace("-", "_")) not in (None, ""):
            raise Refused(f"--{name} says nothing of {what}")


def load(source):
    """What SOURCE holds, an activation that it says, and the files that it came from."""
    if re.fullmatch(r"[\w.]+:\w+", source) and not Path(source).exists():
        value, activation, file = load_function(source)
        return value, activation, [file] if file else []
    if is_safetensors(Path(source)):
        tensors, metadata, files = load_safetensors(Path(source))
        return tensors, metadata.get("activation"), files
    return load_file(Path(source)), None, [source]


def chain_of(arrays, options):
    refuse_options(options, ["activation"], "a chain of layers")
    options.kind, options.block_layers = options.kind or "mlp", options.block_layers or 1
    first, chain, last = split(linear_layers(arrays), options.embedding, options.head, list(arrays) == sorted(arrays))
    return Chain(first, *stack(chain, options.block_layers), last, options)


def export(options):
    """The network, and the files that it came from."""
    chain_words = ["kind", "block-layers", "embedding"]
    try:
        refuse_options(options, ["shape", "steps", "input-shape"], "weights; it goes with --blocks")
        refuse_options(options, DENOISER_WORDS, "weights; it goes with --denoiser")
        if options.onnx:
            refuse_options(options, [*chain_words, "activation", "prefix", "key", "head"], "an ONNX model")
            return cells_of_onnx(Path(options.onnx)), [options.onnx]
        value, activation, read = load(options.source)
        arrays = as_arrays(find_state(value, options.key), options.prefix)
        if not has_cells(arrays):
            return chain_of(arrays, options), read
        refuse_options(options, chain_words, "recurrent cells")
        return cells_of(arrays, options.head, options.activation, activation), read
    except Refused as error:
        raise Refused(f"cannot export {options.onnx or options.source}: {error}") from error


def export_module(source, options):
    """Writes a module; its summary."""
    make_module = chain_of_blocks if options.blocks else end_of_chain if options.end else denoiser
    try:
        refuse_options(options, ["kind", "block-layers", "embedding", "activation", "prefix", "key", "head"], "modules")
        if not options.blocks:
            refuse_options(options, ["steps", "input-shape"], "the end of a chain" if options.end else "a denoiser")
        if not options.denoiser:
            refuse_options(options, DENOISER_WORDS, "blocks and ends; it goes with --denoiser")
        data, summary, reads = make_module(source, options)
    except Refused as error:
        raise Refused(f"cannot export {source}: {error}") from error
    with replacing(options.output, MODULE, reads, options.force) as path:
        path.write_bytes(data)
    return summary


def main():
    options = parse()
    module = options.blocks or options.end or options.denoiser
    if module:
        check_output(options.output, MODULE, [module.rpartition(":")[0]], options.force)
        warnings.simplefilter("ignore")  # of torch, about itself
        report(f"{options.output}: {export_module(module, options)}")
        return
    source = options.onnx or options.source
    if is_safetensors(options.output):
        raise Refused(f"'{options.output}' would be read as safetensors by its name, but weights are written as HDF5: choose "
                      "another, such as weights.h5")
    check_output(options.output, WEIGHTS, [source], options.force)
    warnings.simplefilter("ignore")  # of torch, about itself
    network, reads = export(options)
    with replacing(options.output, WEIGHTS, reads, options.force) as path:
        write(path, network, source)
    report(f"{options.output}: {network.summary()}")


if __name__ == "__main__":
    run(PROGRAM, main)
