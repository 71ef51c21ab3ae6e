#!/usr/bin/python3
"""Tests of apps/plot_trace.py on traces and bench files made here."""
import csv
import fcntl
import itertools
import os
import resource
import subprocess
import sys
import tempfile
import unittest
import unittest.mock
from pathlib import Path

import h5py
import matplotlib.image
import numpy as np
from run_script import APPS, assert_refused, run, run_here
from deeppcr_files import PICTURE, check_output, kind_of

ITERATIONS, LEVELS = 4, 2
BENCH_COLUMNS = ("suite", "case", "method", "ranks", "steps", "width", "batch", "seconds_median", "seconds_min",
                 "seconds_max", "baseline", "speedup", "iterations", "peak_bytes")


# Reads a trace as deeppcr-plot does, and says so where it has to wait for the writer.
WAITING_READER = """
import sys
sys.path.insert(0, sys.argv[1])
import deeppcr_traces
deeppcr_traces.time.sleep = lambda _: (print("busy", flush=True), wait(0.3))
from select import select
wait = lambda seconds: select([], [], [], seconds)
print(len(deeppcr_traces.read_hdf5(sys.argv[2])[1][0]["residual"]), "rows")
"""


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


def write_stream(path, frames, known=True):
    with h5py.File(path, "w", libver="latest") as file:
        file.attrs.update(format="deeppcr-trace", ranks=2)
        file.create_group("problem").attrs.update(model="resnet", L=64, B=1, n=3)
        predictions = file.create_group("predictions")
        predictions["frame"] = 100 + np.arange(frames)
        predictions["class"] = np.arange(frames) % 3 - 1
        predictions["label"] = np.arange(frames) % 2 if known else np.full(frames, -1)
        predictions["seconds"] = 1e-3 * np.arange(frames)
        file.create_group("outcome").attrs["status"] = "running"


def write_learning(path, rows):
    with h5py.File(path, "w", libver="latest") as file:
        file.attrs.update(format="deeppcr-trace", ranks=2)
        file.create_group("problem").attrs.update(model="resnet", L=64, B=1, n=3, learning_rate=0.01)
        learning = file.create_group("learning")
        learning["frame"] = 100 * np.arange(1, rows + 1)
        learning["loss"] = np.exp(-np.arange(rows) / 30)
        learning["accuracy"] = 1 - np.exp(-np.arange(rows) / 20)
        learning["seconds"] = 0.1 * np.arange(1, rows + 1)
        file.create_group("outcome").attrs["status"] = "done"


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

    def assert_draws(self, source, picture, run=run_here):
        process = run("plot_trace.py", source, "-o", picture)
        self.assertEqual(process.returncode, 0, process.stderr)
        self.assertEqual(process.stderr, "")
        pixels = matplotlib.image.imread(picture)[:, :, :3]
        self.assertGreater(min(pixels.shape[:2]), 300)
        # Something is drawn, in more than black and white.
        vivid = pixels[pixels.max(axis=2) - pixels.min(axis=2) > 0.2]
        self.assertGreater(len(np.unique((vivid * 255).astype(int) @ [1 << 16, 1 << 8, 1])), 3)

    def test_draws_a_trace(self):
        write_trace(self.path("run.h5"))
        self.assert_draws(self.path("run.h5"), self.path("run.png"))

    def test_draws_a_roc_curve(self):
        false = np.linspace(0, 1, 50)
        with h5py.File(self.path("said.h5"), "w") as file:
            file.attrs["format"] = "deeppcr-results"
            file["scores"] = np.zeros(3)
        assert_refused(self, run("plot_trace.py", self.path("said.h5")), "no /roc")
        with h5py.File(self.path("said.h5"), "r+") as file:
            file["roc/false_positive_rate"], file["roc/true_positive_rate"] = false, false ** 0.2
            file["roc"].attrs["area"] = 1 / 1.2
        self.assert_draws(self.path("said.h5"), self.path("said.png"))
        with h5py.File(self.path("said.h5"), "r+") as file:
            del file["roc/true_positive_rate"]
        assert_refused(self, run("plot_trace.py", self.path("said.h5")), "true_positive_rate")

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
            self.assert_draws(self.path("run.h5"), self.path("run.png"), run)

    def test_waits_for_a_trace_that_is_closed_in_a_moment(self):
        write_trace(self.path("run.h5"))
        file = h5py.File(self.path("run.h5"), "r+", libver="latest")
        reader = subprocess.Popen([sys.executable, "-c", WAITING_READER, APPS, self.path("run.h5")],
                                  stdout=subprocess.PIPE, text=True)
        self.assertEqual(reader.stdout.readline(), "busy\n")
        file.close()
        self.assertEqual(reader.communicate()[0], f"{ITERATIONS} rows\n")

    def test_columns_of_different_length_are_cut_to_the_shortest(self):
        write_trace(self.path("run.h5"))
        write_training(self.path("train.h5"), 30)
        for name, longer in (("run.h5", ("iterations/residual", "iterations/messages")), ("train.h5", (
                "training/update", "training/loss", "evaluation/update"))):
            with self.subTest(name), h5py.File(self.path(name), "r+", libver="latest") as file:
                for column in longer:
                    values = file[column][()]
                    del file[column]
                    file.create_dataset(column, data=np.concatenate([values, values[-1:]]),
                                        maxshape=(None, *values.shape[1:]))
                file.swmr_mode = True
                self.assert_draws(self.path(name), self.path("live.png"), run)
            self.assert_draws(self.path(name), self.path("dead.png"))

    def test_draws_training(self):
        write_training(self.path("run.h5"), 60)
        self.assert_draws(self.path("run.h5"), self.path("curves.png"))
        with h5py.File(self.path("run.h5"), "r+") as file:
            file["evaluation/confusion"] = np.diag([5, 7, 9]) + 1
            file["outcome"].attrs["status"] = "converged"
        self.assert_draws(self.path("run.h5"), self.path("run.svg.png"))
        self.assertEqual(run_here("plot_trace.py", self.path("run.h5"), "-o", self.path("run.svg")).returncode, 0)
        words = self.path("run.svg").read_text(encoding="utf-8")
        for word in ("Loss", "Accuracy", "forward", "taken for", "1 depth x 2 data ranks"):
            self.assertIn(word, words)
        with h5py.File(self.path("run.h5"), "r+") as file:  # a loss without classes
            for name in ("training/accuracy", "evaluation/accuracy"):
                file[name][...] = np.nan
        self.assertEqual(run_here("plot_trace.py", self.path("run.h5"), "-o", self.path("run.svg")).returncode, 0)
        words = self.path("run.svg").read_text(encoding="utf-8")
        self.assertIn("Loss, logarithmic", words)
        self.assertNotIn("Accuracy", words)
        write_training(self.path("empty.h5"), 0)
        assert_refused(self, run_here("plot_trace.py", self.path("empty.h5")), "without updates")

    def test_draws_streams(self):
        for frames, known, words in ((1000, True, ["Accuracy", "of 10 frames", "1000 frames"]),
                                     (1, True, ["Accuracy", "of 1 frames"]), (1000, False, ["Predictions", "-1: logits"])):
            write_stream(self.path("p.h5"), frames, known)
            self.assert_says("p.h5", [*words, "frames/s", "resnet, steps 64", "running"])
        for rows in (1, 50):
            write_learning(self.path("s.h5"), rows)
            self.assert_says("s.h5", ["Loss", "Accuracy", "frames/s", "learning rate 0.01", f"mean of {max(1, rows // 20)} rows"])
        self.assert_draws(self.path("s.h5"), self.path("s.png"))
        write_stream(self.path("empty.h5"), 0)
        assert_refused(self, run_here("plot_trace.py", self.path("empty.h5")), "without frames")

    def assert_says(self, name, words):
        done = run_here("plot_trace.py", self.path(name), "-o", self.path("picture.svg"))
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        drawn = self.path("picture.svg").read_text(encoding="utf-8")
        for word in words:
            self.assertIn(word, drawn)

    def test_draws_bench_files(self):
        write_bench(self.path("bench.h5"))
        self.assert_draws(self.path("bench.h5"), self.path("hdf5.png"))
        with open(self.path("bench.csv"), "w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([BENCH_COLUMNS, *bench_rows()])
        self.assert_draws(self.path("bench.csv"), self.path("csv.png"))
        self.assertEqual(self.path("hdf5.png").read_bytes(), self.path("csv.png").read_bytes())

    def test_writes_svg_with_its_words(self):
        write_trace(self.path("run.h5"))
        self.assertEqual(run_here("plot_trace.py", self.path("run.h5"), "-o", self.path("run.svg")).returncode, 0)
        words = self.path("run.svg").read_text(encoding="utf-8")
        for word in ("resnet", "linearise", "tolerance", "all 64 steps", "converged"):
            self.assertIn(word, words)

    def test_labels_memory_as_memory_and_rows_by_their_baseline(self):
        write_bench(self.path("bench.h5"))
        self.assertEqual(run_here("plot_trace.py", self.path("bench.h5"), "-o", self.path("bench.svg")).returncode, 0)
        words = self.path("bench.svg").read_text(encoding="utf-8")
        for word in ("peak memory (MiB)", "hybrid, over GMRES", "hybrid, over MUMPS"):
            self.assertIn(word, words)

    def refuse(self, name, *phrases, words=()):
        with self.subTest(name=name, words=words):
            assert_refused(self, run_here("plot_trace.py", self.path(name), *words), *phrases)

    def test_refuses_what_it_cannot_draw(self):
        write_trace(self.path("run.h5"))
        whole = self.path("run.h5").read_bytes()
        self.path("half.h5").write_bytes(whole[:len(whole) // 2])
        self.path("text.h5").write_text("no HDF5", encoding="utf-8")
        self.path("text.csv").write_text("a,b\n1,2\n", encoding="utf-8")
        self.path("long.csv").write_text("suite,seconds_median\n" + 200000 * "a" + ",1\n", encoding="utf-8")
        self.path("latin.csv").write_bytes(b"suite,seconds_median\n\xfc,1\n")
        h5py.File(self.path("foreign.h5"), "w").close()
        os.mkfifo(self.path("pipe.h5"))
        for name, phrase in (("none.h5", "no such file"), ("half.h5", "truncated"), ("text.h5", "neither HDF5"),
                             ("text.csv", "seconds_median"), ("foreign.h5", "wanted: deeppcr-trace"), ("long.csv", "field limit"),
                             ("latin.csv", "no text"), ("pipe.h5", "no regular file"), (".", "is a directory")):
            self.refuse(name, str(self.path(name)), phrase)
        self.refuse("run.h5", ".png", words=("-o", "x.bmp"))
        self.refuse("run.h5", "no/x.png", words=("-o", self.path("no/x.png")))

    def test_refuses_traces_that_are_laid_out_otherwise(self):
        text = np.array([b"a"] * ITERATIONS)
        for column, values, phrase in (("residual", None, "no dataset /iterations/residual"),
                                       ("residual", np.ones((ITERATIONS, 2)), "1 dimensions"),
                                       ("seconds", np.ones(ITERATIONS), "2 dimensions"),
                                       ("step_norm", text, "numbers"), ("bytes", np.float64(1), "[]"),
                                       ("residual", np.zeros(0), "without iterations so far")):
            write_trace(self.path("run.h5"))
            with h5py.File(self.path("run.h5"), "r+") as file:
                del file["iterations"][column]
                if values is not None:
                    file["iterations"][column] = values
            self.refuse("run.h5", "run.h5", phrase)
        write_trace(self.path("run.h5"))
        with h5py.File(self.path("run.h5"), "r+") as file:
            file["problem"].attrs["L"] = "many"
        self.refuse("run.h5", "not laid out as deeppcr writes it")
        with h5py.File(self.path("run.h5"), "r+") as file:
            del file["problem"], file["outcome"], file.attrs["ranks"], file["iterations/seconds"].attrs["stages"]
        self.assert_draws(self.path("run.h5"), self.path("run.png"))

    def test_names_the_variable_where_there_are_no_locks(self):
        write_trace(self.path("run.h5"))
        with unittest.mock.patch("h5py.File", side_effect=OSError(
                "Unable to open file (unable to lock file, errno = 37, error message = 'No locks available')")):
            self.refuse("run.h5", "HDF5_USE_FILE_LOCKING=FALSE")

    def test_takes_no_lock(self):
        """A job that ends opens its trace anew: a reader's lock would make it fail."""
        write_trace(self.path("run.h5"))
        with open(self.path("run.h5"), "rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            self.assert_draws(self.path("run.h5"), self.path("run.png"), run)

    def test_the_surroundings_do_not_matter(self):
        write_trace(self.path("run.h5"))
        self.path("matplotlibrc").write_text("text.usetex: True\nsavefig.format: bmp\n", encoding="utf-8")
        process = run("plot_trace.py", self.path("run.h5"), environment={
            "MPLBACKEND": "no backend of any name", "MATPLOTLIBRC": str(self.path("matplotlibrc")), "LC_ALL": "C"})
        self.assertEqual((process.returncode, process.stderr), (0, ""))

    def test_replaces_its_own_pictures_only(self):
        write_trace(self.path("run.h5"))
        for name in ("a.png", "a.svg", "a.pdf"):
            self.assertEqual(run_here("plot_trace.py", self.path("run.h5"), "-o", self.path(name)).stderr, "")
            self.assertEqual(kind_of(self.path(name))[0], PICTURE)
            self.assertEqual(check_output(self.path(name), PICTURE), self.path(name))
        words = ("-o", self.path("a.png"))
        self.path("a.png").write_bytes(b"\x89PNG\r\n\x1a\nanother")
        self.refuse("run.h5", "exists and is no picture of deeppcr (it is a PNG picture of another", words=words)
        self.assertEqual(run_here("plot_trace.py", self.path("run.h5"), *words, "--force").stderr, "")
        self.path("run.h5").rename(self.path("trace.png"))
        self.refuse("trace.png", "is read by this run", words=("--force",))
        self.assertTrue(h5py.is_hdf5(self.path("trace.png")))

    def test_a_full_disk_leaves_the_old_picture(self):
        write_trace(self.path("run.h5"))
        self.assert_draws(self.path("run.h5"), self.path("run.png"))
        before = self.path("run.png").read_bytes()
        process = run("plot_trace.py", self.path("run.h5"),
                      setup=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000)))
        assert_refused(self, process, "run.png", "cannot be written")
        self.assertEqual(self.path("run.png").read_bytes(), before)
        self.assertEqual(sorted(os.listdir(self.folder)), ["run.h5", "run.png"])
        with open("/dev/full", "w", encoding="utf-8") as full:
            assert_refused(self, run("plot_trace.py", self.path("run.h5"), stdout=full), "its report is not")


if __name__ == "__main__":
    unittest.main()
