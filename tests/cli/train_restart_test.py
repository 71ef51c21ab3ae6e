"""A training run that is stopped or killed goes on as if nothing had happened: bit for bit on the same grid."""
import os
import random
import signal
import time

import h5py
import numpy as np

from program import ProgramTest, Started, main, wait_for

INTERRUPTED = 85
RUN = ["train", "--data", "random", "--samples", 256, "--test-samples", 64, "--batch", 16,
       "--steps", 48, "--width", 8, "--warm-up", 10, "--learning-rate", 0.01, "--shift", 1,
       "--quiet"]
KILLS = {1: 16, 2: 4}  # how often a run on so many ranks is killed


def contents(path):
    """All arrays of a checkpoint but the seconds that steps took."""
    with h5py.File(path, "r") as file:
        arrays = {}
        file.visititems(lambda name, item: arrays.update({name: item[()]})
                        if isinstance(item, h5py.Dataset) else None)
    arrays["history/updates"] = arrays["history/updates"][:, :8]
    return arrays


def updates(path):
    try:
        with h5py.File(path, "r") as file:
            return int(file["progress"].attrs["iteration"])
    except (OSError, KeyError):
        return -1  # not there yet


def kill_ranks(run, ranks, after, ready=lambda: True):
    """Kills all ranks so many seconds after they have come up and ready() has held."""
    try:
        wait_for(lambda: ranks == 1 or len(run.rank_ids()) == ranks, "the ranks")
        wait_for(ready, "a checkpoint")
        time.sleep(after)
        for process in [run.process.pid] if ranks == 1 else run.rank_ids():
            os.kill(process, signal.SIGKILL)
    except (FileNotFoundError, ProcessLookupError):
        pass  # it has ended by itself


class Restart(ProgramTest):
    def train(self, *words, code=0, **settings):
        done = self.run_here(*RUN, *words, **settings)
        self.assertEqual(done.code, code, done.err)
        return done

    def assert_equal(self, path, expected, bound=0.0):
        ours = contents(self.folder / path)
        self.assertEqual(set(ours), set(expected))
        for name, values in expected.items():
            self.assertEqual(ours[name].shape, values.shape, name)
            difference = np.abs(ours[name] - values).max()
            self.assertLessEqual(difference, bound * np.abs(values).max(), name)

    def undisturbed(self, *words):
        self.train("--checkpoint", "whole.h5", *words)
        return contents(self.folder / "whole.h5")

    def test_goes_on_bit_for_bit(self):
        for words in (["--linear", "sequential", "--data-ranks", 2],
                      ["--linear", "hybrid", "--depth-ranks", 2],
                      ["--linear", "hybrid", "--data-ranks", 2, "--keep-trajectories", 200],
                      ["--linear", "sequential", "--optimiser", "sgd", "--nesterov"]):
            with self.subTest(words=words):
                words = [*words, "--epochs", 3]
                expected = self.undisturbed(*words)
                self.assertEqual(len(expected["history/updates"]), 48)
                self.train(*words, "--checkpoint", "c.h5", "--max-steps", 21)  # within an epoch
                self.train(*words, "--checkpoint", "c.h5", "--restart", "c.h5", "--trace", "run.h5")
                parts = contents(self.folder / "c.h5")
                # scores were also taken where the first part ended
                del parts["history/evaluations"]
                for name, values in parts.items():
                    self.assertTrue((values == expected[name]).all(), name)
                with h5py.File(self.folder / "run.h5", "r") as file:
                    self.assertTrue((file["training/loss"][:] == expected["history/updates"][:, 2]).all())

    def test_another_grid_gives_the_same_to_rounding(self):
        words = ["--epochs", 2, "--linear", "sequential"]
        expected = self.undisturbed(*words, "--evaluate-every", 0)
        self.train(*words, "--checkpoint", "c.h5", "--max-steps", 13, "--data-ranks", 2)
        for ranks, grid in ((4, ["--depth-ranks", 2]), (1, []), (3, ["--depth-ranks", 3])):
            with self.subTest(ranks=ranks):
                (self.folder / f"{ranks}.h5").write_bytes((self.folder / "c.h5").read_bytes())
                self.train(*words, "--restart", "auto", "--checkpoint", f"{ranks}.h5", *grid,
                           ranks=ranks)
                ours = contents(self.folder / f"{ranks}.h5")
                for name in ("parameters/layers", "parameters/embedding", "parameters/head"):
                    error = np.abs(ours[name] - expected[name]).max() / np.abs(expected[name]).max()
                    self.assertLessEqual(error, 1e-9, name)

    def test_signals_stop_files_and_limits(self):
        words = ["--epochs", 2000, "--checkpoint", "c.h5", "--checkpoint-steps", 10]
        for stop in ("USR1", "TERM", "STOP"):
            with self.subTest(stop=stop):
                run = Started(*RUN, *words, "--restart", "auto", cwd=self.folder)
                before = updates(self.folder / "c.h5")
                wait_for(lambda: updates(self.folder / "c.h5") > before, "a checkpoint")
                if stop == "STOP":
                    (self.folder / "STOP").write_text("")
                else:
                    run.signal_rank(1, getattr(signal, f"SIG{stop}"))
                done = run.end()
                self.assertEqual(done.code, INTERRUPTED, done.err)
                self.assertGreater(updates(self.folder / "c.h5"), before)
        self.assertFalse((self.folder / "STOP").exists())
        self.train(*words, "--restart", "auto", "--max-hours", 1e-4, code=INTERRUPTED)

    def test_killed_at_random_instants(self):
        """The parameters at the end are those of the undisturbed run, whenever it was killed."""
        for ranks, kills in KILLS.items():
            with self.subTest(ranks=ranks):
                path = self.folder / f"{ranks}.h5"
                words = ["--epochs", 20, "--evaluate-every", 0, "--data-ranks", ranks,
                         "--checkpoint-steps", 10]
                start = time.monotonic()
                self.train("--checkpoint", "whole.h5", *words, ranks=ranks)
                length = time.monotonic() - start
                words += ["--checkpoint", path.name, "--restart", "auto"]
                instants = random.Random(ranks)
                reached, halfway = -1, 0  # no checkpoint yet
                for kill in range(kills):
                    run = Started(*RUN, *words, ranks=ranks, cwd=self.folder)
                    # However slow this machine is, the last kill comes right behind a checkpoint.
                    if kill < kills - 1:
                        kill_ranks(run, ranks, instants.uniform(0.05, 1) * length)
                    else:
                        kill_ranks(run, ranks, 0, lambda: updates(path) > 0)
                    done = run.end()
                    found = max(updates(path), updates(path.with_name(path.name + ".1")))
                    self.assertGreaterEqual(found, reached, f"went back at kill {kill}: {done.err}")
                    reached = found
                    halfway += done.code != 0 and 0 < found
                    if done.code == 0 and kill < kills - 1:  # came too late: from the start again
                        path.unlink(missing_ok=True)
                        path.with_name(path.name + ".1").unlink(missing_ok=True)
                        reached = -1
                self.assertGreater(halfway, 0)
                self.train(*words, ranks=ranks)
                self.assert_equal(path.name, contents(self.folder / "whole.h5"))

    def test_checkpoints_of_other_runs_are_refused(self):
        self.train("--checkpoint", "c.h5", "--max-steps", 4)
        for words, phrase in ((["--width", 9], "width"), (["--steps", 49], "49"), (["--seed", 5], "seed"),
                              (["--batch", 8], "batch"), (["--block-layers", 3], "--block-layers 3"),
                              (["--optimiser", "sgd"], "momentum")):
            with self.subTest(words=words):
                changed = [word for word in RUN]
                for name, value in zip(words[::2], words[1::2]):
                    if name in changed:
                        changed[changed.index(name) + 1] = value
                    else:
                        changed += [name, value]
                self.assert_refused(self.run_here(*changed, "--restart", "c.h5"), "c.h5", phrase)
        whole = (self.folder / "c.h5").read_bytes()
        (self.folder / "c.h5").write_bytes(whole[:-100])
        self.assert_refused(self.run_here(*RUN, "--restart", "c.h5"), "c.h5", "truncated")


if __name__ == "__main__":
    main()
