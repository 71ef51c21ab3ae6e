#!/usr/bin/python3
"""Sequential forward and backward pass of an mlp: PyTorch's loop against deeppcr's, same core, one thread, float64.

compare_pytorch.py path/to/deeppcr-bench [--steps 1024] [--width 16,64,256] [--batch 1,32] [--repeats 5]

Both do the forward pass, and the backward pass with the gradients of all parameters. PyTorch gets huge pages, which
make its backward pass several times faster. deeppcr's times are rows of deeppcr-bench's suite `sequential`: "forward" and
"backward with parameter gradients", the latter with the forward pass that it does again for its linearisation.
"""
import os
import statistics
import time

from comparison import bench_seconds, options_of, parser_of, sizes_of


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


def print_table(options):
    ours = bench_seconds(options, "sequential", options.width, options.batch)
    print(f"mlp, relu, float64, {options.steps} layers, one thread; medians of {options.repeats}, "
          f"milliseconds; load average {os.getloadavg()[0]:.2f}")
    print(f"{'width':>6} {'batch':>6} | {'forward: PyTorch':>17} {'deeppcr':>9} {'ratio':>6} |"
          f" {'backward: PyTorch':>18} {'deeppcr':>9} {'ratio':>6}")
    for width, batch in sizes_of(options):
        theirs = time_pytorch(options.steps, width, batch, options.repeats)
        mine = [ours[f"mlp relu, {name}", width, batch]
                for name in ("forward", "backward with parameter gradients")]
        print(f"{width:6} {batch:6} | {1e3 * theirs[0]:17.3f} {1e3 * mine[0]:9.3f} "
              f"{theirs[0] / mine[0]:6.1f} | {1e3 * theirs[1]:18.3f} {1e3 * mine[1]:9.3f} "
              f"{theirs[1] / mine[1]:6.1f}", flush=True)


def main():
    print_table(options_of(parser_of(__doc__, 1024, "16,64,256", "1,32")))


if __name__ == "__main__":
    main()
