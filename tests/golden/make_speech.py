#!/usr/bin/python3
"""Cuts speech/gru.h5 from a file of a trained GRU and its inputs, and writes speech/states.json: its states by PyTorch, float64.

make_speech.py FILE.h5: one layer at the root in gates z, r, c with the reset in front of the recurrent product and a relu
candidate. Keeps the weights and the first FRAMES inputs, as they are. PyTorch 1.13 made the file in the repository.
"""
import json
import sys
from pathlib import Path

import h5py
import torch

FRAMES, EVERY = 200, 20
FOLDER = Path(__file__).parent / "speech"


def states(file):
    """h' = z h + (1 - z) c, z and r sigmoids, c = relu(W x + R (r h) + b)."""
    def read(name):
        return torch.from_numpy(file[name][()]).double()

    weight_ih, weight_hh, bias = read("weight_ih"), read("weight_hh"), read("bias")
    W, R, b = weight_ih.chunk(3), weight_hh.chunk(3), bias.chunk(3)
    h, path = torch.zeros(R[0].shape[1], dtype=torch.float64), []
    for x in read("inputs"):
        z, r = (torch.sigmoid(W[k] @ x + R[k] @ h + b[k]) for k in (0, 1))
        h = z * h + (1 - z) * torch.relu(W[2] @ x + R[2] @ (r * h) + b[2])
        path.append(h)
    return path


def main():
    FOLDER.mkdir(exist_ok=True)
    with h5py.File(sys.argv[1]) as source, h5py.File(FOLDER / "gru.h5", "w") as cut:
        for name in ("weight_ih", "weight_hh", "bias"):
            cut[name] = source[name][()]
        cut["inputs"] = source["inputs"][:FRAMES]
        for name, value in source.attrs.items():
            cut.attrs[name] = value
    with h5py.File(FOLDER / "gru.h5") as cut, \
            open(FOLDER / "states.json", "w", encoding="ascii") as out:
        json.dump({"made_by": f"PyTorch {torch.__version__}, float64", "every": EVERY,
                   "states": [h.tolist() for h in states(cut)[EVERY - 1::EVERY]]}, out,
                  separators=(",", ":"))
        out.write("\n")


if __name__ == "__main__":
    main()
