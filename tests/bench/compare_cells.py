#!/usr/bin/python3
"""GRU and LSTM over time: PyTorch's modules against deeppcr's sequential passes, same core, one thread, float64.

compare_cells.py path/to/deeppcr-bench [--cell gru,lstm] [--steps 2048] [--width 64,256] [--batch 1,32] [--repeats 5]

As many inputs as units. Forward: both keep what the backward pass needs. Backward: the gradients of all weights for the
sum of the last state. PyTorch gets huge pages. deeppcr's times are rows of deeppcr-bench's suite `cells`. The two take turns
for each size, so that a machine that slows down does so for both.
"""
import argparse
import csv
import importlib.util
import itertools
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from compare_pytorch import SKIPPED, restart_with_huge_pages

PASSES = ("forward", "backward")


def time_pytorch(model, steps, width, batch, repeats):
    """Median seconds of the forward and of the backward pass, after a warm-up."""
    import torch
    torch.set_num_threads(1)
    torch.manual_seed(1)
    cells = {"gru": torch.nn.GRU, "lstm": torch.nn.LSTM}[model](width, width).double()
    x = torch.randn(steps, batch, width, dtype=torch.float64)
    forward, backward = [], []
    for _ in range(repeats + 1):
        cells.zero_grad(set_to_none=False)
        begin = time.perf_counter()
        out, _ = cells(x)
        middle = time.perf_counter()
        out[-1].sum().backward()
        forward.append(middle - begin)
        backward.append(time.perf_counter() - middle)
    return statistics.median(forward[1:]), statistics.median(backward[1:])


def time_deeppcr(binary, steps, width, batch, repeats):
    """{model: (forward, backward)} from deeppcr-bench, one process."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "rows.csv")
        subprocess.run([binary, "--suite", "cells", "--steps", str(steps), "--width", str(width),
                        "--batch", str(batch), "--repeats", str(repeats), "--csv", path],
                       check=True, stdout=subprocess.DEVNULL)
        with open(path, newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(line for line in file if not line.startswith("#")))
    seconds = {row["case"]: float(row["seconds_median"]) for row in rows}
    return {model: (seconds[f"{model}, forward with derivative"],
                    seconds[f"{model}, backward with parameter gradients"])
            for model in ("gru", "lstm")}


def print_table(options):
    print(f"float64, {options.steps} steps, one thread; medians of {options.repeats}, milliseconds; "
          f"load average {os.getloadavg()[0]:.2f}")
    print(f"{'cell':>5} {'width':>6} {'batch':>6}" + "".join(
        f" | {name}: {'PyTorch':>9} {'deeppcr':>9} {'ratio':>6}" for name in PASSES))
    for width, batch in itertools.product(map(int, options.width.split(",")),
                                          map(int, options.batch.split(","))):
        ours = time_deeppcr(options.binary, options.steps, width, batch, options.repeats)
        for model in options.cell.split(","):
            theirs = time_pytorch(model, options.steps, width, batch, options.repeats)
            print(f"{model:>5} {width:6} {batch:6}" + "".join(
                f" | {name}: {1e3 * a:9.2f} {1e3 * b:9.2f} {a / b:6.2f}"
                for name, a, b in zip(PASSES, theirs, ours[model])), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("binary", help="the program deeppcr-bench")
    parser.add_argument("--cell", default="gru,lstm")
    parser.add_argument("--steps", type=int, default=2048)
    parser.add_argument("--width", default="64,256")
    parser.add_argument("--batch", default="1,32")
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    if importlib.util.find_spec("torch") is None:
        print("skipped: this Python has no torch (Debian: python3-torch)")
        sys.exit(SKIPPED)
    restart_with_huge_pages()
    print_table(options)


if __name__ == "__main__":
    main()
