"""A report that cannot be written is no success; a reader that leaves before its end is no failure."""
import contextlib
import os
import subprocess
import unittest

import h5py

from program import BENCH, MPIRUN, PROGRAM, RANKS, TIMEOUT, ProgramTest, main

SMALL = ["--steps", "9", "--width", "4", "--batch", "2"]

one_rank = unittest.skipIf(RANKS > 1, "rank 0 alone does it")


class LostReport(ProgramTest):
    def shell(self, redirection, *words, program=PROGRAM):
        """The program on all ranks, each with the shell's redirection: mpirun would stand between."""
        start = [] if RANKS == 1 else [*MPIRUN, str(RANKS)]
        ended = subprocess.run([*start, "sh", "-c", f'"$0" "$@" {redirection}', program, *words],
                               cwd=self.folder, capture_output=True, text=True, timeout=TIMEOUT,
                               check=False)
        lines = [line for line in ended.stderr.splitlines() if line.startswith("deeppcr:")]
        return ended, lines

    def test_every_command_tells_of_a_full_disk(self):
        self.solved("solve", *SMALL, "--trace", "t.h5")
        train = ["train", "--data", "random", "--samples", "40", "--test-samples", "10",
                 *SMALL, "--checkpoint", "c.h5"]
        commands = [["solve", *SMALL], ["solve", *SMALL, "--json"], ["inspect", "t.h5"], train,
                    ["evaluate", "--restart", "c.h5"], ["gradient", *SMALL, "--json"],
                    ["check", "--model", "mlp", "--json"], ["--help"], ["train", "--help"],
                    ["--version"], ["generate", "--steps", "3", "--samples", "2"]]
        for words in commands if RANKS == 1 else commands[2:5]:
            with self.subTest(words=" ".join(words)):
                done, lines = self.shell(">/dev/full", *words)
                self.assertEqual(done.returncode, 3, done.stderr)
                self.assertEqual(lines, ["deeppcr: the report could not be written to stdout: "
                                         "No space left on device"])
                self.assertNotIn("ABORT", done.stderr)
        # what the run has made is there
        self.assertEqual(self.run_here("inspect", "c.h5", "--quiet", ranks=1).code, 0)

    def test_other_codes_stay(self):
        done, _ = self.shell(">/dev/full", "solve", *SMALL, "--steps=x")
        self.assertEqual(done.returncode, 1, done.stderr)
        done, lines = self.shell(">/dev/full", "solve", "--nonlinear", "newton", "--model", "mlp",
                                 "--gain", "2", "--steps", "100", "--max-iterations", "1",
                                 "--no-fallback")
        self.assertEqual(done.returncode, 2, done.stderr)
        self.assertEqual(len(lines), 1, done.stderr)

    @one_rank
    def test_nothing_to_print_is_no_loss(self):
        done, _ = self.shell(">/dev/full", "solve", *SMALL, "--quiet")
        self.assertEqual(done.returncode, 0, done.stderr)

    @one_rank
    def test_no_file_takes_the_place_of_a_closed_stream(self):
        done, lines = self.shell(">&-", "solve", *SMALL, "--trace", "t.h5", "--json")
        self.assertEqual(done.returncode, 3, done.stderr)
        self.assertEqual(len(lines), 1)
        with h5py.File(self.folder / "t.h5", "r") as file:
            self.assertEqual(file["outcome"].attrs["status"], b"converged")

    @one_rank
    def test_lost_remarks_end_no_run(self):
        done, _ = self.shell("2>/dev/full", "solve", *SMALL, "--json", "--log-level", "debug")
        self.assertEqual(done.returncode, 0)

    @one_rank
    def test_a_reader_may_leave(self):
        done, lines = self.shell(
            "| true", "--suite", "memory", "--quick", "--csv", "b.csv", program=BENCH)
        self.assertEqual(lines, [], done.stderr)
        self.assertIn("newton+hybrid", (self.folder / "b.csv").read_text())

    @one_rank
    def test_a_full_disk_under_the_rows_of_a_bench(self):
        small = self.small_disk("16k")
        with open(small / "filler", "wb") as filler, contextlib.suppress(OSError):
            while True:
                os.write(filler.fileno(), b"x" * 1024)
        done, lines = self.shell("", "--suite", "memory", "--quick", "--quiet", "--csv", "small/b.csv", program=BENCH)
        self.assertEqual(done.returncode, 3, done.stderr)
        self.assertIn("--csv small/b.csv", lines[0])
        self.assertEqual([path.name for path in small.iterdir()], ["filler"])


if __name__ == "__main__":
    main()
