#!/usr/bin/python3
"""Writes optimisers.json: parameters after some updates with given gradients, by PyTorch's optimisers in float64.

Run it in this folder; PyTorch 1.13 made the file in the repository.
"""
import json

import torch

SIZE, UPDATES = 7, 6
CASES = [
    {"name": "sgd", "rule": "sgd", "momentum": 0.0},
    {"name": "momentum", "rule": "sgd", "momentum": 0.9, "weight_decay": 0.1},
    {"name": "nesterov", "rule": "sgd", "momentum": 0.8, "nesterov": True},
    {"name": "adam", "rule": "adam", "weight_decay": 0.1},
    {"name": "adamw", "rule": "adamw", "weight_decay": 0.1},
    {"name": "clipped adamw", "rule": "adamw", "weight_decay": 0.01, "clip_norm": 2.0},
]


def optimiser(case, parameter):
    rate, decay = 0.03, case.get("weight_decay", 0.0)
    if case["rule"] == "sgd":
        return torch.optim.SGD([parameter], lr=rate, momentum=case["momentum"], weight_decay=decay,
                               nesterov=case.get("nesterov", False))
    kind = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[case["rule"]]
    return kind([parameter], lr=rate, weight_decay=decay)


def run(case, start, gradients):
    parameter = torch.nn.Parameter(start.clone())
    rule = optimiser(case, parameter)
    path = []
    for gradient in gradients:
        parameter.grad = gradient.clone()
        if "clip_norm" in case:  # PyTorch's clip_grad_norm_ adds 1e-6 to the norm
            parameter.grad *= min(1.0, case["clip_norm"] / gradient.norm().item())
        rule.step()
        path.append(parameter.detach().tolist())
    return case | {"path": path}


def main():
    torch.manual_seed(20231210)
    start = torch.randn(SIZE, dtype=torch.float64)
    gradients = torch.randn(UPDATES, SIZE, dtype=torch.float64)
    golden = {"made_by": f"PyTorch {torch.__version__}, float64", "learning_rate": 0.03,
              "start": start.tolist(), "gradients": gradients.tolist(),
              "cases": [run(case, start, gradients) for case in CASES]}
    with open("optimisers.json", "w", encoding="ascii") as out:
        json.dump(golden, out, separators=(",", ":"))
        out.write("\n")


if __name__ == "__main__":
    main()
