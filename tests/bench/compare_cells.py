#!/usr/bin/python3
"""GRU and LSTM over time: PyTorch's modules against deeppcr's sequential passes, same core, one thread, float64.

compare_cells.py path/to/deeppcr-bench [--cell gru,lstm] [--steps 2048] [--width 64,256] [--batch 1,32] [--repeats 5]

As many inputs as units. Forward: both keep what the backward pass needs. Backward: the gradients of all weights for the
sum of the last state. PyTorch gets huge pages. deeppcr's times are rows of deeppcr-bench's suite `cells`. The two take turns
for each size, so that a machine that slows down does so for both.
"""
import os
import statistics
import time

from comparison import bench_seconds, options_of, parser_of, sizes_of

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


def time_deeppcr(options, width, batch):
    """{model: (forward, backward)} from deeppcr-bench."""
    seconds = bench_seconds(options, "cells", width, batch)
    return {model: (seconds[f"{model}, forward with derivative", width, batch],
                    seconds[f"{model}, backward with parameter gradients", width, batch])
            for model in ("gru", "lstm")}


def print_table(options):
    print(f"float64, {options.steps} steps, one thread; medians of {options.repeats}, milliseconds; "
          f"load average {os.getloadavg()[0]:.2f}")
    print(f"{'cell':>5} {'width':>6} {'batch':>6}" + "".join(
        f" | {name}: {'PyTorch':>9} {'deeppcr':>9} {'ratio':>6}" for name in PASSES))
    for width, batch in sizes_of(options):
        ours = time_deeppcr(options, width, batch)
        for model in options.cell.split(","):
            theirs = time_pytorch(model, options.steps, width, batch, options.repeats)
            print(f"{model:>5} {width:6} {batch:6}" + "".join(
                f" | {name}: {1e3 * a:9.2f} {1e3 * b:9.2f} {a / b:6.2f}"
                for name, a, b in zip(PASSES, theirs, ours[model])), flush=True)


def main():
    parser = parser_of(__doc__, 2048, "64,256", "1,32")
    parser.add_argument("--cell", default="gru,lstm")
    print_table(options_of(parser))


if __name__ == "__main__":
    main()
