"""What the commands print: JSON, table, help, versions; and the exit code that goes with the numerics."""
import json
import math

import h5py
import numpy as np

from program import RANKS, ProgramTest, main

FIELDS = {"status": str, "method": str, "ranks": int, "steps": int, "width": int, "batch": int,
          "iterations": int, "residual": float, "tolerance": float, "frozen_prefix": int,
          "exact_states": int, "lyapunov": float, "log_growth": float, "seconds": dict,
          "messages": int, "bytes": int, "levels": list, "peak_bytes_per_rank": int, "reason": str, "advice": str}


class Report(ProgramTest):
    def test_json_has_all_fields(self):
        report = self.solved("solve", "--nonlinear", "newton", "--steps", 40, "--width", 3, "--batch", 2,
                             "--verify")
        for name, kind in FIELDS.items():
            self.assertIsInstance(report[name], kind, name)
        self.assertEqual([report[k] for k in ("status", "ranks", "steps", "width", "batch")],
                         ["converged", RANKS, 40, 3, 2])
        self.assertLessEqual(report["residual"], report["tolerance"])
        self.assertGreater(report["seconds"]["total"], 0)
        self.assertGreater(report["sequential_seconds"], 0)
        # the residual is at most 1e-10, and this chain of 40 steps does not amplify it much
        self.assertLessEqual(report["max_error"], 40 * 1e-10)
        self.assertEqual(len(report["levels"]), math.ceil(math.log2(RANKS)))

    def test_every_method_and_model(self):
        # more ranks: the contract suite has all of them
        for model in ("mlp", "resnet", "affine") if RANKS == 1 else ("affine",):
            for linear in ("sequential", "pcr", "hybrid"):
                with self.subTest(model=model, linear=linear):
                    report = self.solved("solve", "--model", model, "--linear", linear, "--steps",
                                         33, "--width", 3, "--verify")
                    self.assertEqual(report["method"], "newton+" + linear)
                    self.assertLessEqual(report["max_error"], 33 * 1e-10)
                    if model == "affine":
                        self.assertEqual(report["iterations"], 1)

    def test_short_chains(self):
        for steps in (0, 1, 2):
            with self.subTest(steps=steps):
                report = self.solved("solve", "--steps", steps, "--verify")
                self.assertEqual(report["status"], "converged")
                self.assertLessEqual(report["max_error"], 1e-10)

    def test_sequential_needs_no_iteration(self):
        report = self.solved("solve", "--nonlinear", "sequential", "--steps", 20, "--verify",
                             "--width", 3, "--batch", 2, "--trace", "t.h5", "--trace-states", "all")
        self.assertEqual((report["method"], report["iterations"]), ("sequential", 0))
        self.assertEqual(report["max_error"], 0)
        # one state [B, n] from each rank to the next
        self.assertEqual(report["messages"], RANKS - 1)
        self.assertEqual(report["bytes"], (RANKS - 1) * 2 * 3 * 8)
        with h5py.File(self.folder / "t.h5", "r") as file:
            self.assertEqual(file["iterations/residual"].shape, (0,))
            self.assertEqual(file["outcome"].attrs["status"], b"converged")
            self.assertEqual(file["states/z"].shape, (21, 2, 3))

    def test_verify_says_when_sequential_was_faster(self):
        # a hundred times the work, on any number of ranks: pcr cannot win, not even in a single run on a busy machine
        words = ["solve", "--nonlinear", "newton", "--linear", "pcr", "--steps", 512, "--width", 16, "--trace", "t.h5"]
        report = self.solved(*words, "--verify")
        self.assertIn("times faster on these ranks, in one run each: use --nonlinear sequential", report["advice"])
        factor = float(report["advice"].split(" times faster")[0].split()[-1])
        self.assertAlmostEqual(factor, report["seconds"]["total"] / report["sequential_seconds"], delta=0.06)
        # the time that is told is that of the run that was recorded, not of a later one
        with h5py.File(self.folder / "t.h5", "r") as file:
            self.assertEqual(file["outcome"].attrs["seconds"], report["seconds"]["total"])

    def test_says_by_estimate_when_sequential_would_be_faster(self):
        words = ["--nonlinear", "newton", "--linear", "pcr", "--steps", 512, "--width", 16]
        for command in ("solve", "gradient"):
            with self.subTest(command=command):
                self.assertRegex(self.solved(command, *words)["advice"],
                                 r"sequential would be about [0-9.]+ times faster on these ranks: use --nonlinear sequential")
        self.assertIn("sequential would be about", self.run_here("solve", *words).out.splitlines()[-1])
        self.assertEqual(self.solved("solve", "--nonlinear", "sequential", "--steps", 512)["advice"], "")

    def test_table_and_quiet(self):
        table = self.run_here("solve", "--steps", 8)
        self.assertEqual(table.code, 0)
        self.assertTrue(table.out.startswith("solve: converged\n"), table.out)
        self.assertEqual(table.own_lines, [])
        quiet = self.run_here("solve", "--steps", 8, "--quiet")
        self.assertEqual((quiet.code, quiet.out), (0, ""))

    def test_overflow_is_a_stated_failure(self):
        done = self.run_here("solve", "--model", "mlp", "--activation", "identity", "--gain", "1e6",
                             "--steps", 3000, "--json")
        self.assertEqual(done.code, 2, done.err)
        self.assertEqual(done.report["status"], "failed")
        self.assertNotEqual(done.report["reason"], "")
        self.assertIsNone(done.report["residual"])

    def test_nan_in_weights_is_a_stated_failure(self):
        weight = np.full((20, 4, 4), 0.1)
        weight[11, 2, 1] = np.nan
        with h5py.File(self.folder / "w.h5", "w") as file:
            file["layers/weight"] = weight
            file["layers/bias"] = np.zeros((20, 4))
        for words in ([], ["--nonlinear", "sequential"], ["--no-fallback"]):
            done = self.run_here("solve", "--model", "mlp", "--weights", "w.h5", "--json", *words)
            self.assertEqual(done.code, 2, done.err)
            self.assertEqual(done.report["status"], "failed")
            self.assertEqual(done.report["steps"], 20)

    def test_fallback_is_success_with_a_reason(self):
        words = ["solve", "--nonlinear", "newton", "--model", "mlp", "--gain", 1.2, "--steps", 200, "--max-iterations", 1]
        report = self.solved(*words, "--verify")
        self.assertEqual(report["status"], "fell_back")
        self.assertNotEqual(report["reason"], "")
        self.assertLessEqual(report["max_error"], 1e-10)
        self.assertEqual(self.run_here(*words, "--no-fallback", "--quiet").code, 2)

    def test_log_view_shows_the_stages(self):
        words = ["solve", "--steps", 64, "--width", 4]
        for solver, linear, names in [("shooting", "auto", ["nonlinear.shooting"]),
                                      ("sequential", "auto", ["nonlinear.sequential"]),
                                      ("newton", "pcr", ["nonlinear.newton", "linear.pcr"])]:
            with self.subTest(solver=solver):
                linear = ["--linear", linear] if linear != "auto" else []
                done = self.run_here(*words, "--nonlinear", solver, *linear, "--", "-log_view")
                self.assertEqual(done.code, 0, done.err)
                for name in names:
                    self.assertIn(name, done.out)

    def test_petsc_options(self):
        used = self.run_here("solve", "--steps", 8, "--", "-snes_monitor")
        self.assertEqual(used.code, 0)
        self.assertIn("SNES Function norm", used.out)
        self.assertNotIn("-snes_monitor", used.err)
        other = self.run_here("solve", "--steps", 8, "--json", "--", "-ksp_type", "gmres", "-pc_type",
                              "bjacobi", "-ksp_rtol", "1e-14")
        self.assertEqual(other.code, 0)
        self.assertEqual(other.report["method"], "newton+gmres+bjacobi")
        unused = self.run_here("solve", "--steps", 8, "--", "-snes_monitr")
        self.assertEqual(unused.code, 0)
        self.assertIn("-snes_monitr", unused.err)
        self.assertIn("-snes_monitor", unused.err)
        mistyped = self.run_here("solve", "--nonlinear", "newton", "--steps", 8, "--", "-ksp_tpye", "gmres")
        self.assertEqual(mistyped.code, 0)
        self.assertIn("-ksp_tpye gmres", mistyped.err)
        self.assertIn("did you mean -ksp_type", mistyped.err)
        elsewhere = self.run_here("solve", "--nonlinear", "sequential", "--steps", 8, "--", "-snes_monitor")
        self.assertIn("-snes_monitor", elsewhere.err)
        self.assertIn("--nonlinear newton", elsewhere.err)

    def test_help_and_version(self):
        for words in (["--help"], ["solve", "--help"], ["solve", "--steps", "wrong", "--help"],
                      ["gradient", "--help"], ["check", "--help"], ["inspect", "--help"]):
            done = self.run_here(*words)
            self.assertEqual((done.code, done.err), (0, ""))
            self.assertEqual(done.out.count("usage: deeppcr"), 1)
        version = self.run_here("--version")
        self.assertEqual(version.code, 0)
        for library in ("deeppcr", "PETSc", "Open MPI" if "Open MPI" in version.out else "MPI",
                        "HDF5", "BLAS"):
            self.assertIn(library, version.out)

    def test_check(self):
        for model in ("mlp", "resnet", "affine"):
            done = self.run_here("check", "--model", model, "--json")
            self.assertEqual(done.code, 0, done.out)
            report = json.loads(done.out)
            self.assertEqual(report["status"], "passed")
            self.assertLessEqual(max(report["errors"].values()), report["tolerance"])


if __name__ == "__main__":
    main()
