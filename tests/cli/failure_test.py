"""When something breaks: all ranks go within seconds, with one clear line, and older files stay intact."""
import os
import time
from pathlib import Path

from program import RANKS, ProgramTest, main

GONE_WITHIN = 30  # seconds: mpirun's start, the run and the abort; a hang would last for the whole timeout


class Failure(ProgramTest):
    def test_a_rank_that_throws_ends_all(self):
        for rank in range(RANKS):
            start = time.monotonic()
            done = self.run_here("solve", "--nonlinear", "newton", "--steps", 50,
                                 env={"DEEPPCR_TEST_THROW_ON_RANK": str(rank)})
            self.assertLess(time.monotonic() - start, GONE_WITHIN)
            self.assertEqual(done.code, 3, done.err)
            self.assertEqual(len(done.own_lines), 1, done.err)
            self.assertIn(f"rank {rank}: asked to fail", done.own_lines[0])

    def test_a_thrown_run_leaves_files_intact(self):
        self.solved("solve", "--steps", 50, "--output", "o.h5")
        before = (self.folder / "o.h5").read_bytes()
        done = self.run_here("solve", "--nonlinear", "newton", "--steps", 50, "--output", "o.h5", "--trace",
                             "t.h5",
                             env={"DEEPPCR_TEST_THROW_ON_RANK": "1"})
        self.assertEqual(done.code, 3)
        self.assertEqual((self.folder / "o.h5").read_bytes(), before)
        self.assertEqual(self.run_here("inspect", "t.h5", ranks=1).code, 0)

    def test_damaged_checkpoints(self):
        chain = ["solve", "--nonlinear", "newton", "--model", "mlp", "--gain", 2, "--steps", 4000,
                 "--width", 8]
        for _ in range(2):
            stopped = self.run_here(*chain, "--rtol", "1e-300", "--max-iterations", 1000000,
                                    "--max-hours", 0.0001, "--checkpoint", "c.h5", "--quiet")
            self.assertEqual(stopped.code, 85, stopped.err)
        whole = (self.folder / "c.h5").read_bytes()
        flipped = bytearray(whole)
        flipped[len(whole) // 2] ^= 1
        for damaged in (bytes(flipped), whole[: len(whole) // 2], b""):
            (self.folder / "c.h5").write_bytes(damaged)
            for words in (["inspect", "c.h5"], [*chain, "--restart", "c.h5"]):
                self.assert_refused(self.run_here(*words), "c.h5")
            going_on = self.solved(*chain, "--restart", "auto", "--checkpoint", "c.h5")
            self.assertGreater(going_on["iterations_before"], 0)
            self.assertEqual((self.folder / "c.h5.damaged").read_bytes(), damaged)

    def test_trace_without_its_states(self):
        self.solved("solve", "--steps", 20, "--trace", "t.h5", "--trace-states", "all")
        inspected = self.run_here("inspect", "t.h5", "--json")
        self.assertEqual(inspected.code, 0, inspected.err)
        # a trace has no checksums: that it can be read is all that is known
        self.assertIs(inspected.report["readable"], True)
        self.assertNotIn("intact", inspected.report)
        (self.folder / "t.states.h5").unlink()
        self.assert_refused(self.run_here("inspect", "t.h5"), "t.h5", "/states")

    def test_full_disk(self):
        small = self.small_disk("1m")
        words = ["solve", "--width", 16, "--batch", 8]
        self.solved(*words, "--steps", 20, "--output", "small/o.h5", "--save-weights", "small/w.h5")
        before = {path.name: path.read_bytes() for path in small.iterdir()}
        for option in ("--save-weights", "--output", "--trace"):
            name = {"--save-weights": "w.h5", "--output": "o.h5", "--trace": "t.h5"}[option]
            more = ["--trace-states", "all"] if option == "--trace" else []
            if option == "--output":
                (small / "filler").write_bytes(b"x" * free_bytes(small))
            done = self.run_here(*words, "--steps", 4000, option, f"small/{name}", *more)
            self.assertIn(done.code, (1, 3), done.err)
            self.assertEqual(len(done.own_lines), 1, done.err)
            self.assertIn(name.split(".")[0], done.own_lines[0])
            for kept, content in before.items():
                self.assertEqual((small / kept).read_bytes(), content, kept)
            Path(small / "filler").unlink(missing_ok=True)


def free_bytes(folder):
    state = os.statvfs(folder)
    return state.f_bavail * state.f_frsize


if __name__ == "__main__":
    main()
