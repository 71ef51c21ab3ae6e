"""What the comparisons with PyTorch share: options, a process with huge pages, rows of deeppcr-bench."""
import argparse
import csv
import importlib.util
import itertools
import os
import subprocess
import sys
import tempfile
from pathlib import Path

HUGE_PAGES = "glibc.malloc.hugetlb=1"
SKIPPED = 77


def parser_of(description, steps, width, batch):
    """Options of sizes, with these defaults."""
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    parser.add_argument("binary", help="the program deeppcr-bench")
    parser.add_argument("--steps", type=int, default=steps)
    parser.add_argument("--width", default=width)
    parser.add_argument("--batch", default=batch)
    parser.add_argument("--repeats", type=int, default=5)
    return parser


def options_of(parser):
    """What was asked for, in a process where PyTorch gets huge pages: glibc reads its tunables when one starts."""
    options = parser.parse_args()
    if importlib.util.find_spec("torch") is None:
        print("skipped: this Python has no torch (Debian: python3-torch)")
        sys.exit(SKIPPED)
    if HUGE_PAGES not in os.environ.get("GLIBC_TUNABLES", ""):
        os.environ.update(GLIBC_TUNABLES=HUGE_PAGES, OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")
        os.execv(sys.executable, [sys.executable, *sys.argv])
    return options


def sizes_of(options):
    """All pairs of width and batch."""
    return itertools.product(map(int, options.width.split(",")), map(int, options.batch.split(",")))


def bench_seconds(options, suite, width, batch):
    """{(case, width, batch): median seconds} of a suite of deeppcr-bench: one process, no start-up."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "rows.csv")
        subprocess.run([options.binary, "--suite", suite, "--steps", str(options.steps), "--width", str(width),
                        "--batch", str(batch), "--repeats", str(options.repeats), "--csv", path],
                       check=True, stdout=subprocess.DEVNULL)
        with open(path, newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(line for line in file if not line.startswith("#")))
    return {(row["case"], int(row["width"]), int(row["batch"])): float(row["seconds_median"])
            for row in rows}
