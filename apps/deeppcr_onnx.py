"""The recurrent cells of an ONNX model: RNN, GRU and LSTM nodes one above another.

Gates in ONNX: GRU z, r, h; LSTM i, o, f, c. Source: https://onnx.ai/onnx/operators
"""
import numpy as np
from deeppcr_cells import Cells
from deeppcr_files import Refused, first_line, require_file
from deeppcr_layers import note

KINDS = {"RNN": ("rnn", 1, {}), "GRU": ("gru", 3, {"gates": "z,r,h"}), "LSTM": ("lstm", 4, {"gates": "i,o,f,g"})}
ACTIVATIONS = {"Tanh": "tanh", "Relu": "relu"}
DEFAULTS = {"RNN": ["Tanh"], "GRU": ["Sigmoid", "Tanh"], "LSTM": ["Sigmoid", "Tanh", "Tanh"]}
# Nodes that hand values on: what runs between two stacked cells.
PASSING = {"Squeeze", "Unsqueeze", "Transpose", "Reshape", "Identity", "Cast", "Dropout"}
# Nodes that make shapes and first states of zeros, or choose among states.
BOOKKEEPING = {"Constant", "ConstantOfShape", "Shape", "Size", "Gather", "Slice", "Concat", "Expand"}


def load_onnx(path):
    """The graph of a model."""
    require_file(path)
    try:
        import onnx
    except ImportError as error:
        raise Refused("ONNX is not installed (Debian: python3-onnx)") from error
    try:
        return onnx.load(str(path), load_external_data=False).graph
    except Exception as error:  # protobuf's own, of any kind
        raise Refused(f"it is no ONNX model: {first_line(error)}") from error


def constants_of(graph):
    """Name -> tensor of all initializers and constant nodes."""
    found = {tensor.name: tensor for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant":
            found.update({node.output[0]: a.t for a in node.attribute if a.name == "value"})
    return found


def name_of(node):
    return f"{node.op_type} node '{node.name or node.output[0]}'"


class Node:
    """A recurrent node with its inputs and attributes by name."""

    INPUTS = ("X", "W", "R", "B", "sequence_lens", "initial_h", "initial_c", "P")

    def __init__(self, node, constants):
        import onnx
        self.node, self.constants = node, constants
        self.inputs = {name: value for name, value in zip(self.INPUTS, node.input) if value}
        self.attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}

    def refuse(self, words):
        raise Refused(f"{name_of(self.node)} {words}")

    def array(self, name):
        """A constant input without its axis of directions, or None where the node has none of that name."""
        from onnx import TensorProto, numpy_helper
        if name not in self.inputs:
            return None
        tensor = self.constants.get(self.inputs[name])
        if tensor is None:
            self.refuse(f"computes its {name} ('{self.inputs[name]}'); export the model with constants folded")
        if tensor.data_location == TensorProto.EXTERNAL:
            self.refuse(f"has its {name} in another file; save the model as one file")
        try:
            array = numpy_helper.to_array(tensor)
        except Exception as error:
            raise Refused(f"'{self.inputs[name]}' cannot be read: {first_line(error)}") from error
        if array.dtype not in (np.float16, np.float32, np.float64) or array.shape[:1] != (1,):
            self.refuse(f"has a {name} of type {array.dtype} and shape {list(array.shape)}; [1, ..] of reals is needed")
        return array[0].astype(np.float32) if array.dtype == np.float16 else array[0]

    def text(self, name, default):
        value = self.attributes.get(name, default)
        return value.decode(errors="replace") if isinstance(value, bytes) else value

    def activations(self):
        words = self.attributes.get("activations") or [w.encode() for w in DEFAULTS[self.node.op_type]]
        return [word.decode(errors="replace") for word in words]


def check_attributes(node):
    """Refuses what no chain here computes."""
    if node.text("direction", "forward") != "forward":
        node.refuse(f"is {node.text('direction', '')}; a chain runs forward only")
    for name in ("clip", "input_forget", "activation_alpha", "activation_beta"):
        if node.attributes.get(name):
            node.refuse(f"has {name} = {node.attributes[name]}, which no chain here has")
    for name, what in (("P", "peepholes"), ("sequence_lens", "lengths of its own")):
        if name in node.inputs:
            node.refuse(f"has {what} (input {name}), which no chain here has")
    for name in ("initial_h", "initial_c"):
        tensor = node.constants.get(node.inputs.get(name))
        if tensor is not None and np.any(node.array(name)):
            note(f"warning: {name_of(node.node)} starts from a state of its own ({name}), which is not exported")


def settings_of(node):
    """The attributes of its file: which cell, its gates and its activation."""
    kind, _, settings = KINDS[node.node.op_type]
    words = node.activations()
    *sigmoids, free = words if kind != "lstm" else words[:2]
    if len(words) != len(DEFAULTS[node.node.op_type]) or any(w != "Sigmoid" for w in sigmoids) or free not in ACTIVATIONS \
            or (kind == "lstm" and words[1:] != ["Tanh", "Tanh"]):
        node.refuse(f"has the activations {', '.join(words)}; gates are Sigmoid, else Tanh, or Relu in RNN and GRU")
    settings = {"cell": kind, **settings}
    if kind == "gru":
        after = node.attributes.get("linear_before_reset", 0)
        settings.update(candidate=ACTIVATIONS[free], reset="after" if after else "before")
    if kind == "rnn":
        settings["activation"] = ACTIVATIONS[free]
    return settings


def datasets_of(node):
    """weight_ih [G n, d], weight_hh [G n, n], bias_ih and bias_hh [G n]."""
    gates = KINDS[node.node.op_type][1]
    wanted = {"weight_ih": node.array("W"), "weight_hh": node.array("R"), "bias": node.array("B")}
    rows, units = (*wanted["weight_hh"].shape, 0, 0)[:2] if wanted["weight_hh"] is not None else (0, 0)
    fits = wanted["weight_ih"] is not None and wanted["weight_ih"].ndim == 2 and wanted["weight_ih"].shape[0] == rows > 0
    both = wanted.pop("bias")
    if not fits or rows != gates * units or (both is not None and both.shape != (2 * rows,)):
        node.refuse("has weights whose shapes do not fit each other")
    return wanted if both is None else {**wanted, "bias_ih": both[:rows], "bias_hh": both[rows:]}


def source_of(name, producers):
    """The output that a value comes from, past nodes that hand it on."""
    for _ in range(len(producers)):
        node = producers.get(name)
        if node is None or node.op_type not in PASSING or not node.input:
            break
        name = node.input[0]
    return name


def check_front(node, producers):
    """Refuses what changes the inputs of the lowest cells."""
    before = producers.get(source_of(node.inputs.get("X", ""), producers))
    if before is not None:
        raise Refused(f"{name_of(before)} computes the inputs of {name_of(node.node)}, and is not exported; cut the model there "
                      "(onnx.utils.extract_model), so that samples are what the cells take")


def cells_of_onnx(path):
    """The Cells of a model's recurrent nodes."""
    graph = load_onnx(path)
    constants = constants_of(graph)
    nodes = [Node(node, constants) for node in graph.node if node.op_type in KINDS]
    if not nodes:
        raise Refused(f"it has no RNN, GRU or LSTM node at the top of its graph ({len(graph.node)} other nodes)")
    producers = {output: node for node in graph.node for output in node.output}
    check_front(nodes[0], producers)
    layers, said = [], []
    for below, node in zip([None, *nodes], nodes):
        if below is not None and source_of(node.inputs.get("X", ""), producers) != below.node.output[0]:
            raise Refused(f"{name_of(below.node)} and {name_of(node.node)} do not stand one above the other")
        check_attributes(node)
        said.append(settings_of(node))
        layers.append(datasets_of(node))
    units = layers[0]["weight_hh"].shape[1]
    sizes = {(layer["weight_hh"].shape[1], layer["weight_ih"].shape[1]) for layer in layers[1:]}
    if any(settings != said[0] for settings in said) or sizes - {(units, units)}:
        raise Refused("its recurrent nodes differ in kind or units; all layers must be alike")
    left = {node.op_type for node in graph.node} - {*KINDS, *PASSING, *BOOKKEEPING}
    if left:
        note(f"only the recurrent nodes are exported, not {', '.join(sorted(left))}")
    return Cells(layers, said[0])
