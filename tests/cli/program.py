"""Runs the program under test and looks at what it did.

Arguments of each test script: the program, the number of ranks, the words that start mpirun up to its number of ranks.
"""
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

PROGRAM = sys.argv[1]
BENCH = str(Path(PROGRAM).with_name("deeppcr-bench"))
RANKS = int(sys.argv[2])
MPIRUN = sys.argv[3:]
TIMEOUT = 120


class Run:
    """A finished run: its exit code and what it printed."""

    def __init__(self, code, out, err):
        self.code, self.out, self.err = code, out, err

    @property
    def own_lines(self):
        """What the program said on stderr, without mpirun's remarks."""
        return [line for line in self.err.splitlines() if line.startswith("deeppcr:")]

    @property
    def report(self):
        return json.loads(self.out)


def command(words, ranks=None):
    """One rank runs without mpirun: that must work too, and is quicker to end."""
    start = [] if (ranks or RANKS) == 1 else [*MPIRUN, str(ranks or RANKS)]
    return [*start, PROGRAM, *map(str, words)]


def run(*words, ranks=None, cwd=None, env=None, timeout=TIMEOUT):
    process = subprocess.Popen(command(words, ranks), cwd=cwd, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True,
                               env={**os.environ, **(env or {})})
    return Run(*ended(process, lambda limit: process.communicate(timeout=limit), timeout))


def ended(process, wait, timeout):
    """Exit code and what wait() gave; a run that hangs is ended with all its ranks, and the test fails."""
    try:
        result = wait(timeout)
    except subprocess.TimeoutExpired:
        process.terminate()  # mpirun ends its ranks; a kill would leave them behind
        wait(timeout)
        raise
    return [process.returncode, *(result if isinstance(result, tuple) else ())]


class Started:
    """A run under way, with its output in files."""

    def __init__(self, *words, ranks=None, cwd):
        self.out = open(Path(cwd) / "stdout.txt", "w+", encoding="utf-8")
        self.err = open(Path(cwd) / "stderr.txt", "w+", encoding="utf-8")
        self.process = subprocess.Popen(command(words, ranks), cwd=cwd, stdout=self.out,
                                        stderr=self.err)

    def rank_ids(self):
        """Process ids of the ranks, which mpirun has started."""
        mpirun = self.process.pid
        children = Path(f"/proc/{mpirun}/task/{mpirun}/children").read_text().split()
        names = {child: Path(f"/proc/{child}/comm").read_text().strip() for child in children}
        return [int(child) for child, name in names.items() if name == Path(PROGRAM).name]

    def signal_mpirun(self, number):
        self.process.send_signal(number)

    def signal_rank(self, rank, number):
        os.kill(self.rank_ids()[rank], number)

    def kill_ranks(self):
        """Kill -9 for all ranks; mpirun may have ended some as soon as it misses the first."""
        for process in self.rank_ids():
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)

    def end(self, timeout=TIMEOUT):
        code = ended(self.process, self.process.wait, timeout)[0]
        texts = []
        for file in (self.out, self.err):
            file.seek(0)
            texts.append(file.read())
            file.close()
        return Run(code, *texts)


def wait_for(condition, what, timeout=60):
    """Waits until condition() holds; a test that waits for longer has failed."""
    limit = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > limit:
            raise AssertionError(f"waited {timeout} s for {what}")
        time.sleep(0.05)


class ProgramTest(unittest.TestCase):
    """Each test works in a new folder of its own."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="deeppcr-cli-")
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def small_disk(self, size):
        """A folder "small" that takes no more than so much; without the right to make one the test is skipped."""
        small = self.folder / "small"
        small.mkdir()
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(small)],
                                 capture_output=True, check=False)
        if mounted.returncode != 0:
            self.skipTest("no right to mount a small file system here")
        self.addCleanup(subprocess.run, ["umount", str(small)], check=True)
        return small

    def run_here(self, *words, **settings):
        return run(*words, cwd=self.folder, **settings)

    def solved(self, *words, **settings):
        """The JSON report of a run that must succeed."""
        done = self.run_here(*words, "--json", **settings)
        self.assertEqual(done.code, 0, done.err)
        return done.report

    def assert_refused(self, done, *phrases):
        """Exit code 1, nothing on stdout, one line on stderr that has all phrases."""
        self.assertEqual(done.code, 1, done.err)
        self.assertEqual(done.out, "")
        self.assertEqual(len(done.own_lines), 1, done.err)
        for phrase in phrases:
            self.assertIn(phrase, done.own_lines[0])


def main():
    unittest.main(argv=[sys.argv[0], "-v"])
