#!/usr/bin/python3
"""Smoke test of `deeppcr-bench`: bench_test.py BINARY RANKS MPIRUN..."""
import csv
import json
import math
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

BINARY, RANKS, MPIRUN = sys.argv[1], int(sys.argv[2]), sys.argv[3:]
SUITES = ["compose", "sequential", "cells", "petsc", "newton", "path", "memory", "trace", "generate"]
SUITES += ["pcr-scaling", "hybrid", "shooting", "pipeline", "wavefront", "streams"] if RANKS > 1 else []


def bench(*words):
    return subprocess.run([*MPIRUN, str(RANKS), BINARY, *map(str, words)],
                          capture_output=True, text=True, check=False)


def read_csv(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(line for line in file if not line.startswith("#")))


class Bench(unittest.TestCase):
    def setUp(self):
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory()))

    def run_bench(self, *words):
        process = bench("--quick", *words)
        self.assertEqual(process.returncode, 0, process.stderr)
        return process.stdout

    def test_every_suite_gives_rows_with_a_baseline(self):
        path = self.folder / "bench.csv"
        self.run_bench("--csv", path)
        rows = read_csv(path)
        self.assertEqual(sorted({row["suite"] for row in rows}), sorted(SUITES))
        for row in rows:
            if row["suite"] == "path":  # counts, not times
                self.assertGreater(float(row["path_evaluations"]), 0, row)
                continue
            low, middle, high = (float(row["seconds_" + w]) for w in ("min", "median", "max"))
            self.assertTrue(0 < low <= middle <= high, row)
            self.assertTrue(row["baseline"], row)
            self.assertIn(int(row["ranks"]), (1, RANKS))
            if row["baseline_seconds_median"] and row["suite"] != "compose":
                self.assertTrue(math.isclose(float(row["speedup"]) * middle,
                                             float(row["baseline_seconds_median"]), rel_tol=1e-4), row)

    def test_sizes_and_suites_are_as_asked_for(self):
        config = self.folder / "run.ini"
        config.write_text("[bench]\nsuite = newton,compose\nsteps = 1\n", encoding="utf-8")
        words = self.run_bench("--config", config, "--steps", "8,12", "--width", "3", "--batch", "2", "--json")
        rows = json.loads(words)["rows"]
        self.assertEqual({row["suite"] for row in rows}, {"newton", "compose"})
        self.assertEqual({(row["steps"], row["width"]) for row in rows}, {(8, 3), (12, 3)})
        self.assertEqual({row["batch"] for row in rows if row["suite"] == "newton"}, {2})

    def test_what_takes_too_long_is_predicted(self):
        path = self.folder / "bench.csv"
        self.run_bench("--suite", "generate", "--width", "256", "--precision", "double",
                       "--methods", "gaussian,newton", "--most-seconds", "1e-9", "--csv", path)
        rows = [row for row in read_csv(path) if row["method"] in ("gaussian", "newton")]
        self.assertEqual(len(rows), 4 * len({1, RANKS}))  # two methods, two tolerances
        for row in rows:
            self.assertEqual(row["seconds_median"], "", row)
            self.assertIn("left out", row["met"])
            self.assertGreater(float(row["predicted"]), 0, row)

    def test_hdf5_holds_the_same_rows_as_csv(self):
        import h5py
        self.run_bench("--suite", "sequential,memory", "--csv", self.folder / "bench.csv",
                       "--output", self.folder / "bench.h5")
        expected = read_csv(self.folder / "bench.csv")
        with h5py.File(self.folder / "bench.h5", "r") as file:
            self.assertEqual(file.attrs["format"], b"deeppcr-bench")
            self.assertEqual(file.attrs["ranks"], RANKS)
            self.assertEqual(set(file["rows"]), set(expected[0]))
            for name, column in file["rows"].items():
                self.assertEqual(len(column), len(expected))
                for stored, row in zip(column[()], expected):
                    self.assert_same(stored, row[name], name)

    def assert_same(self, stored, text, name):
        if isinstance(stored, bytes):
            self.assertEqual(stored.decode(), text, name)
        elif text:
            self.assertTrue(math.isclose(stored, float(text), rel_tol=1e-4), (name, stored, text))
        else:
            self.assertTrue(stored == 0 or math.isnan(stored), (name, stored))

    def test_a_link_is_written_through(self):
        link = self.folder / "link.csv"
        link.symlink_to(self.folder / "rows.csv")
        self.run_bench("--suite", "compose", "--csv", link)
        self.assertTrue(link.is_symlink())
        self.assertEqual(read_csv(link), read_csv(self.folder / "rows.csv"))
        self.assertFalse(link.with_name("link.csv.tmp").exists())

    def test_bad_words_are_refused_in_one_line(self):
        for words, phrase in ((("--suite", "compos"), "did you mean compose"),
                              (("--repeats", "4"), "from 5 to"), (("--width", "8,x"), "--width x"),
                              (("--steps", "0"), "--steps 0"),
                              (("--chains", "mlp tanj"), "--chains mlp tanj"),
                              (("--methods", "gausian"), "did you mean gaussian"),
                              (("--csv", "/no/such/folder/x.csv"), "--csv /no/such/folder")):
            process = bench("--quick", *words)
            self.assertEqual(process.returncode, 1, process.stderr)
            lines = [line for line in process.stderr.splitlines() if line.startswith("deeppcr:")]
            self.assertEqual(len(lines), 1, process.stderr)
            self.assertIn(phrase, lines[0])


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
