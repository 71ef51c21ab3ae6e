#!/usr/bin/python3
"""Sixteen ranks on four nodes of a simulated cluster run the real sources: right, the same figures twice, and work as counted.

Skipped where job_scripts/simulate.sh has built nothing: that takes a quarter of an hour.
"""
import csv
import os
import subprocess
import sys
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "job_scripts" / "simulate.sh"
PROGRAM = ROOT / "build" / "simulator" / "bin" / "deeppcr-simulate"
STEPS, WIDTH = 4096, 16
OPTIONS = ["--steps", str(STEPS), "--width", str(WIDTH), "--chains", "mlp tanh,resnet 1/L tanh",
           "--forward", "auto,newton+hybrid", "--backward", "hybrid", "--step", "auto"]


def simulate(cluster, ranks=16, **environment):
    """The rows of one run, by (case, method without what it ran as)."""
    done = subprocess.run([SCRIPT, "run", str(ranks), cluster, *OPTIONS], env={**os.environ, "NODE_CORES": "4", **environment},
                          stdout=subprocess.PIPE, text=True, timeout=240, check=True)
    rows = csv.DictReader(line for line in done.stdout.splitlines() if not line.startswith("#"))
    return {(row["case"], row["method"].partition(":")[0]): row for row in rows}


class Simulated(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.rows = simulate("fast")

    def seconds(self, rows, case, method):
        return float(rows[case, method]["seconds_median"])

    def test_two_runs_give_the_same_figures(self):
        self.assertEqual(self.rows, simulate("fast"))

    def test_sequential_work_is_as_counted(self):
        row = self.rows["mlp tanh, forward", "sequential"]
        flops = 1e9 * float(row["gflops"]) * float(row["seconds_median"])
        self.assertAlmostEqual(flops / (2 * STEPS * WIDTH**2), 1, places=4)

    def test_sixteen_ranks_are_faster_and_not_more_than_sixteen_times(self):
        speedup = float(self.rows["mlp tanh, forward", "auto"]["speedup"])
        self.assertGreater(speedup, 2)
        self.assertLess(speedup, 16)

    def test_collective_calls_do_not_grow_with_ranks(self):
        few = simulate("fast", ranks=4)
        for key in (("mlp tanh, forward", "auto"), ("mlp tanh, forward", "newton+hybrid")):
            self.assertEqual(few[key]["iterations"], self.rows[key]["iterations"])
            self.assertGreater(int(few[key]["collectives"]), 0)
            self.assertEqual(few[key]["collectives"], self.rows[key]["collectives"], key)
            self.assertGreater(int(self.rows[key]["messages"]), int(few[key]["messages"]), key)

    def test_formulas_predict_it(self):
        one_node = simulate("fast", NODE_CORES="16")  # as the machine's table has them
        for method in ("auto", "newton+hybrid"):
            row = one_node["mlp tanh, forward", method]
            self.assertTrue(0.75 < float(row["predicted"]) / float(row["speedup"]) < 1.34, row)

    def test_a_slow_network_costs(self):
        slow = simulate("slow")
        for case, method in self.rows:
            if method != "sequential":
                self.assertGreater(self.seconds(slow, case, method), self.seconds(self.rows, case, method), case)

    def test_the_network_alone_takes_less(self):
        network = simulate("fast", DEEPPCR_SIMULATED_COMPUTE="none")
        for case, method in self.rows:
            self.assertLess(self.seconds(network, case, method), self.seconds(self.rows, case, method), case)


if __name__ == "__main__":
    if not PROGRAM.exists():
        print(f"skipped: {PROGRAM} is missing; job_scripts/simulate.sh build makes it")
        sys.exit(77)
    unittest.main()
