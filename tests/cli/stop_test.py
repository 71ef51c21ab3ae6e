"""Stopping in order, by each of the ways, and going on with another number of ranks."""
import signal

import h5py

from program import ProgramTest, Started, main, wait_for

CHAIN = ["solve", "--nonlinear", "newton", "--model", "mlp", "--gain", 2, "--steps", 8000, "--width", 8, "--batch", 4]
# The tolerance cannot be reached, so this run lasts for thousands of iterations: long enough to stop it.
ENDLESS = [*CHAIN, "--rtol", "1e-300", "--max-iterations", 1000000, "--json"]
INTERRUPTED = 85


def recorded(trace):
    """Iterations in a trace that a running solve writes."""
    try:
        with h5py.File(trace, "r", swmr=True) as file:
            return len(file["iterations/residual"])
    except (OSError, KeyError):
        return 0


class Stop(ProgramTest):
    def start(self, *words):
        """A run that has begun to iterate."""
        run = Started(*ENDLESS, "--trace", "run.h5", *words, cwd=self.folder)
        wait_for((self.folder / "run.h5").exists, "the trace of a running solve")
        return run

    def assert_stopped(self, done, cause, checkpoint):
        self.assertEqual(done.code, INTERRUPTED, done.err)
        self.assertEqual(done.report["status"], "interrupted")
        self.assertIn(cause, done.report["stopped_by"])
        self.assertEqual(done.report["checkpoint"], checkpoint)
        inspected = self.run_here("inspect", checkpoint, "--json", ranks=1)
        self.assertEqual(inspected.code, 0, inspected.err)
        self.assertIs(inspected.report["intact"], True)
        return done.report

    def go_on(self, checkpoint, ranks, stopped, *words):
        """The stopped run ends well on `ranks` ranks, and goes on where it was."""
        report = self.solved(*CHAIN, "--restart", checkpoint, "--verify", *words, ranks=ranks)
        self.assertEqual(report["status"], "converged")
        self.assertEqual(report["iterations_before"],
                         stopped["iterations_before"] + stopped["iterations"])
        # residuals of 1e-10 grow by the chain's own sensitivity, which is below 1e3 here
        self.assertLessEqual(report["max_error"], 1e-7)
        return report

    def test_signals(self):
        for number in (signal.SIGUSR1, signal.SIGTERM):
            for rank in (0, 1):
                with self.subTest(signal=number, rank=rank):
                    run = self.start("--checkpoint", "c.h5")
                    run.signal_rank(rank, number)
                    self.assert_stopped(run.end(), f"signal {int(number)}", "c.h5")
                    (self.folder / "run.h5").unlink()

    def test_signal_by_mpirun_and_restart_on_other_ranks(self):
        run = self.start("--checkpoint", "c.h5")
        run.signal_mpirun(signal.SIGUSR1)
        stopped = self.assert_stopped(run.end(), "signal", "c.h5")
        self.go_on("c.h5", 3, stopped)
        self.go_on("c.h5", 1, stopped, "--trace", "run.h5")
        # the trace of the first part is kept
        for name, status, before in (("run.h5.1", b"interrupted", 0),
                                     ("run.h5", b"converged", stopped["iterations"])):
            with h5py.File(self.folder / name, "r") as file:
                self.assertEqual(file["outcome"].attrs["status"], status)
                self.assertEqual(file["outcome"].attrs["iterations_before"], before)

    def test_signal_in_the_fallback_ends_the_run(self):
        """Sequential substitution has no safe points: the signal must end it, not be swallowed."""
        run = Started("solve", "--nonlinear", "newton", "--block-layers", 6, "--gain", 2, "--steps", 100000, "--width", 8,
                      "--batch", 16, "--max-iterations", 0, "--trace", "run.h5", "--json",
                      cwd=self.folder)
        wait_for(lambda: recorded(self.folder / "run.h5") > 0, "the only record")
        run.signal_rank(0, signal.SIGTERM)
        self.assertNotEqual(run.end().code, 0)

    def test_stop_file(self):
        run = self.start()
        (self.folder / "STOP").touch()
        stopped = self.assert_stopped(run.end(), "STOP", "./deeppcr.ckpt.h5")
        self.assertFalse((self.folder / "STOP").exists(), "a stop file works once")
        self.go_on("auto", 3, stopped)

    def test_time_limit(self):
        done = self.run_here(*ENDLESS, "--max-hours", 1 / 3600, "--checkpoint", "c.h5")
        self.assert_stopped(done, "--max-hours", "c.h5")

    def test_save_and_go_on(self):
        run = self.start("--checkpoint", "c.h5")
        run.signal_mpirun(signal.SIGUSR2)
        wait_for((self.folder / "c.h5").exists, "a checkpoint after SIGUSR2")
        self.assertIsNone(run.process.poll(), "SIGUSR2 must not end the run")
        run.signal_mpirun(signal.SIGUSR1)
        self.assert_stopped(run.end(), "signal", "c.h5")
        self.assertTrue((self.folder / "c.h5.1").exists(), "the older checkpoint is kept")

    def test_regular_checkpoints(self):
        run = self.start("--checkpoint", "c.h5", "--checkpoint-every", 0.005)
        wait_for((self.folder / "c.h5.1").exists, "two regular checkpoints")
        run.signal_mpirun(signal.SIGUSR1)
        self.assertEqual(run.end().code, INTERRUPTED)

    def test_kill_leaves_an_intact_checkpoint(self):
        run = self.start("--checkpoint", "c.h5", "--checkpoint-every", 0.001)
        wait_for((self.folder / "c.h5.1").exists, "checkpoints")
        run.kill_ranks()
        self.assertNotEqual(run.end().code, 0)
        report = self.solved(*CHAIN, "--restart", "auto", "--checkpoint", "c.h5", "--verify")
        self.assertGreater(report["iterations_before"], 0)
        self.assertLessEqual(report["max_error"], 1e-7)

    def test_auto_without_a_checkpoint_starts_afresh(self):
        report = self.solved("solve", "--steps", 5, "--restart", "auto")
        self.assertEqual(report["iterations_before"], 0)

    def test_checkpoint_of_another_run_is_refused(self):
        done = self.run_here(*ENDLESS, "--max-hours", 0.0001, "--checkpoint", "c.h5")
        self.assertEqual(done.code, INTERRUPTED, done.err)
        shorter = [9 if word == 8000 else word for word in CHAIN]
        for words, phrase in ((shorter, "8000"), ([*CHAIN, "--seed", 2], "seed"),
                              ([*CHAIN, "--data", "fashion-mnist"], "z_0")):
            self.assert_refused(self.run_here(*words, "--restart", "c.h5"), "c.h5", phrase)


if __name__ == "__main__":
    main()
