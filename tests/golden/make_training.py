#!/usr/bin/python3
"""Writes training.json: gradients of a whole network on a batch of small images, and its loss over some updates, computed by
PyTorch in float64.

Weights are in PyTorch's order, row-major [out, in]. Run it in this folder; PyTorch 1.13 made the file in the repository.
"""
import json
import math

import torch

STEPS, WIDTH, LAYERS, BATCH, HEIGHT, COLUMNS, CLASSES = 9, 5, 2, 6, 2, 4, 10
MEAN, DEVIATION = 0.3, 0.4
UPDATES, RATE, DECAY, CLIP = 6, 0.02, 0.05, 1.5
CASES = [{"name": "relu", "layer_norm": False}, {"name": "tanh", "layer_norm": False},
         {"name": "tanh", "layer_norm": True}]
SIGMA = {"tanh": torch.tanh, "relu": torch.relu}


class Network(torch.nn.Module):
    def __init__(self, case):
        super().__init__()
        self.case = case
        self.embedding = torch.nn.Linear(HEIGHT * COLUMNS, WIDTH)
        self.layers = torch.nn.ModuleList(
            torch.nn.Linear(WIDTH, WIDTH) for _ in range(STEPS * LAYERS))
        self.head = torch.nn.Linear(WIDTH, CLASSES)

    def forward(self, x):
        z = self.embedding(x)
        for step in range(STEPS):
            y = torch.nn.functional.layer_norm(z, [WIDTH]) if self.case["layer_norm"] else z
            for layer in self.layers[step * LAYERS:(step + 1) * LAYERS]:
                y = SIGMA[self.case["name"]](layer(y))
            z = z + y / math.sqrt(STEPS)
        return self.head(z)


def flat(module, what):
    """Weight and bias of a linear layer, or their gradients."""
    return {kind: what(p).detach().reshape(-1).tolist()
            for kind, p in (("W", module.weight), ("b", module.bias))}


def parts(network, what):
    return {"embedding": flat(network.embedding, what), "head": flat(network.head, what),
            "layers": [flat(layer, what) for layer in network.layers]}


def run(case, pixels, labels):
    network = Network(case).double()
    x = (pixels / 255 - MEAN) / DEVIATION
    result = dict(case, start=parts(network, lambda p: p), losses=[], norms=[])
    rule = torch.optim.AdamW(network.parameters(), lr=RATE, weight_decay=DECAY)
    for update in range(UPDATES):
        rule.zero_grad()
        loss = torch.nn.functional.cross_entropy(network(x), labels)
        loss.backward()
        result["losses"].append(loss.item())
        if update == 0:
            result["gradient"] = parts(network, lambda p: p.grad)
        norm = math.sqrt(sum((p.grad ** 2).sum().item() for p in network.parameters()))
        result["norms"].append(norm)
        for p in network.parameters():  # PyTorch's clip_grad_norm_ adds 1e-6 to the norm
            p.grad *= min(1.0, CLIP / norm)
        rule.step()
    result["end"] = parts(network, lambda p: p)
    return result


def main():
    torch.manual_seed(20231210)
    pixels = torch.randint(256, (BATCH, HEIGHT * COLUMNS))
    labels = torch.randint(CLASSES, (BATCH,))
    golden = {"made_by": f"PyTorch {torch.__version__}, float64", "steps": STEPS, "width": WIDTH,
              "block_layers": LAYERS, "height": HEIGHT, "columns": COLUMNS, "mean": MEAN,
              "deviation": DEVIATION, "learning_rate": RATE, "weight_decay": DECAY,
              "clip_norm": CLIP, "pixels": pixels.reshape(-1).tolist(), "labels": labels.tolist(),
              "cases": [run(case, pixels.double(), labels) for case in CASES]}
    with open("training.json", "w", encoding="ascii") as out:
        json.dump(golden, out, separators=(",", ":"))
        out.write("\n")


if __name__ == "__main__":
    main()
