"""Signals before the first step and behind the last, one run a file, and restarts with other options."""
import os
import signal
import subprocess
import time
from pathlib import Path

import h5py

from program import BENCH, PROGRAM, ProgramTest, Started, main, wait_for

INTERRUPTED = 85
REPOSITORY = Path(__file__).resolve().parents[2]
TRAIN = ["train", "--data", "random", "--samples", 64, "--test-samples", 16, "--batch", 8, "--steps", 8, "--width", 4]
ENDLESS = [*TRAIN, "--epochs", 1000000, "--evaluate-every", 0]


class OneRank(ProgramTest):
    """Runs without mpirun, that a signal reaches at once."""

    def start(self, *words):
        return Started(*words, ranks=1, cwd=self.folder)

    def handles(self, process, number):
        """Whether a process has a handler for a signal, which is the start of its main."""
        status = Path(f"/proc/{process}/status").read_text(encoding="ascii")
        caught = next(int(line.split()[1], 16) for line in status.splitlines() if line.startswith("SigCgt"))
        return bool(caught >> (number - 1) & 1)

    def test_signals_before_the_first_step(self):
        commands = {"train": [*ENDLESS, "--checkpoint", "c.h5", "--trace", "t.h5"],
                    "solve": ["solve", "--steps", 4000000, "--width", 2, "--trace", "t.h5", "--output", "o.h5"],
                    "sequential": ["solve", "--nonlinear", "sequential", "--steps", 1000000, "--width", 2, "--trace", "t.h5"],
                    "generate": ["generate", "--trace", "t.h5", "--image", "i.png"]}
        for name, words in commands.items():
            for number in (signal.SIGTERM, signal.SIGUSR1):
                with self.subTest(command=name, signal=number):
                    started = self.start(*words)
                    while not self.handles(started.process.pid, number):
                        time.sleep(0.001)
                    for one in (signal.SIGUSR2, number, number):
                        started.process.send_signal(one)
                    done = started.end()
                    self.assertEqual(done.code, INTERRUPTED, done.err)
                    self.assertIn(f"signal {int(number)}", done.own_lines[0])
                    self.assertIn("nothing done yet, no file", done.own_lines[0])
                    self.assertEqual({path.name for path in self.folder.iterdir()}, {"stdout.txt", "stderr.txt"})

    def test_a_signal_behind_the_last_step_changes_nothing(self):
        """The last checkpoint and the scores are written."""
        words = [20000 if word == 16 else word for word in TRAIN]  # test samples: their score takes a while
        started = self.start(*words, "--epochs", 30, "--evaluate-every", 0, "--checkpoint", "c.h5", "--checkpoint-steps", 240,
                             "--checkpoint-every", 0, "--json")
        wait_for((self.folder / "c.h5").exists, "the checkpoint of the last update")
        started.process.send_signal(signal.SIGTERM)
        done = started.end()
        self.assertEqual(done.code, 0, done.err)
        self.assertEqual((done.report["status"], done.report["test_samples"]), ("converged", 20000))

    def test_a_command_without_safe_points_ends_at_once(self):
        process = subprocess.Popen([BENCH], cwd=self.folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(0.3)
        process.terminate()
        self.assertEqual(process.wait(30), -signal.SIGTERM)

    def test_the_first_checkpoint_comes_early(self):
        started = self.start(*ENDLESS, "--checkpoint", "c.h5")
        wait_for((self.folder / "c.h5").exists, "a checkpoint", timeout=20)
        started.process.kill()
        started.end()
        going_on = self.run_here(*ENDLESS, "--max-hours", 1e-9, "--restart", "auto", "--checkpoint", "c.h5", "--log-level",
                                 "info", ranks=1)
        self.assertEqual(going_on.code, INTERRUPTED, going_on.err)
        self.assertIn("going on from c.h5", going_on.err)

    def test_one_run_a_file(self):
        started = self.start(*ENDLESS, "--checkpoint", "c.h5", "--trace", "t.h5")
        wait_for((self.folder / "t.h5").exists, "the trace")
        for option, name in (("checkpoint", "c.h5"), ("trace", "t.h5")):
            second = self.run_here(*TRAIN, f"--{option}", name)
            self.assert_refused(second, f"--{option} {name}", "another run", f"process {started.process.pid} on")
        started.process.kill()
        started.end()
        done = self.run_here(*TRAIN, "--checkpoint", "c.h5", "--trace", "t.h5")
        self.assertEqual(done.code, 0, done.err)
        self.assertEqual(list(self.folder.glob("*.lock")), [])

    def test_what_a_killed_run_has_left_is_replaced(self):
        """HDF5 writes the beginning of a file last."""
        (self.folder / "c.h5.tmp").write_bytes(bytes(96) + b"rows of numbers" * 1000)
        (self.folder / "c.h5.lock").write_text("process 1 on nowhere since long ago")
        done = self.run_here(*TRAIN, "--checkpoint", "c.h5", "--restart", "auto", ranks=1)
        self.assertEqual(done.code, 0, done.err)
        self.assertEqual({path.name for path in self.folder.iterdir()}, {"c.h5"})

    def test_restart_with_other_options(self):
        self.assertEqual(self.run_here(*TRAIN, "--max-steps", 3, "--checkpoint", "c.h5", ranks=1).code, 0)
        go_on = [*TRAIN, "--restart", "c.h5", "--save-weights", "w.h5"]
        for words in (["--activation", "relu"], ["--layer-norm"], ["--residual-scale", "1/L"]):
            self.assert_refused(self.run_here(*go_on, *words, ranks=1), words[0], "c.h5", "start afresh")
        same = self.run_here(*go_on, "--quiet", ranks=1)
        self.assertEqual((same.code, same.err), (0, ""))
        for words in (["--optimiser", "adam"], ["--learning-rate", 0.1], ["--flip"]):
            other = self.run_here(*go_on, *words, "--quiet", ranks=1)
            self.assertEqual(other.code, 0, other.err)
            self.assertEqual(len(other.err.splitlines()), 1)
            self.assertIn(words[0], other.err)

    def test_sampling_goes_on_to_the_same_numbers(self):
        words = ["generate", "--samples", 2, "--steps", 40, "--method", "gaussian", "--window", 8, "--tolerance", 1e-4,
                 "--keep-trajectory"]
        self.solved(*words, "--output", "whole.h5", "--checkpoint", "c.h5", "--checkpoint-every", 1e-9, ranks=1)
        self.assert_refused(self.run_here(*words, "--output", "part.h5", "--restart", "c.h5.1", "--sampler", "ddim"), "eta 0", "c.h5.1")
        report = self.solved(*words, "--output", "part.h5", "--restart", "c.h5.1", ranks=1)
        self.assertGreater(report["iterations_before"], 0)
        # A run that finds nothing left to do writes the same again.
        for _ in range(2):
            self.solved(*words, "--output", "part.h5", "--restart", "c.h5", "--checkpoint", "c.h5", "--checkpoint-every", 1e-9,
                        ranks=1)
            with h5py.File(self.folder / "c.h5") as file:
                self.assertEqual(int(file["progress"].attrs["frozen_prefix"]), 40)
        tighter = self.solved(*words[:-3], "--tolerance", 1e-9, "--restart", "c.h5.1", "--verify", ranks=1)
        self.assertLess(tighter["max_error"], 1e-8)
        with h5py.File(self.folder / "whole.h5") as whole, h5py.File(self.folder / "part.h5") as part:
            self.assertTrue((whole["trajectory"][()] == part["trajectory"][()]).all())


class Scripts(ProgramTest):
    """The batch scripts with a srun and a scontrol of our own."""

    def test_files_of_options_are_those_of_the_submit_folder(self):
        (self.folder / "job_scripts").symlink_to(REPOSITORY / "job_scripts")
        tools = self.folder / "tools"
        tools.mkdir()
        for name, text in (("srun", 'while [[ $1 == --* ]]; do shift; done\nexec "$@"'), ("scontrol", "")):
            (tools / name).write_text(f"#!/bin/bash\n{text}\n")
            (tools / name).chmod(0o755)
        self.solved("solve", "--model", "mlp", "--steps", 12, "--width", 4, "--save-weights", "w.h5", ranks=1)
        done = subprocess.run(["bash", "job_scripts/solve.sbatch", "--model", "mlp", "--weights", "w.h5"], cwd=self.folder,
                              env={**os.environ, "PATH": f"{tools}:{os.environ['PATH']}", "SLURM_SUBMIT_DIR": str(self.folder),
                                   "SLURM_JOB_ID": "9", "SLURM_JOB_NODELIST": "here", "DEEPPCR": PROGRAM},
                              capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 0, done.stderr)
        results = self.folder / "runs/solve-9"
        self.assertTrue({"report.json", "run.h5", "environment.txt"} <= {path.name for path in results.iterdir()})
        self.assertIn('"steps":12', (results / "report.json").read_text())

    def test_sigterm_to_a_script_stops_its_run_in_order(self):
        words = " ".join(map(str, [*ENDLESS, "--checkpoint", "c.h5"]))
        script = f'source "{REPOSITORY}/job_scripts/setup.sh"; run_mpi 2 "{PROGRAM}" {words}'
        process = subprocess.Popen(["bash", "-c", script], cwd=self.folder, stdout=subprocess.DEVNULL,
                                   stderr=subprocess.PIPE, text=True)
        wait_for((self.folder / "c.h5").exists, "a checkpoint", timeout=30)
        process.terminate()
        err = process.communicate(timeout=60)[1]
        self.assertEqual(process.returncode, INTERRUPTED, err)


if __name__ == "__main__":
    main()
