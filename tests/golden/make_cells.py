#!/usr/bin/python3
"""Writes cells.json: states and gradients of recurrent cells over time, computed by PyTorch in float64.

nn.RNN, nn.GRU and nn.LSTM are PyTorch's own; a GRU with the reset in front of the recurrent product or with another candidate,
and ParaRNN's diagonal cells, are written by hand here and differentiated by autograd. Weights are in PyTorch's order, row-major
[out, in]. The loss is sum of weights * h over all steps, samples and units of the last layer. Run it in this folder; PyTorch
1.13 made the file in the repository.
"""
import itertools
import json

import torch

STEPS, FEATURES, UNITS = 7, 3, 5
CASES = [
    {"name": "rnn tanh", "model": "rnn", "options": {"activation": "tanh"}},
    {"name": "rnn relu", "model": "rnn", "options": {"activation": "relu"}},
    {"name": "gru", "model": "gru", "options": {}},
    {"name": "lstm", "model": "lstm", "options": {}},
    {"name": "gru, reset before, relu", "model": "gru",
     "options": {"reset": "before", "candidate": "relu"}},
    {"name": "gru, candidate sigmoid", "model": "gru", "options": {"candidate": "sigmoid"}},
    {"name": "para-gru", "model": "para-gru", "options": {}},
    {"name": "para-lstm", "model": "para-lstm", "options": {}},
]
SIGMA = {"tanh": torch.tanh, "relu": torch.relu, "sigmoid": torch.sigmoid}
GATES = {"rnn": 1, "gru": 3, "lstm": 4, "para-gru": 3, "para-lstm": 3}


def gru_step(case, w, x, state):
    """w: weight_ih, weight_hh, bias_ih, bias_hh; gates r, z, n."""
    h = state[0]
    sigma = SIGMA[case["options"].get("candidate", "tanh")]
    u = (x @ w["weight_ih"].T + w["bias_ih"]).chunk(3, dim=1)
    weights, biases = w["weight_hh"].chunk(3), w["bias_hh"].chunk(3)
    r, z = (torch.sigmoid(u[k] + h @ weights[k].T + biases[k]) for k in (0, 1))
    if case["options"].get("reset", "after") == "before":
        n = sigma(u[2] + (r * h) @ weights[2].T + biases[2])
    else:
        n = sigma(u[2] + r * (h @ weights[2].T + biases[2]))
    return [(1 - z) * n + z * h]


def para_gru_step(_, w, x, state):
    """ParaRNN's ParaGRU, arXiv 2510.21450: diagonal a; gates z, r, n."""
    h = state[0]
    u = (x @ w["weight_ih"].T + w["bias"]).chunk(3, dim=1)
    a = w["a"].chunk(3)
    z, r = (torch.sigmoid(u[k] + a[k] * h) for k in (0, 1))
    n = torch.tanh(u[2] + a[2] * h * r)
    return [(1 - z) * h + z * n]


def para_lstm_step(_, w, x, state):
    """ParaRNN's ParaLSTM: coupled gates and peepholes; gates f, g, o."""
    h, c = state
    u = (x @ w["weight_ih"].T + w["bias"]).chunk(3, dim=1)
    a, p = w["a"].chunk(3), w["peepholes"].chunk(2)
    f = torch.sigmoid(u[0] + a[0] * h + p[0] * c)
    g = torch.tanh(u[1] + a[1] * h)
    c = f * c + (1 - f) * g
    o = torch.sigmoid(u[2] + a[2] * h + p[1] * c)
    return [o * torch.tanh(c), c]


STEP = {"gru": gru_step, "para-gru": para_gru_step, "para-lstm": para_lstm_step}


def random(*shape):
    return torch.randn(*shape, dtype=torch.float64, requires_grad=True)


def weights_of(case, features):
    rows = GATES[case["model"]] * UNITS
    with torch.no_grad():
        scale = UNITS ** -0.5
        made = {"weight_ih": random(rows, features) * scale}
        if case["model"].startswith("para"):
            made["a"] = random(rows) * scale
            if case["model"] == "para-lstm":
                made["peepholes"] = random(2 * UNITS) * scale
            made["bias"] = random(rows) * scale
        else:
            made["weight_hh"] = random(rows, UNITS) * scale
            made |= {"bias_ih": random(rows) * scale, "bias_hh": random(rows) * scale}
    return {name: w.requires_grad_() for name, w in made.items()}


def by_hand(case, layers, x, first):
    """Outputs of the last layer and the states of all, [layer][step]."""
    all_states = []
    for w, state in zip(layers, first):
        states = []
        for x_t in x:
            state = STEP[case["model"]](case, w, x_t, state)
            states.append(state)
        x = [state[0] for state in states]
        all_states.append(states)
    return x, all_states


def module_of(case, layers, features):
    """PyTorch's module whose parameters are the layers' own tensors."""
    kind = {"rnn": torch.nn.RNN, "gru": torch.nn.GRU, "lstm": torch.nn.LSTM}[case["model"]]
    more = {"nonlinearity": case["options"]["activation"]} if case["model"] == "rnn" else {}
    module = kind(features, UNITS, num_layers=len(layers), **more).double()
    for k, w in enumerate(layers):
        for name, value in w.items():
            setattr(module, f"{name}_l{k}", torch.nn.Parameter(value.detach()))
            w[name] = getattr(module, f"{name}_l{k}")
    return module


def by_pytorch(case, layers, x, first):
    """The same by PyTorch's modules, layer by layer and step by step: they return the last c only."""
    all_states = []
    for w, state in zip(layers, first):
        module = module_of(case, [w], w["weight_ih"].shape[1])
        states = []
        for x_t in x:
            given = tuple(s[None] for s in state)
            _, after = module(x_t[None], given if case["model"] == "lstm" else given[0])
            state = [s[0] for s in (after if case["model"] == "lstm" else (after,))]
            states.append(state)
        x = [state[0] for state in states]
        all_states.append(states)
    return x, all_states


def check_whole_module(case, layers, x, first, outputs):
    """PyTorch's stacked module in one call gives the same outputs."""
    with torch.no_grad():
        given = tuple(torch.stack([state[part] for state in first]) for part in range(len(first[0])))
        module = module_of(case, [dict(w) for w in layers], FEATURES)
        found, _ = module(torch.stack(x), given if case["model"] == "lstm" else given[0])
    assert torch.allclose(found, torch.stack(outputs), rtol=0, atol=1e-14)


def flat(tensor):
    return tensor.detach().reshape(-1).tolist()


def run(case, num_layers, batch):
    parts = 2 if "lstm" in case["model"] else 1
    layers = [weights_of(case, FEATURES if k == 0 else UNITS) for k in range(num_layers)]
    first = [[random(batch, UNITS) for _ in range(parts)] for _ in range(num_layers)]
    x = [torch.randn(batch, FEATURES, dtype=torch.float64) for _ in range(STEPS)]
    direct = case["model"] in ("rnn", "lstm") or case["name"] == "gru"
    outputs, states = (by_pytorch if direct else by_hand)(case, layers, x, first)
    if direct:
        check_whole_module(case, layers, x, first, outputs)
    weights = torch.randn(STEPS, batch, UNITS, dtype=torch.float64)
    (weights * torch.stack(outputs)).sum().backward()

    def row(of_layer):  # [B, S]: layer after layer, h then c
        return torch.cat([part for layer in of_layer for part in layer], dim=1)

    return case | {
        "layers": num_layers, "batch": batch, "x": [flat(x_t) for x_t in x],
        "weights": [flat(w) for w in weights],
        "states": [flat(row(first))] + [flat(row([layer[t] for layer in states]))
                                        for t in range(STEPS)],
        "d_first": flat(row([[part.grad for part in layer] for layer in first])),
        "cells": [{name: flat(w) for name, w in layer.items()} for layer in layers],
        "d_cells": [{name: flat(w.grad) for name, w in layer.items()} for layer in layers],
    }


def main():
    torch.manual_seed(20251129)
    golden = {"made_by": f"PyTorch {torch.__version__}, float64", "steps": STEPS,
              "features": FEATURES, "units": UNITS,
              "cases": [run(case, layers, batch)
                        for case, layers, batch in itertools.product(CASES, (1, 2), (1, 3))]}
    with open("cells.json", "w", encoding="ascii") as out:
        json.dump(golden, out, separators=(",", ":"))
        out.write("\n")


if __name__ == "__main__":
    main()
