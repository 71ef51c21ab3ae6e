"""Shooting and its special cases from the command line: methods, reports, gradients, stops, wrong options."""
import h5py

from program import RANKS, ProgramTest, main

FORGETS = ["--model", "mlp", "--steps", 600, "--width", 8, "--batch", 3]
RESIDUAL = ["--model", "resnet", "--residual-scale", "1/L", "--steps", 256, "--width", 6, "--batch", 2]
INTERRUPTED = 85


class Shooting(ProgramTest):
    def test_each_method_agrees_with_sequential(self):
        for method, words, ran in [
                ("shooting", ["--coupling", "zero"], "shooting+zero"),
                ("shooting", ["--coupling", "dense", "--chunks", 7], "shooting+dense"),
                ("jacobi-gauss-seidel", ["--chunks", 5], "shooting+zero"),
                ("jacobi", [], "shooting+zero"),
                ("gauss-seidel", [], "sequential"),
                ("auto", [], None)]:
            with self.subTest(method=method, words=words):
                report = self.solved("solve", *FORGETS, "--nonlinear", method, *words, "--verify")
                self.assertEqual(report["status"], "converged")
                self.assertLessEqual(report["max_error"], 1e-10)
                if ran:
                    self.assertEqual(report["method"], ran)
                if method == "jacobi":
                    self.assertEqual(report["chunks"], 600)
                    self.assertEqual(report["path_evaluations"], report["iterations"] + 1)
                if method == "auto":
                    self.assertIn("predicted", report["choice"]) if RANKS > 1 else None

    def test_path_of_many_chunks(self):
        report = self.solved("solve", *RESIDUAL, "--nonlinear", "shooting", "--coupling",
                             "identity", "--chunks", 32, "--verify")
        self.assertEqual(report["chunks"], 32)
        # chunks of 8 steps, of 9 where the ranks' parts are not even
        self.assertGreaterEqual(report["path_evaluations"], (report["iterations"] + 1) * 8)
        self.assertLessEqual(report["path_evaluations"], (report["iterations"] + 1) * 9)
        self.assertEqual(report["path_products"], 0)
        self.assertLessEqual(report["max_error"], 1e-10)
        table = self.run_here("solve", *RESIDUAL, "--nonlinear", "shooting", "--coupling",
                              "identity", "--chunks", 32).out
        self.assertIn("L step evaluations (n^2)", table)
        self.assertIn("with 32 chunks", table)

    def test_gradients(self):
        for chain, method in [(FORGETS, "shooting+zero"), (RESIDUAL, "shooting+gmres")]:
            with self.subTest(method=method):
                report = self.solved("gradient", *chain, "--nonlinear", "shooting", "--coupling",
                                     "dense", "--backward", "shooting", "--chunks", 8, "--verify")
                self.assertEqual(report["gradient_method"], method)
                self.assertLessEqual(report["max_error"], 1e-10)
                self.assertLessEqual(report["gradient_residual"], 1e-10)
        report = self.solved("gradient", *RESIDUAL, "--nonlinear", "auto", "--verify")
        self.assertLessEqual(report["max_error"], 1e-10)

    def test_backward_auto_does_not_sweep_in_vain(self):
        """Chains that neither forget nor are near the identity: hybrid or substitution, at once."""
        for width, batch in [(4, 1), (16, 1), (16, 8)]:
            with self.subTest(width=width, batch=batch):
                report = self.solved("gradient", "--model", "resnet", "--steps", 1024, "--width", width, "--batch",
                                     batch, "--nonlinear", "sequential", "--backward", "auto", "--verify")
                self.assertLessEqual(report["gradient_sweeps"], 1)
                self.assertNotIn("gradient_reason", report)
                self.assertIn(report["gradient_method"], ["hybrid", "sequential"])
                self.assertLessEqual(report["max_error"], 1e-10)

    def test_guesses_and_accelerators(self):
        for words in (["--guess", "coarse:4"], ["--accelerate", "anderson"],
                      ["--accelerate", "ngmres"]):
            with self.subTest(words=words):
                report = self.solved("solve", *RESIDUAL, "--nonlinear", "shooting", "--coupling",
                                     "identity", "--chunks", 16, *words, "--verify")
                self.assertLessEqual(report["max_error"], 1e-10)

    def test_trace_and_going_on_after_a_stop(self):
        words = ["solve", *RESIDUAL, "--nonlinear", "shooting", "--coupling", "identity",
                 "--chunks", 16]
        stopped = self.run_here(*words, "--json", "--max-hours", "1e-9", "--checkpoint", "c.h5", "--trace",
                                "t.h5")
        self.assertEqual(stopped.code, INTERRUPTED, stopped.err)
        self.assertEqual(stopped.report["status"], "interrupted")
        with h5py.File(self.folder / "t.h5", "r") as file:
            self.assertEqual(len(file["iterations/residual"]), stopped.report["iterations"])
            self.assertEqual(list(file["iterations/seconds"].attrs["stages"]),
                             [b"sweep", b"couple", b"other"])
        report = self.solved(*words, "--restart", "c.h5", "--verify")
        self.assertEqual(report["status"], "converged")
        self.assertEqual(report["iterations_before"], stopped.report["iterations"])
        self.assertLessEqual(report["max_error"], 1e-10)

    def test_wrong_options(self):
        for words, phrases in [
                (["--nonlinear", "shooting", "--chunks", 601], ["--chunks 601", "600"]),
                (["--nonlinear", "newton", "--chunks", 8], ["--chunks", "shooting"]),
                (["--nonlinear", "jacobi", "--coupling", "dense"], ["--coupling", "shooting"]),
                (["--nonlinear", "shooting", "--accelerate", "anderson"], ["--coupling"]),
                (["--nonlinear", "shooting", "--coupling", "ones"], ["--coupling ones", "identity"]),
                (["--nonlinear", "shooting", "--guess", "coarse:0"], ["coarse:0", "coarse:16"]),
                (["--nonlinear", "shooting", "--guess", "coarse:4"], ["coarse:4", "resnet"])]:
            with self.subTest(words=words):
                self.assert_refused(self.run_here("solve", *FORGETS, *words), *phrases)
        if RANKS > 1:
            done = self.run_here("solve", *FORGETS, "--nonlinear", "shooting", "--chunks", 1)
            self.assert_refused(done, "--chunks 1", str(RANKS))


if __name__ == "__main__":
    main()
