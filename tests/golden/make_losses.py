"""Writes losses.json: losses of labels and their gradients by the outputs, from PyTorch in double precision."""
import json

import torch
from torch.nn import functional

WEIGHTS = [0.5, 2.0, 1.0, 3.25]
SMOOTHING = 0.15
CASES = [(loss, smoothing, weights) for loss in ("cross-entropy", "binary-cross-entropy")
         for smoothing in (0.0, SMOOTHING) for weights in ([], WEIGHTS)]


def value(loss, outputs, labels, smoothing, weights):
    """The mean over samples, whatever their classes weigh."""
    weights = torch.tensor(weights, dtype=torch.float64) if weights else None
    if loss == "cross-entropy":
        return functional.cross_entropy(outputs, labels, weight=weights, label_smoothing=smoothing,
                                        reduction="none").mean()
    classes = outputs.shape[1]
    wanted = (1 - smoothing) * functional.one_hot(labels, classes).double() + smoothing / classes
    return functional.binary_cross_entropy_with_logits(outputs, wanted, pos_weight=weights)


def main():
    torch.manual_seed(20231210)
    outputs = 5 * torch.randn(6, len(WEIGHTS), dtype=torch.float64)
    outputs[0] *= 60  # exponentials beyond the range of numbers
    outputs.requires_grad_()
    labels = torch.randint(len(WEIGHTS), (6,))
    cases = []
    for loss, smoothing, weights in CASES:
        outputs.grad = None
        found = value(loss, outputs, labels, smoothing, weights)
        found.backward()
        cases.append({"name": loss, "smoothing": smoothing, "weights": weights, "loss": found.item(),
                      "gradient": outputs.grad.reshape(-1).tolist()})
    golden = {"made_by": f"PyTorch {torch.__version__}, float64", "classes": len(WEIGHTS),
              "outputs": outputs.detach().reshape(-1).tolist(), "labels": labels.tolist(), "cases": cases}
    with open("losses.json", "w", encoding="ascii") as out:
        json.dump(golden, out, separators=(",", ":"))
        out.write("\n")


if __name__ == "__main__":
    main()
