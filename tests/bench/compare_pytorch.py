#!/usr/bin/python3
"""Sequential forward and backward pass of an mlp: PyTorch's loop against deeppcr's, same core, one thread, float64.

compare_pytorch.py path/to/deeppcr-bench [--steps 1024] [--width 16,64,256] [--batch 1,32] [--repeats 5]

Both do the forward pass, and the backward pass with the gradients of all parameters. PyTorch gets huge pages, which
make its backward pass several times faster. deeppcr's times are rows of deeppcr-bench's suite `sequential`: "forward" and
"backward with parameter gradients", the latter with the forward pass that it does again for its linearisation.
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

HUGE_PAGES = "glibc.malloc.hugetlb=1"
SKIPPED = 77


def time_pytorch(steps, width, batch, repeats):
    """Median seconds of the forward and of the backward pass, after a warm-up."""
    import torch
    torch.set_num_threads(1)
    torch.manual_seed(1)
    layers = [torch.nn.Linear(width, width, dtype=torch.float64) for _ in range(steps)]
    start = torch.ones(batch, width, dtype=torch.float64)
    forward, backward = [], []
    for _ in range(repeats + 1):
        for layer in layers:
            layer.zero_grad(set_to_none=False)
        begin = time.perf_counter()
        z = start
        for layer in layers:
            z = torch.relu(layer(z))
        middle = time.perf_counter()
        z.sum().backward()
        forward.append(middle - begin)
        backward.append(time.perf_counter() - middle)
    return statistics.median(forward[1:]), statistics.median(backward[1:])


def time_deeppcr(binary, options):
    """{(width, batch): (forward, backward)} from deeppcr-bench, one process, no start-up."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "rows.csv")
        subprocess.run([binary, "--suite", "sequential", "--steps", str(options.steps),
                        "--width", options.width, "--batch", options.batch,
                        "--repeats", str(options.repeats), "--csv", path], check=True,
                       stdout=subprocess.DEVNULL)
        with open(path, newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(line for line in file if not line.startswith("#")))
    seconds = {(row["case"], int(row["width"]), int(row["batch"])): float(row["seconds_median"])
               for row in rows}
    return {(width, batch): (seconds["mlp relu, forward", width, batch],
                             seconds["mlp relu, backward with parameter gradients", width, batch])
            for _, width, batch in seconds}


def restart_with_huge_pages():
    """glibc reads its tunables when a process starts."""
    if HUGE_PAGES not in os.environ.get("GLIBC_TUNABLES", ""):
        os.environ.update(GLIBC_TUNABLES=HUGE_PAGES, OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")
        os.execv(sys.executable, [sys.executable, *sys.argv])


def print_table(options, ours):
    print(f"mlp, relu, float64, {options.steps} layers, one thread; medians of {options.repeats}, "
          f"milliseconds; load average {os.getloadavg()[0]:.2f}")
    print(f"{'width':>6} {'batch':>6} | {'forward: PyTorch':>17} {'deeppcr':>9} {'ratio':>6} |"
          f" {'backward: PyTorch':>18} {'deeppcr':>9} {'ratio':>6}")
    for width, batch in itertools.product(map(int, options.width.split(",")),
                                          map(int, options.batch.split(","))):
        theirs = time_pytorch(options.steps, width, batch, options.repeats)
        mine = ours[width, batch]
        print(f"{width:6} {batch:6} | {1e3 * theirs[0]:17.3f} {1e3 * mine[0]:9.3f} "
              f"{theirs[0] / mine[0]:6.1f} | {1e3 * theirs[1]:18.3f} {1e3 * mine[1]:9.3f} "
              f"{theirs[1] / mine[1]:6.1f}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("binary", help="the program deeppcr-bench")
    parser.add_argument("--steps", type=int, default=1024)
    parser.add_argument("--width", default="16,64,256")
    parser.add_argument("--batch", default="1,32")
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    if importlib.util.find_spec("torch") is None:
        print("skipped: this Python has no torch (Debian: python3-torch)")
        sys.exit(SKIPPED)
    restart_with_huge_pages()
    print_table(options, time_deeppcr(options.binary, options))


if __name__ == "__main__":
    main()
