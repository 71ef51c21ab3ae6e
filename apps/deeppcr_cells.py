"""The recurrent cells of a PyTorch network, and how weights files hold them."""
import re

from deeppcr_files import Refused
from deeppcr_layers import by_number, check_complete, linear_layers, note, take, write_layer
from deeppcr_tensors import import_torch

# nn.GRU's weight_ih_l0, nn.GRUCell's weight_ih; _reverse where it is bidirectional, _hr where it has a projection.
NAME = re.compile(r"(?:(?P<module>.*)\.)?(?P<part>(?:weight|bias)_(?:ih|hh|hr))(?:_l(?P<layer>\d{1,9}))?"
                  r"(?P<reverse>_reverse)?")
# By the number of gates: the cell, and the attributes that say what it computes.
KINDS = {1: ("rnn", {}), 3: ("gru", {"gates": "r,z,n", "candidate": "tanh", "reset": "after"}),
         4: ("lstm", {"gates": "i,f,g,o"})}
ACTIVATIONS = ("tanh", "relu")


class Cells:
    """Layers of cells, the lowest first: of each its datasets by name; what their file says; and the head, or None."""

    def __init__(self, layers, attributes, head=None):
        self.layers, self.attributes, self.head = layers, attributes, head
        self.units = layers[0]["weight_hh"].shape[1]

    def summary(self):
        features = self.layers[0]["weight_ih"].shape[1]
        return (f"{len(self.layers)} layers {self.attributes['cell']} of {self.units} units, {features} features"
                + (f", head to {self.head.weight.shape[0]} classes" if self.head else ""))

    def write(self, file):
        file.attrs.update(self.attributes)
        for index, layer in enumerate(self.layers):
            group = file if len(self.layers) == 1 else file.create_group(f"cell/{index}")
            for name, array in layer.items():
                dataset = group.create_dataset(name, data=array)
                dataset.attrs["long_name"] = f"{name} of layer {index}"
                dataset.attrs["dimensions"] = ["out", "in"] if array.ndim == 2 else ["out"]
        if self.head:
            write_layer(file, "head", self.head.weight, self.head.bias)


# ---- what a module says of itself ------------------------------------------------------------------------------------

def activation_of(network):
    """The activation of its RNNs, or None. @raise Refused for what the parameters alone would not show."""
    nn = import_torch().nn
    found = set()
    for name, module in network.named_modules() if isinstance(network, nn.Module) else ():
        if isinstance(module, nn.RNNBase) and module.dropout and module.num_layers > 1 and module.training:
            raise Refused(f"'{name}' is in training with dropout {module.dropout}, which no chain here has; call eval()")
        if isinstance(module, (nn.RNN, nn.RNNCell)):
            found.add(module.nonlinearity)
    if len(found) > 1:
        raise Refused("its RNNs have different activations (nonlinearity); all layers must have the same")
    return next(iter(found), None)


# ---- a state_dict ----------------------------------------------------------------------------------------------------

class Module:
    """The parameters of one nn.RNN, nn.GRU, nn.LSTM or cell: by layer, and then by part."""

    def __init__(self, name):
        self.name, self.layers = name, {}
        self.numbers = tuple(map(int, re.findall("[0-9]{1,18}", name)))
        self.pattern = re.sub("[0-9]{1,18}", "#", name)


def has_cells(arrays):
    return any(NAME.fullmatch(name) for name in arrays)


def find_modules(arrays):
    """The modules of cells by name, and the arrays that belong to none."""
    modules, others = {}, {}
    for name, array in arrays.items():
        found = NAME.fullmatch(name)
        if not found:
            others[name] = array
            continue
        if found["reverse"]:
            raise Refused(f"'{name}': the network is bidirectional; a chain runs one way only")
        if found["part"] == "weight_hr":
            raise Refused(f"'{name}': the LSTM has a projection (proj_size), which no chain here has")
        module = modules.setdefault(found["module"] or "", Module(found["module"] or ""))
        module.layers.setdefault(int(found["layer"] or 0), {})[found["part"]] = array
    return list(modules.values()), others


def stacked(modules):
    """The layers of all modules, the lowest first."""
    patterns = sorted({module.pattern for module in modules})
    if len(patterns) > 1:
        raise Refused(f"it holds several recurrent networks, '{patterns[0]}' and '{patterns[1]}': choose one with --prefix")
    check_complete(modules, None)
    layers = []
    for module in by_number(modules):
        missing = next((i for i in range(len(module.layers)) if i not in module.layers), None)
        if missing is not None:
            raise Refused(f"layer {missing} of '{module.name}' is missing")
        layers += [module.layers[i] for i in range(len(module.layers))]
    return layers


def gates_of(layers):
    """Gates of the cells. @raise Refused where sizes do not fit each other."""
    for index, layer in enumerate(layers):
        if "weight_ih" not in layer or "weight_hh" not in layer:
            raise Refused(f"layer {index} has no {'weight_hh' if 'weight_ih' in layer else 'weight_ih'}")
        rows, units = (*layer["weight_hh"].shape, 0)[:2] if layer["weight_hh"].ndim == 2 else (0, 0)
        if units == 0 or rows % units or rows // units not in KINDS:
            raise Refused(f"weight_hh of layer {index} has shape {list(layer['weight_hh'].shape)}; "
                          "those of RNN, GRU and LSTM are [n, n], [3 n, n] and [4 n, n]")
        below = layers[0]["weight_hh"].shape[1]
        shapes = {"weight_hh": layers[0]["weight_hh"].shape, "bias_ih": (rows,), "bias_hh": (rows,),
                  "weight_ih": (rows, below if index else (*layer["weight_ih"].shape, 0)[1])}
        for part, array in layer.items():
            if array.shape != shapes[part] or not array.size:
                raise Refused(f"{part} of layer {index} has shape {list(array.shape)}, but {list(shapes[part])} fits "
                              "the others")
    return rows // units


HELP = "--head names the layer behind them, --prefix limits what is exported"


def check_behind(head, names, features):
    """Refuses a layer that may be an embedding or a projection of the inputs; names: all of the state_dict, in order."""
    last = max(place for place, name in enumerate(names) if NAME.fullmatch(name))
    if names.index(f"{head.name}.weight" if head.name else "weight") < last:
        raise Refused(f"'{head.name}' stands before the cells, which may take its outputs; {HELP}")
    if head.weight.shape[0] == features:
        raise Refused(f"'{head.name}' has {features} outputs, as many as an input of the cells, so that it may stand before "
                      f"the cells; {HELP}")


def head_of(others, names, lowest, name):
    """The fully connected layer behind the cells, or None; lowest: their first layer."""
    layers = linear_layers(others)
    units, features = lowest["weight_hh"].shape[1], lowest["weight_ih"].shape[1]
    if name:
        head = take(layers, name)
    else:
        head = layers.pop() if len(layers) == 1 else None
        if head:
            check_behind(head, names, features)
    if layers:
        raise Refused(f"'{layers[0].name}' is no recurrent layer: --prefix limits what is exported, --head names the layer "
                      "behind the cells")
    if head and head.weight.shape[1] != units:
        raise Refused(f"the head '{head.name}' starts from {head.weight.shape[1]} values, the cells have {units}")
    return head


def activation_for(kind, chosen, said):
    """The attribute of an RNN: --activation, or what its module says; nothing for other cells."""
    if kind != "rnn":
        if chosen:
            raise Refused(f"--activation is for an RNN, but this is a {kind}")
        return {}
    if chosen and said and chosen != said:
        raise Refused(f"--activation {chosen}: the module itself says {said}")
    if not chosen and not said:
        note("the parameters of an RNN do not say its activation; tanh is taken (--activation tanh|relu)")
    return {"activation": chosen or said or "tanh"}


def cells_of(arrays, head, chosen, said):
    """The Cells of a state_dict as arrays; head: its layer's name or None; chosen and said: activations, or None."""
    modules, others = find_modules(arrays)
    layers = stacked(modules)
    kind, attributes = KINDS[gates_of(layers)]
    return Cells(layers, {"cell": kind, **attributes, **activation_for(kind, chosen, said)},
                 head_of(others, list(arrays), layers[0], head))
