#!/usr/bin/python3
"""Writes models.json: states, losses and gradients of small networks, computed by PyTorch in float64.

An independent implementation to compare deeppcr's models with: embedding, chain, linear head, softmax cross-entropy.
Weights are in PyTorch's order, row-major [out, in]. Run it in this folder; PyTorch 1.13 made the file in the repository.
"""
import json
import math

import torch

STEPS, WIDTH, BATCH, FEATURES, CLASSES = 6, 5, 3, 7, 4
CASES = [
    {"name": "mlp tanh", "model": "mlp", "activation": "tanh"},
    {"name": "mlp relu", "model": "mlp", "activation": "relu"},
    {"name": "mlp gelu", "model": "mlp", "activation": "gelu"},
    {"name": "mlp silu without bias", "model": "mlp", "activation": "silu", "bias": False},
    {"name": "resnet relu", "model": "resnet", "activation": "relu", "scale": "1/sqrt(L)"},
    {"name": "resnet tanh without bias", "model": "resnet", "activation": "tanh", "scale": "1/L",
     "bias": False},
    {"name": "resnet gelu", "model": "resnet", "activation": "gelu", "scale": "none"},
]
SIGMA = {"tanh": torch.tanh, "relu": torch.relu, "gelu": torch.nn.functional.gelu,
         "silu": torch.nn.functional.silu}
FACTOR = {"none": 1.0, "1/sqrt(L)": 1 / math.sqrt(STEPS), "1/L": 1 / STEPS}


def linear(inputs, outputs, bias=True):
    return torch.nn.Linear(inputs, outputs, bias=bias, dtype=torch.float64)


def step(case, layers, z):
    """z -> sigma(W z + b), or z + h g(z)."""
    y = z
    for layer in layers:
        y = SIGMA[case["activation"]](layer(y))
    return z + FACTOR[case["scale"]] * y if case["model"] == "resnet" else y


def parameters(layer):
    """Weight and bias of a layer, and their gradients."""
    kinds = [("W", layer.weight)] + ([("b", layer.bias)] if layer.bias is not None else [])
    return {name: p.detach().reshape(-1).tolist() for name, p in kinds} | {
        "d" + name: p.grad.reshape(-1).tolist() for name, p in kinds}


def run(case):
    """One network forward and backward: a dictionary of plain lists."""
    case = {"bias": True, "scale": "none", "layers": 2 if case["model"] == "resnet" else 1} | case
    embedding, head = linear(FEATURES, WIDTH), linear(WIDTH, CLASSES)
    chain = [[linear(WIDTH, WIDTH, case["bias"]) for _ in range(case["layers"])]
             for _ in range(STEPS)]
    x = torch.randn(BATCH, FEATURES, dtype=torch.float64, requires_grad=True)
    labels = torch.randint(CLASSES, (BATCH,))
    states = [embedding(x)]
    for layers in chain:
        states.append(step(case, layers, states[-1]))
    logits = head(states[-1])
    loss = torch.nn.functional.cross_entropy(logits, labels)
    for z in states:
        z.retain_grad()
    loss.backward()
    return case | {
        "x": x.detach().reshape(-1).tolist(), "dx": x.grad.reshape(-1).tolist(),
        "labels": labels.tolist(), "loss": loss.item(),
        "correct": int((logits.argmax(dim=1) == labels).sum()),
        "states": [z.detach().reshape(-1).tolist() for z in states],
        "state_gradients": [z.grad.reshape(-1).tolist() for z in states],
        "embedding": parameters(embedding), "head": parameters(head),
        "chain": [[parameters(layer) for layer in layers] for layers in chain],
    }


def main():
    torch.manual_seed(20231210)
    golden = {"made_by": f"PyTorch {torch.__version__}, float64", "steps": STEPS, "width": WIDTH,
              "batch": BATCH, "features": FEATURES, "classes": CLASSES,
              "cases": [run(case) for case in CASES]}
    with open("models.json", "w", encoding="ascii") as out:
        json.dump(golden, out, separators=(",", ":"))
        out.write("\n")


if __name__ == "__main__":
    main()
