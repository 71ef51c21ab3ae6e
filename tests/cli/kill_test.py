"""Runs that are killed at random instants and started again end with the very numbers of the undisturbed run, bit for bit
but where BOUNDS says otherwise.

Arguments as in program.py. DEEPPCR_KILLS: how many (6). DEEPPCR_KILL_FOLDER: where runs and the state of this script stay, so
that it goes on there when it is called again, itself killed or with a larger number.
"""
import contextlib
import json
import os
import random
import re
import shutil
import signal
import tempfile
import time
import unittest
from collections import Counter
from pathlib import Path

import h5py
import numpy as np

from program import PROGRAM, RANKS, ProgramTest, Started, main, run, wait_for

KILLS = int(os.environ.get("DEEPPCR_KILLS", 6))
SEED = 20260131
SAVES = ["--checkpoint", "c.h5", "--checkpoint-every", 0.0005]
TRAIN = ["train", "--data", "random", "--samples", 256, "--test-samples", 64, "--batch", 16, "--steps", 48, "--width", 8,
         "--warm-up", 10, "--epochs", 30, "--shift", 1, "--evaluate-every", 10, "--data-ranks", RANKS, *SAVES]
SOLVE = ["solve", "--model", "mlp", "--activation", "tanh", "--gain", 1.5, "--steps", 6000, "--width", 8, "--batch", 4,
         "--max-iterations", 400, "--no-fallback", "--trace", "run.h5", "--trace-states", "all", *SAVES]
NETWORKS = Path(PROGRAM).parent.parent / "share/deeppcr/fashion_mnist.h5"
COMMANDS = {
    "train": TRAIN,
    "solve": [*SOLVE, "--nonlinear", "newton", "--steps", 40000],
    "windowed": [*SOLVE, "--nonlinear", "windowed", "--gain", 0.9],
    "generate": ["generate", "--samples", 4, "--steps", 200, "--method", "gaussian", "--window", 10, "--tolerance", 1e-4,
                 "--trace", "run.h5", "--trace-states", "all", *SAVES],
}
# Sweeps over all steps look at those done with again: to the tolerance (2e-10 here) the same, and no further.
BOUNDS = {"windowed": 1e-9}


def last_wins(words):
    """Without what a later word of the same option replaces."""
    options = {}
    name = None
    for word in map(str, words[1:]):
        if word.startswith("--"):
            name = word
            options[name] = []
        else:
            options[name].append(word)
    return [words[0], *(part for name, values in options.items() for part in (name, *values))]


def result(folder):
    """All numbers of a finished run that no clock has made."""
    arrays = {}
    with h5py.File(folder / "c.h5" if not (folder / "run.h5").exists() else folder / "run.h5", "r") as file:
        if "states" in file:
            return {"z": file["states/z"][()]}
        file.visititems(lambda name, item: arrays.update({name: item[()]})
                        if isinstance(item, h5py.Dataset) else None)
    arrays["history/updates"] = arrays["history/updates"][:, :8]
    return arrays


def children(process):
    try:
        return [int(child) for child in Path(f"/proc/{process}/task/{process}/children").read_text().split()]
    except OSError:
        return []


def is_alive(process):
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


class Killed:
    """One command that is killed again and again."""

    def __init__(self, test, name, folder):
        self.test, self.folder, self.words = test, folder / name, last_wins(COMMANDS[name])
        self.name = name
        whole = folder / f"{name}.whole"
        if not (whole / "seconds").exists():
            shutil.rmtree(whole, ignore_errors=True)
            whole.mkdir(parents=True)
            start = time.monotonic()
            done = run(*self.words, "--quiet", cwd=whole)
            test.assertEqual(done.code, 0, f"{name}: {done.err}")
            (whole / "seconds").write_text(str(time.monotonic() - start))
        self.seconds = float((whole / "seconds").read_text())
        self.expected = result(whole)
        self.folder.mkdir(exist_ok=True)

    def start(self):
        return Started(*self.words, "--restart", "auto", "--quiet", cwd=self.folder)

    def kill(self, chance):
        """What was done, or "ended" where the run was faster."""
        started = self.start()
        mpirun = started.process.pid
        time.sleep(chance.uniform(0.05, 1.1) * self.seconds)
        ranks = children(mpirun) if RANKS > 1 else [mpirun]
        kind = chance.choice(["KILL ranks", "KILL ranks", "KILL rank", "KILL mpirun", "TERM mpirun", "TERM rank", "USR1 mpirun"])
        number = getattr(signal, "SIG" + kind.split()[0])
        aims = {"ranks": ranks, "rank": ranks[-1:], "mpirun": [mpirun]}[kind.split()[1]]
        ended = started.process.poll() is not None
        for process in aims if not ended else []:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, number)
        done = started.end()
        # without its mpirun a rank may live on for a while
        wait_for(lambda: not any(map(is_alive, ranks)), "the end of the ranks", 60)
        self.check(done)
        if done.code == 0:
            self.compare(f"{kind}, {done.err}")
        return "ended" if ended else kind

    def check(self, done):
        """No word but those of an end in order."""
        for line in done.own_lines:
            self.test.assertRegex(line, r"^deeppcr: (interrupted|stopped by)", f"{self.name}: {done.err}")

    def finish(self):
        done = self.start().end()
        self.test.assertEqual(done.code, 0, f"{self.name}: {done.err}")
        self.compare(done.err)

    def compare(self, what):
        ours = result(self.folder)
        self.test.assertEqual(set(ours), set(self.expected), f"{self.name}: {what}")
        for array, values in self.expected.items():
            same = ours[array].shape == values.shape and (
                np.array_equal(ours[array], values, equal_nan=True)
                or np.abs(ours[array] - values).max() <= BOUNDS.get(self.name, 0))
            self.test.assertTrue(same, f"{self.name}: {array} differs from the undisturbed run: {what}")
        shutil.rmtree(self.folder)
        self.folder.mkdir()


class Kill(ProgramTest):
    def test_kills(self):
        folder = Path(os.environ.get("DEEPPCR_KILL_FOLDER", self.folder))
        folder.mkdir(exist_ok=True)
        file = folder / "state.json"
        state = json.loads(file.read_text()) if file.exists() else {"kills": 0, "ended": 0, "kinds": {}}
        runs = [Killed(self, name, folder) for name in COMMANDS if name != "generate" or NETWORKS.exists()]
        while state["kills"] < KILLS:
            number = state["kills"]
            kind = runs[number % len(runs)].kill(random.Random(f"{SEED}-{number}-{state['ended']}"))
            if kind == "ended":
                state["ended"] += 1
                continue
            state["kinds"] = dict(Counter(state["kinds"]) + Counter([f"{runs[number % len(runs)].name}: {kind}"]))
            state["kills"] = number + 1
            file.with_suffix(".new").write_text(json.dumps(state))
            file.with_suffix(".new").replace(file)
        for each in runs:
            each.finish()
        print(json.dumps(state, indent=1))


if __name__ == "__main__":
    main()
