"""The fully connected layers of a PyTorch network and the order of layers, by their names."""
import re
import sys

import numpy as np
from deeppcr_files import Refused

PROGRAM = "deeppcr-export-pytorch"


def note(words):
    print(f"{PROGRAM}: {words}", file=sys.stderr)


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


def write_layer(file, group, weight, bias, lead=()):
    for name, array, dimensions in (("weight", weight, [*lead, "out", "in"]), ("bias", bias, [*lead, "out"])):
        dataset = file.create_dataset(f"{group}/{name}", data=array)
        dataset.attrs["long_name"] = f"{name} of the {group}"
        dataset.attrs["dimensions"] = dimensions
