"""Pictures of one sequence over time for deeppcr-plot: signal and prediction, or the gates of recurrent cells."""
import math

import h5py
import matplotlib.pyplot as plt
import numpy as np
from deeppcr_files import Refused, require_file, text
from deeppcr_style import COLOURS
from deeppcr_traces import numbers, open_hdf5

MOST_LINES = 4  # in one panel
# By cell: the gates in PyTorch's order (ours for the others), with the letters that files call them by, and what they are.
GATES = {"rnn": {"hgn": "state"},
         "gru": {"r": "reset", "zu": "update", "nchg": "candidate"},
         "lstm": {"i": "input gate", "f": "forget gate", "gc": "cell input", "o": "output gate"},
         "para-gru": {"zu": "update", "r": "reset", "hnc": "candidate"},
         "para-lstm": {"f": "forget gate", "cg": "cell input", "o": "output gate"}}
BY_SIZE = {1: "rnn", 3: "gru", 4: "lstm"}


def sigmoid(a):
    return 0.5 * (1 + np.tanh(0.5 * a))


ACTIVATIONS = {"identity": lambda a: a, "tanh": np.tanh, "relu": lambda a: np.maximum(a, 0), "sigmoid": sigmoid,
               "silu": lambda a: a * sigmoid(a), "gelu": np.vectorize(lambda a: 0.5 * a * (1 + math.erf(a / math.sqrt(2))))}


# ---- reading ---------------------------------------------------------------------------------------------------------

def array_of(file, name, *dimensions):
    """A dataset of numbers with one of these many axes."""
    dataset = file.get(name)
    axes = len(dataset.shape or ()) if isinstance(dataset, h5py.Dataset) else 0
    return numbers(file, name, axes if axes in dimensions else dimensions[0])


class Signal:
    """One sequence of a file, and which of its steps are drawn."""

    def __init__(self, path, sample, steps):
        require_file(path)
        with open_hdf5(path) as file:
            inputs = array_of(file, "inputs", 3, 2)
            self.single = inputs.ndim == 2
            inputs = inputs[None] if self.single else inputs
            if not 0 <= sample < len(inputs):
                raise Refused(f"--sample {sample}: {path} has sequences 0 to {len(inputs) - 1}")
            self.sample, self.samples = sample, len(inputs)
            self.length = int(numbers(file, "lengths", 1)[sample]) if "lengths" in file else inputs.shape[1]
            self.inputs = inputs[sample, :self.length].astype(float)
            self.targets = self.of_sample(file, "targets", 3)
            self.labels = self.of_sample(file, "labels", 2)
        first, last, _ = slice(*(steps or (None, None))).indices(self.length)
        if first >= last:
            raise Refused(f"--steps: sequence {sample} of {path} has the steps 0 to {self.length - 1}")
        self.shown = slice(first, last)

    def of_sample(self, file, name, axes):
        """What /name has for each step of the sequence, or None."""
        if name not in file:
            return None
        values = array_of(file, name, axes, axes - 1)
        if values.ndim == axes:
            return values[self.sample, :self.length]
        return values[:self.length] if self.single and len(values) >= self.length else None

    @property
    def steps(self):
        return np.arange(self.shown.start, self.shown.stop)


def attribute(file, groups, name, default):
    """The first of these groups that has it."""
    held = [file[group].attrs for group in groups if group in file]
    return next((text(attributes[name]) for attributes in held if name in attributes), default)


class Layer:
    """One layer of cells: its arrays by gate, and what the file says of it."""

    def __init__(self, file, group):
        groups = [group, "/cell", "/"]
        w, u = numbers(file, f"{group}/weight_ih", 2), array_of(file, f"{group}/weight_hh", 2, 1)
        rows = w.shape[0]
        ratio = rows // u.shape[1] if u.ndim == 2 and u.shape[1] else 0
        self.cell = attribute(file, groups, "cell", attribute(file, groups, "model", BY_SIZE.get(ratio)))
        if self.cell not in GATES:
            raise Refused(f"its cell is '{self.cell}'; known: {', '.join(GATES)}")
        names = list(GATES[self.cell])
        order = attribute(file, groups, "gates", ",".join(letters[0] for letters in names)).replace(" ", "").split(",")
        self.n = rows // len(names)
        self.candidate = attribute(file, groups, "candidate", attribute(file, groups, "activation", "tanh"))
        self.before = attribute(file, groups, "reset", "after") == "before"
        if self.candidate not in ACTIVATIONS:
            raise Refused(f"its activation is '{self.candidate}'; known: {', '.join(ACTIVATIONS)}")
        bias = [numbers(file, f"{group}/{name}", 1) if name in file[group] else np.zeros(rows)
                for name in ("bias" if "bias" in file[group] else "bias_ih", "bias_hh")]
        self.peephole = numbers(file, f"{group}/peephole", 1).reshape(2, self.n) if self.cell == "para-lstm" else None
        self.w, self.u, self.b, self.v = ([self.gate(array, letters, order) for letters in names] for array in (w, u, *bias))

    def gate(self, array, letters, order):
        """The rows of one gate."""
        place = next((i for i, letter in enumerate(order) if letter and letter in letters), None)
        if place is None or array.shape[0] != self.n * len(order):
            raise Refused(f"its gates are {','.join(order)}, its arrays have {array.shape[0]} rows: that is no {self.cell}")
        return array[place * self.n:(place + 1) * self.n].astype(float)

    def step(self, x, h, c):
        """h', c' and the values of the gates."""
        a = [w @ x + b for w, b in zip(self.w, self.b)]
        r = [u @ h + v if u.ndim == 2 else u * h for u, v in zip(self.u, self.v)]
        f = ACTIVATIONS[self.candidate]
        if self.cell == "rnn":
            h = f(a[0] + r[0])
            return h, c, [h]
        if self.cell == "gru":
            reset, z = sigmoid(a[0] + r[0]), sigmoid(a[1] + r[1])
            new = f(a[2] + (self.u[2] @ (reset * h) + self.v[2] if self.before else reset * r[2]))
            return (1 - z) * new + z * h, c, [reset, z, new]
        if self.cell == "lstm":
            i, forget, new, o = sigmoid(a[0] + r[0]), sigmoid(a[1] + r[1]), np.tanh(a[2] + r[2]), sigmoid(a[3] + r[3])
            c = forget * c + i * new
            return o * np.tanh(c), c, [i, forget, new, o]
        if self.cell == "para-gru":
            z, reset = sigmoid(a[0] + r[0]), sigmoid(a[1] + r[1])
            new = np.tanh(a[2] + reset * r[2])
            return (1 - z) * h + z * new, c, [z, reset, new]
        forget, new = sigmoid(a[0] + r[0] + self.peephole[0] * c), np.tanh(a[1] + r[1])
        c = forget * c + (1 - forget) * new
        o = sigmoid(a[2] + r[2] + self.peephole[1] * c)
        return o * np.tanh(c), c, [forget, new, o]

    def run(self, inputs):
        """States [T, n], and gates [gate, T, n]; from a state of zero."""
        if inputs.shape[1] != self.w[0].shape[1]:
            raise Refused(f"the signal has {inputs.shape[1]} features, but the cells take {self.w[0].shape[1]}")
        h = c = np.zeros(self.n)
        states, gates = [], []
        for x in inputs:
            h, c, values = self.step(x, h, c)
            states.append(h)
            gates.append(values)
        return np.array(states), np.array(gates).transpose(1, 0, 2)


def read_layers(file):
    groups = [f"/cell/{i}" for i in range(len(file["cell"]))] if "cell" in file else ["/"]
    return [Layer(file, group) for group in groups]


# ---- drawing ---------------------------------------------------------------------------------------------------------

def draw_lines(ax, signal, values, name, **look):
    """Columns of numbers over time, the first few."""
    for i in range(min(values.shape[1], MOST_LINES)):
        label = name if values.shape[1] == 1 else f"{name} {i}"
        ax.plot(signal.steps, values[signal.shown, i], **{"color": COLOURS[i], "linewidth": 1.2, "label": label, **look})


def draw_map(figure, ax, signal, values, title, limits):
    """Units against time."""
    end = signal.steps[-1] + 1
    image = ax.imshow(values[signal.shown].T, aspect="auto", interpolation="nearest", cmap="viridis", vmin=limits[0],
                      vmax=limits[1], extent=(signal.steps[0], end, values.shape[1], 0))
    figure.colorbar(image, ax=ax, pad=0.01)
    ax.set(title=title, ylabel="unit")
    ax.grid(False)


def draw_signal(figure, ax, signal):
    if signal.inputs.shape[1] > MOST_LINES:
        largest = np.abs(signal.inputs[signal.shown]).max(axis=0)
        draw_map(figure, ax, signal, signal.inputs / np.where(largest > 0, largest, 1),
                 "Inputs, each feature by its largest absolute value", (-1, 1))
        ax.set_ylabel("feature")
        return
    draw_lines(ax, signal, signal.inputs, "input")
    ax.set(title="Inputs")
    ax.legend(loc="upper right")


def draw_gates(file, signal, layer):
    """The inputs, each gate of a layer, and its states."""
    layers = read_layers(file)
    layer = len(layers) - 1 if layer is None else layer
    if not 0 <= layer < len(layers):
        raise Refused(f"--layer {layer}: it has the layers 0 to {len(layers) - 1}")
    values = signal.inputs[:signal.shown.stop]
    for below in layers[:layer + 1]:
        values, gates = below.run(values)
    cell = layers[layer].cell
    names = [name for name in GATES[cell].values() if cell != "rnn"]
    panels = 2 + len(names)
    figure, axes = plt.subplots(panels, 1, figsize=(12, 1.2 + 1.9 * panels), sharex=True, constrained_layout=True)
    draw_signal(figure, axes[0], signal)
    free = (-1, 1) if layers[layer].candidate == "tanh" else (None, None)
    for ax, name, gate in zip(axes[1:], names, gates):
        draw_map(figure, ax, signal, gate, name.capitalize(), free if name in ("candidate", "cell input") else (0, 1))
    draw_map(figure, axes[-1], signal, values, "State", (None, None))
    axes[-1].set_xlabel("step")
    figure.suptitle(f"{cell}, layer {layer} of {len(layers)}, {layers[layer].n} units, sequence {signal.sample}",
                    fontsize=13)
    return figure


def predictions_of(file, signal):
    """What was predicted at each step of the sequence: numbers [T, k], or classes [T]."""
    said = array_of(file, "predictions", 3, 2)
    if len(said) != signal.samples:
        raise Refused(f"it has predictions for {len(said)} sequences, but the signal has {signal.samples}; "
                      "--signal is the file that was scored")
    if said.shape[1] < signal.length:
        raise Refused(f"it has predictions for {said.shape[1]} steps, but sequence {signal.sample} has {signal.length}")
    return said[signal.sample, :signal.length]


def draw_predictions(file, signal):
    """Numbers beside their targets, and the difference; or classes beside the labels."""
    said = predictions_of(file, signal)
    classes = said.ndim == 1
    wanted = signal.labels if classes else signal.targets
    if wanted is None or wanted.shape != said.shape:
        raise Refused(f"the signal has no /{'labels' if classes else 'targets'} for each of these predictions")
    figure, axes = plt.subplots(3, 1, figsize=(12, 8), sharex=True, constrained_layout=True)
    draw_signal(figure, axes[0], signal)
    wanted, said = (values.reshape(len(values), -1).astype(float) for values in (wanted, said))
    look = {"drawstyle": "steps-mid" if classes else "default"}
    draw_lines(axes[1], signal, wanted, "label" if classes else "target", **look)
    if said.shape[1] == 1:
        look["color"] = COLOURS[6]
    draw_lines(axes[1], signal, said, "prediction", linestyle="--", **look)
    axes[1].legend(loc="upper right")
    error = said - wanted
    shown = error[signal.shown]
    measure = (f"{100 * np.mean(shown == 0):.1f} % right" if classes
               else f"root of the mean square {np.sqrt(np.mean(shown**2)):.3g}")
    axes[1].set(title="Target and prediction")
    draw_lines(axes[2], signal, error, "prediction - target")
    axes[2].set(title=f"Error, {measure}", xlabel="step")
    figure.suptitle(f"sequence {signal.sample} of {signal.samples}", fontsize=13)
    return figure


def draw_over_time(path, signal_path, sample, steps, layer):
    """The picture of a sequence with what is in the file at `path`: predictions, or weights of cells."""
    require_file(path)
    signal = Signal(signal_path, sample, steps)
    with open_hdf5(path) as file:
        if "predictions" in file:
            if layer is not None:
                raise Refused("--layer is for weights of cells, but these are predictions")
            return draw_predictions(file, signal)
        if "cell" in file or "weight_hh" in file:
            return draw_gates(file, signal, layer)
    raise Refused("it has neither /predictions nor weights of cells (weight_ih, weight_hh), which --signal needs")
