#!/usr/bin/python3
"""Tests of apps/plot_trace.py on traces and bench files made here."""
import csv
import itertools
import tempfile
import unittest
from pathlib import Path

import h5py
import matplotlib.image
import numpy as np
from run_script import assert_refused, run

ITERATIONS, LEVELS = 4, 2
BENCH_COLUMNS = ("suite", "case", "method", "ranks", "steps", "width", "batch", "seconds_median", "seconds_min",
                 "seconds_max", "baseline", "speedup", "iterations", "peak_bytes")


def write_trace(path):
    with h5py.File(path, "w", libver="latest") as file:
        file.attrs.update(format="deeppcr-trace", ranks=4)
        file.create_group("problem").attrs.update(model="resnet", L=64, B=2, n=3)
        run_group = file.create_group("iterations")
        run_group["residual"] = [1.0, 1e-2, 1e-5, 0.0]
        run_group["step_norm"] = [0.0, 1.0, 1e-2, 1e-5]
        run_group["frozen_prefix"] = [0, 1, 8, 64]
        run_group["seconds"] = np.full((ITERATIONS, 3), 1e-3)
        run_group["seconds"].attrs["stages"] = ["linearise", "reduce", "other"]
        run_group["messages"] = np.full((ITERATIONS, LEVELS), 3)
        run_group["bytes"] = np.full((ITERATIONS, LEVELS), 3000)
        file.create_group("outcome").attrs.update(status="converged", tolerance=1e-10)


def write_training(path, updates):
    with h5py.File(path, "w", libver="latest") as file:
        file.attrs.update(format="deeppcr-trace", ranks=2)
        file.create_group("problem").attrs.update(model="resnet", L=64, B=2, n=3, depth_ranks=1, data_ranks=2)
        training = file.create_group("training")
        training["update"] = np.arange(updates)
        training["loss"] = np.exp(-np.arange(updates) / 30)
        training["accuracy"] = 1 - np.exp(-np.arange(updates) / 20)
        training["learning_rate"] = np.full(updates, 1e-3)
        training["seconds"] = np.full((updates, 3), 1e-3)
        training["seconds"].attrs["stages"] = ["forward", "backward", "update"]
        evaluation = file.create_group("evaluation")
        evaluation["update"], evaluation["loss"], evaluation["accuracy"] = [updates], [0.3], [0.9]
        file.create_group("outcome").attrs["status"] = "running"


def bench_rows():
    rows = [("linear", "forward", method, ranks, steps, 16, 1, 1e-6 * steps / ranks, 0.9e-6 * steps / ranks,
             1.2e-6 * steps / ranks, "sequential", float(ranks), 1, np.nan)
            for method, ranks, steps in itertools.product(("pcr", "hybrid"), (1, 2), (64, 256))]
    return rows + [("petsc", "n=16", "MUMPS", 2, 64, 16, 1, 1.0, 1.0, 1.0, "GMRES", 0.01, 1, np.nan),
                   ("petsc", "n=16", "hybrid", 2, 64, 16, 1, 0.1, 0.1, 0.1, "GMRES", 0.1, 0, np.nan),
                   ("petsc", "n=16", "hybrid", 2, 64, 16, 1, 0.1, 0.1, 0.1, "MUMPS", 10.0, 0, np.nan),
                   ("memory", "buffers", "hybrid", 2, 64, 16, 1, 1.0, 1.0, 1.0, "", np.nan, 4, 2.0**21)]


def write_bench(path):
    with h5py.File(path, "w") as file:
        file.attrs["format"] = "deeppcr-bench"
        group = file.create_group("rows")
        for name, column in zip(BENCH_COLUMNS, zip(*bench_rows())):
            group[name] = list(column)


class PlotTrace(unittest.TestCase):
    def setUp(self):
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory()))

    def path(self, name):
        return self.folder / name

    def assert_draws(self, source, picture):
        process = run("plot_trace.py", source, "-o", picture)
        self.assertEqual(process.returncode, 0, process.stderr)
        self.assertEqual(process.stderr, "")
        pixels = matplotlib.image.imread(picture)[:, :, :3]
        self.assertGreater(min(pixels.shape[:2]), 300)
        # Something is drawn, in more than black and white.
        colours = np.unique((pixels.reshape(-1, 3) * 255).astype(int), axis=0)
        self.assertGreater(np.count_nonzero(colours.max(axis=1) - colours.min(axis=1) > 50), 3)

    def test_draws_a_trace(self):
        write_trace(self.path("run.h5"))
        self.assert_draws(self.path("run.h5"), self.path("run.png"))

    def test_draws_a_trace_without_communication(self):
        write_trace(self.path("run.h5"))
        with h5py.File(self.path("run.h5"), "r+") as file:
            for name in ("messages", "bytes"):
                del file["iterations"][name]
                file["iterations"][name] = np.zeros((ITERATIONS, 0))
        self.assert_draws(self.path("run.h5"), self.path("run.png"))

    def test_draws_a_trace_that_is_being_written(self):
        write_trace(self.path("run.h5"))
        with h5py.File(self.path("run.h5"), "r+", libver="latest") as file:
            process = run("plot_trace.py", self.path("run.h5"))
            assert_refused(self, process, "open for writing")
            file.swmr_mode = True
            self.assert_draws(self.path("run.h5"), self.path("run.png"))

    def test_draws_training(self):
        write_training(self.path("run.h5"), 60)
        self.assert_draws(self.path("run.h5"), self.path("curves.png"))
        with h5py.File(self.path("run.h5"), "r+") as file:
            file["evaluation/confusion"] = np.diag([5, 7, 9]) + 1
            file["outcome"].attrs["status"] = "converged"
        self.assert_draws(self.path("run.h5"), self.path("run.svg.png"))
        self.assertEqual(run("plot_trace.py", self.path("run.h5"), "-o", self.path("run.svg")).returncode, 0)
        words = self.path("run.svg").read_text(encoding="utf-8")
        for word in ("Loss", "Accuracy", "forward", "taken for", "1 depth x 2 data ranks"):
            self.assertIn(word, words)
        write_training(self.path("empty.h5"), 0)
        assert_refused(self, run("plot_trace.py", self.path("empty.h5")), "without updates")

    def test_draws_bench_files(self):
        write_bench(self.path("bench.h5"))
        self.assert_draws(self.path("bench.h5"), self.path("hdf5.png"))
        with open(self.path("bench.csv"), "w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([BENCH_COLUMNS, *bench_rows()])
        self.assert_draws(self.path("bench.csv"), self.path("csv.png"))
        self.assertEqual(self.path("hdf5.png").read_bytes(), self.path("csv.png").read_bytes())

    def test_writes_svg_with_its_words(self):
        write_trace(self.path("run.h5"))
        self.assertEqual(run("plot_trace.py", self.path("run.h5"), "-o", self.path("run.svg")).returncode, 0)
        words = self.path("run.svg").read_text(encoding="utf-8")
        for word in ("resnet", "linearise", "tolerance", "all 64 steps", "converged"):
            self.assertIn(word, words)

    def test_labels_memory_as_memory_and_rows_by_their_baseline(self):
        write_bench(self.path("bench.h5"))
        self.assertEqual(run("plot_trace.py", self.path("bench.h5"), "-o", self.path("bench.svg")).returncode, 0)
        words = self.path("bench.svg").read_text(encoding="utf-8")
        for word in ("peak memory (MiB)", "hybrid, over GMRES", "hybrid, over MUMPS"):
            self.assertIn(word, words)

    def test_refuses_what_it_cannot_draw(self):
        write_trace(self.path("run.h5"))
        whole = self.path("run.h5").read_bytes()
        self.path("half.h5").write_bytes(whole[:len(whole) // 2])
        self.path("text.h5").write_text("no HDF5", encoding="utf-8")
        self.path("text.csv").write_text("a,b\n1,2\n", encoding="utf-8")
        h5py.File(self.path("foreign.h5"), "w").close()
        for name, phrase in (("none.h5", "no such file"), ("half.h5", "truncated"), ("text.h5", "neither HDF5"),
                             ("text.csv", "seconds_median"), ("foreign.h5", "wanted: deeppcr-trace")):
            with self.subTest(name):
                assert_refused(self, run("plot_trace.py", self.path(name)), name, phrase)
        assert_refused(self, run("plot_trace.py", self.path("run.h5"), "-o", "x.bmp"), ".png")
        assert_refused(self, run("plot_trace.py", self.path("run.h5"), "-o", self.path("no/x.png")), "no/x.png")


if __name__ == "__main__":
    unittest.main()
