#!/usr/bin/python3
"""Turns the parameters of a PyTorch network into a weights file for `deeppcr --weights FILE`.

The network is a chain of equal fully connected layers n -> n, with an optional embedding (features -> n) before it and an
optional head (n -> classes) behind it. SOURCE is a file saved by torch.save(model.state_dict(), FILE), or module:function,
where the function returns such a state_dict or a torch.nn.Module.
"""
import argparse
import importlib
import os
import re
import sys
import zipfile
from pathlib import Path

import h5py
import numpy as np


class Refused(Exception):
    """Something that cannot be exported, with a sentence for the user."""


def import_torch():
    try:
        import torch
    except ImportError as error:
        raise Refused("PyTorch is not installed (Debian: python3-torch)") from error
    return torch


def load_file(path):
    """A state_dict from a file. Never runs code from it: only tensors are unpickled."""
    torch = import_torch()
    if not path.is_file():
        raise Refused("there is no such file")
    if "weights_only" not in torch.load.__code__.co_varnames:
        raise Refused(f"PyTorch {torch.__version__} cannot load files safely; version 1.13 or newer can")
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, ValueError, KeyError, zipfile.BadZipFile) as error:
        reason = str(error).strip().splitlines() or ["it cannot be read"]
        raise Refused(f"it is no file of torch.save(state_dict): {reason[0]}") from error
    except Exception as error:
        if "unpickling" not in type(error).__name__.lower():
            raise
        raise Refused("it holds more than tensors; save model.state_dict(), not the model itself") from error


def load_function(source):
    """The state_dict that the function `module:function` returns, of itself or of a module."""
    module, _, function = source.partition(":")
    sys.path.insert(0, os.getcwd())
    try:
        result = getattr(importlib.import_module(module), function)()
    except (ImportError, AttributeError) as error:
        raise Refused(str(error)) from error
    return result.state_dict() if hasattr(result, "state_dict") else result


def as_arrays(state):
    """Name -> array for all tensors, in their order."""
    if isinstance(state, dict) and "state_dict" in state:
        state = state["state_dict"]
    if not isinstance(state, dict) or not state:
        raise Refused("it holds no state_dict (a dictionary of tensors)")
    arrays = {}
    for name, tensor in state.items():
        if not hasattr(tensor, "detach"):
            raise Refused(f"'{name}' is no tensor, so this is no state_dict")
        arrays[name] = to_numpy(tensor.detach().cpu())
    return arrays


def to_numpy(tensor):
    """float64 stays, everything else (float16, bfloat16 too) becomes float32."""
    return tensor.numpy() if str(tensor.dtype) == "torch.float64" else tensor.float().numpy()


class Layer:
    """One nn.Linear: weight [out, in], bias [out] (zero where the network has none)."""

    def __init__(self, name, weight, bias):
        self.name, self.weight = name, weight
        self.bias = bias if bias is not None else np.zeros(weight.shape[0], weight.dtype)
        self.square = weight.shape[0] == weight.shape[1]


def linear_layers(arrays, prefix):
    """All fully connected layers whose name starts with prefix, in the order of the state_dict."""
    layers, used = [], set()
    for name, array in arrays.items():
        if not name.startswith(prefix) or not re.search(r"(^|\.)weight$", name):
            continue
        if array.ndim != 2:
            raise Refused(f"'{name}' has shape {list(array.shape)}; only fully connected layers "
                          "(weights of two dimensions) can be exported")
        bias_name = name[:-len("weight")] + "bias"
        bias = arrays.get(bias_name)
        if bias is not None and bias.shape != array.shape[:1]:
            raise Refused(f"'{bias_name}' has shape {list(bias.shape)}, but the weight has {array.shape[0]} rows")
        layers.append(Layer(name[:-len("weight")].rstrip("."), array, bias))
        used |= {name, bias_name}
    left = [name for name in arrays if name.startswith(prefix) and name not in used]
    if left:
        raise Refused(f"'{left[0]}' belongs to no fully connected layer; --prefix limits what is exported")
    return layers


def take(layers, name):
    """Removes the layer of that name from the list and returns it."""
    for layer in layers:
        if layer.name == name:
            layers.remove(layer)
            return layer
    raise Refused(f"there is no layer '{name}'; known: {', '.join(layer.name for layer in layers)}")


def split(layers, embedding, head):
    """Embedding, chain and head: by name where given, else by shape; each end may be missing."""
    layers = list(layers)
    first = take(layers, embedding) if embedding else None
    last = take(layers, head) if head else None
    if first is None and layers and not layers[0].square:
        first = layers.pop(0)
    if last is None and layers and not layers[-1].square:
        last = layers.pop()
    if not layers:
        raise Refused("there is no layer n -> n, so no chain")
    width = layers[0].weight.shape[0]
    for layer in layers:
        if layer.weight.shape != (width, width):
            raise Refused(f"layer '{layer.name}' is {list(layer.weight.shape)}, but the chain is [{width}, {width}]; "
                          "--embedding and --head name the layers at its ends")
    if first is not None and first.weight.shape[0] != width:
        raise Refused(f"the embedding '{first.name}' ends in {first.weight.shape[0]} values, the chain has width {width}")
    if last is not None and last.weight.shape[1] != width:
        raise Refused(f"the head '{last.name}' starts from {last.weight.shape[1]} values, the chain has width {width}")
    return first, layers, last


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


def write(path, first, chain, last, options):
    weight, bias = stack(chain, options.block_layers)
    axes = ["step", "block layer"] if options.block_layers > 1 else ["step"]
    temporary = path.with_name(path.name + ".tmp")
    with h5py.File(temporary, "w") as file:
        file.attrs.update(format="deeppcr-weights", format_version=1, source=options.source, model=options.kind)
        for group, w, b, lead in (("layers", weight, bias, axes),
                                  ("embedding", first and first.weight, first and first.bias, []),
                                  ("head", last and last.weight, last and last.bias, [])):
            if w is None:
                continue
            for name, array, dimensions in (("weight", w, lead + ["out", "in"]), ("bias", b, lead + ["out"])):
                dataset = file.create_dataset(f"{group}/{name}", data=array)
                dataset.attrs["long_name"] = f"{name} of the {group}"
                dataset.attrs["dimensions"] = dimensions
    os.replace(temporary, path)
    print(f"{path}: {weight.shape[0]} steps of width {weight.shape[-1]}"
          + (f", {options.block_layers} layers each" if options.block_layers > 1 else "")
          + (f", embedding from {first.weight.shape[1]} features" if first else "")
          + (f", head to {last.weight.shape[0]} classes" if last else ""))


def parse():
    parser = argparse.ArgumentParser(prog="deeppcr-export-pytorch", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", help="checkpoint.pt, or module:function")
    parser.add_argument("-o", "--output", type=Path, required=True, help="the weights file (HDF5)")
    parser.add_argument("--kind", choices=("mlp", "resnet"), default="mlp", help="the chain's model (default: mlp)")
    parser.add_argument("--block-layers", type=int, default=1, metavar="K",
                        help="fully connected layers of one residual block (default: 1)")
    parser.add_argument("--prefix", default="", help="only parameters whose names start with this")
    parser.add_argument("--embedding", metavar="LAYER", help="name of the embedding, where its shape does not tell")
    parser.add_argument("--head", metavar="LAYER", help="name of the head, where its shape does not tell")
    options = parser.parse_args()
    if options.block_layers < 1 or (options.kind == "mlp" and options.block_layers != 1):
        sys.exit("deeppcr-export-pytorch: --block-layers is at least 1, and 1 for --kind mlp")
    return options


def main():
    options = parse()
    is_function = re.fullmatch(r"[\w.]+:\w+", options.source) and not Path(options.source).exists()
    try:
        state = load_function(options.source) if is_function else load_file(Path(options.source))
        layers = linear_layers(as_arrays(state), options.prefix)
        write(options.output, *split(layers, options.embedding, options.head), options)
    except Refused as error:
        sys.exit(f"deeppcr-export-pytorch: cannot export {options.source}: {error}")
    except OSError as error:
        sys.exit(f"deeppcr-export-pytorch: {options.output}: {error}")


if __name__ == "__main__":
    main()
