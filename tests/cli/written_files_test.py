"""What a run may write over: files of its own kind, through links; nothing else, and never what it reads."""
import os
import stat
import unittest

import h5py
import numpy as np

from program import ProgramTest, RANKS, main, run

SOLVE = ("solve", "--steps", 6, "--width", 4, "--batch", 2, "--quiet")
WRITES = {"trace": "t.h5", "output": "o.h5", "save-weights": "w.h5"}


ONE_RANK = unittest.skipIf(RANKS > 1, "decided by rank 0 alone, as the other tests are")


def is_root():
    return os.geteuid() == 0


class WrittenFiles(ProgramTest):
    def setUp(self):
        super().setUp()
        with h5py.File(self.folder / "foreign.h5", "w") as file:
            file["temperature"] = np.arange(5.0)
        with h5py.File(self.folder / "in.h5", "w") as file:
            file["inputs"] = np.ones((2, 4))
        (self.folder / "notes.txt").write_text("mine\n")

    def kept(self, *words, name, phrases=()):
        """The run is refused, and the file stays as it was."""
        before = (self.folder / name).read_bytes()
        self.assert_refused(self.run_here(*words), name, *phrases)
        self.assertEqual((self.folder / name).read_bytes(), before)

    def test_files_of_the_same_kind_are_replaced(self):
        for _ in range(2):
            words = [word for option, name in WRITES.items() for word in (f"--{option}", name)]
            done = self.run_here(*SOLVE, *words, "--trace-states", "all")
            self.assertEqual((done.code, done.err), (0, ""))

    @ONE_RANK
    def test_an_earlier_checkpoint_is_named(self):
        words = ("train", "--data", "random", "--samples", 64, "--test-samples", 16, "--steps", 4, "--width", 8, "--quiet")
        self.assertEqual(self.run_here(*words, "--checkpoint", "c.h5").err, "")
        again = self.run_here(*words, "--checkpoint", "c.h5")
        self.assertEqual(again.code, 0)
        self.assertIn("--restart auto", again.err)
        self.assertIn("without --checkpoint", self.run_here(*words, "--restart", "c.h5", "--epochs", 2).err)
        whole = (self.folder / "c.h5").read_bytes()
        for name in ("c.h5", "c.h5.1"):
            (self.folder / name).write_bytes(whole[:5000])
        self.assert_refused(self.run_here(*words, "--checkpoint", "c.h5", "--restart", "auto"), "c.h5.1", "intact")
        self.assertEqual((self.folder / "c.h5.1").read_bytes(), whole[:5000])
        (self.folder / "c.h5.1").write_bytes(whole)
        self.assertEqual(self.run_here(*words, "--checkpoint", "c.h5", "--restart", "auto", "--epochs", 2).code, 0)
        self.assertEqual((self.folder / "c.h5.damaged").read_bytes(), whole[:5000])

    def test_other_files_are_kept_unless_forced(self):
        for option in WRITES if RANKS == 1 else ["output"]:
            for name in ("foreign.h5", "notes.txt"):
                self.kept(*SOLVE, f"--{option}", name, name=name, phrases=("--force",))
                self.assertEqual(self.run_here(*SOLVE, f"--{option}", name, "--force").code, 0)
                self.setUp_again(name)
        self.kept(*SOLVE, "--checkpoint", "notes.txt", name="notes.txt")
        self.run_here(*SOLVE, "--output", "o.h5")
        self.kept(*SOLVE, "--save-weights", "o.h5", name="o.h5", phrases=("deeppcr-results",))

    def setUp_again(self, name):
        if name == "notes.txt":
            (self.folder / name).write_text("mine\n")
        else:
            with h5py.File(self.folder / name, "w") as file:
                file["temperature"] = np.arange(5.0)

    @ONE_RANK
    def test_companions_are_kept_too(self):
        self.setUp_again("notes.txt")
        for companion, words in (("c.h5.1", ("--checkpoint", "c.h5")), ("o.h5.tmp", ("--output", "o.h5")),
                                 ("t.states.h5", ("--trace", "t.h5", "--trace-states", "all")),
                                 ("o.h5.lock", ("--output", "o.h5")), ("deeppcr.ckpt.h5.1", ()),
                                 ("deeppcr.ckpt.h5", ())):
            (self.folder / companion).write_text("mine\n")
            self.kept(*SOLVE, *words, name=companion)
            (self.folder / companion).unlink()

    def test_what_the_run_reads_is_never_written(self):
        self.run_here(*SOLVE, "--save-weights", "w.h5")
        (self.folder / "link.h5").symlink_to("in.h5")
        os.link(self.folder / "w.h5", self.folder / "hard.h5")
        reads = ("solve", "--weights", "w.h5", "--input", "in.h5", "--quiet")
        for option, name in (("output", "in.h5"), ("output", "link.h5"), ("save-weights", "w.h5"),
                             ("save-weights", "hard.h5"), ("trace", "in.h5")):
            self.kept(*reads, f"--{option}", name, "--force", name=name, phrases=("reads that file",))
        (self.folder / "run.ini").write_text("[solve]\nsteps = 6\n")
        self.kept("solve", "--config", "run.ini", "--output", "run.ini", "--force", name="run.ini")
        self.run_here(*SOLVE, "--trace", "t.h5", "--trace-states", "all")
        self.kept(*SOLVE, "--guess", "t.h5", "--trace", "t.h5", name="t.h5")
        for companion in ("m.h5.tmp", "m.h5.lock"):
            (self.folder / "w.h5").rename(self.folder / companion)
            self.kept("solve", "--weights", companion, "--output", "m.h5", name=companion, phrases=("reads that file",))
            (self.folder / companion).rename(self.folder / "w.h5")

    def test_links_stay_links(self):
        (self.folder / "store").mkdir()
        for option, name in WRITES.items():
            (self.folder / name).symlink_to(f"store/{name}")
        words = [word for option, name in WRITES.items() for word in (f"--{option}", name)]
        for _ in range(2):
            self.assertEqual(self.run_here(*SOLVE, *words).code, 0)
        for name in WRITES.values():
            self.assertTrue((self.folder / name).is_symlink(), name)
            self.assertTrue(h5py.is_hdf5(self.folder / "store" / name), name)

    @ONE_RANK
    def test_one_file_by_two_options(self):
        (self.folder / "other.h5").symlink_to("o.h5")
        for second in ("o.h5", "./o.h5", "other.h5", "o.h5.tmp", "o.h5.lock"):
            self.assert_refused(self.run_here(*SOLVE, "--output", "o.h5", "--save-weights", second), "give two names")

    @unittest.skipIf(is_root(), "root writes everywhere")
    def test_write_protected_files_are_kept(self):
        self.run_here(*SOLVE, "--output", "o.h5")
        (self.folder / "o.h5").chmod(0o444)
        self.kept(*SOLVE, "--output", "o.h5", name="o.h5", phrases=("write-protected",))

    def test_rights_stay(self):
        self.run_here(*SOLVE, "--output", "o.h5", "--trace", "t.h5")
        for name in ("o.h5", "t.h5"):
            (self.folder / name).chmod(0o600)
        self.run_here(*SOLVE, "--output", "o.h5", "--trace", "t.h5")
        for name in ("o.h5", "t.h5"):
            self.assertEqual(stat.S_IMODE((self.folder / name).stat().st_mode), 0o600, name)

    def test_devices_pipes_and_folders(self):
        os.mkfifo(self.folder / "pipe")
        (self.folder / "folder").mkdir()
        (self.folder / "through").symlink_to("pipe")
        names = {"pipe": "a FIFO", "through": "a FIFO", "folder": "a folder"}
        if is_root():
            try:
                os.mknod(self.folder / "node", stat.S_IFCHR | 0o600, os.makedev(1, 3))
                names["node"] = "a device"
            except PermissionError:
                pass  # a container without the right to make nodes
        for name, phrase in names.items():
            for option in WRITES if RANKS == 1 else ["output"]:
                self.assert_refused(self.run_here(*SOLVE, f"--{option}", name, "--force"), name, phrase)
        self.assertTrue(stat.S_ISFIFO((self.folder / "pipe").stat().st_mode))

    def test_long_paths(self):
        deep = self.folder / ("d" * 120) / ("e" * 120)
        deep.mkdir(parents=True)
        self.assert_refused(self.run_here(*SOLVE, "--output", deep / "o.h5"), "a path of")
        for option, name in WRITES.items():
            done = run(*SOLVE, f"--{option}", deep / name, cwd=deep)
            self.assertEqual((done.code, done.err), (0, ""), option)

    @ONE_RANK
    def test_pictures(self):
        words = ("generate", "--samples", 1, "--steps", 2, "--method", "sequential", "--quiet")
        for _ in range(2):
            self.assertEqual(self.run_here(*words, "--image", "grid.png").code, 0)
        picture = (self.folder / "grid.png").read_bytes()
        self.assertIn(b"Software\0deeppcr", picture)
        (self.folder / "grid.png").write_bytes(picture.replace(b"Software\0deeppcr", b"Software\0another"))
        self.kept(*words, "--image", "grid.png", name="grid.png", phrases=("another program",))


class WeightsFiles(ProgramTest):
    """What a weights file says of its model."""

    def write(self, name, **attributes):
        with h5py.File(self.folder / name, "w") as file:
            file["layers/weight"], file["layers/bias"] = np.eye(4)[None].repeat(3, 0), np.ones((3, 4))
            file.attrs.update(attributes)

    def test_is_obeyed_or_refused(self):
        self.write("w.h5", model="mlp", activation="relu")
        self.assertEqual(self.solved("solve", "--weights", "w.h5", "--batch", 2)["model"], "mlp")
        config = self.run_here("solve", "--weights", "w.h5", "--batch", 2, "--quiet", "--trace", "t.h5")
        self.assertEqual(config.code, 0)
        with h5py.File(self.folder / "t.h5") as file:
            self.assertIn("activation = relu", str(file.attrs["configuration"]))
        for option, value in (("model", "resnet"), ("activation", "tanh")):
            self.assert_refused(self.run_here("solve", "--weights", "w.h5", f"--{option}", value),
                                f"--{option} {value}", "w.h5", "leave the option out")

    @ONE_RANK
    def test_unknown_words(self):
        self.write("w.h5", model="transformer")
        self.assert_refused(self.run_here("solve", "--weights", "w.h5"), "transformer", "mlp, resnet")
        self.write("w.h5", model="mlp", activation="snake")
        self.assert_refused(self.run_here("solve", "--weights", "w.h5"), "activation", "snake")
        self.write("w.h5", model="mlp", epochs=7, seed="x", note="from a friend")
        run = self.run_here("solve", "--weights", "w.h5", "--batch", 2, "--quiet")
        self.assertEqual(run.code, 0)
        lines = [line for line in run.err.splitlines() if line]
        self.assertEqual(len(lines), 2, run.err)
        self.assertIn("epochs, seed", lines[0])
        self.assertIn("--activation tanh", lines[1])

    @ONE_RANK
    def test_other_spellings_and_values(self):
        with h5py.File(self.folder / "w.h5", "w") as file:
            file["layers/weight"], file["layers/bias"] = np.ones((3, 2, 4, 4)), np.ones((3, 2, 4))
            file.attrs.update({"model": "resnet", "layer_norm": True, "Activation": "relu", "width": 4})
        done = self.run_here("solve", "--weights", "w.h5", "--batch", 2, "--quiet", "--trace", "t.h5")
        self.assertEqual((done.code, done.err), (0, ""))
        with h5py.File(self.folder / "t.h5") as file:
            for line in ("layer-norm = true", "activation = relu"):
                self.assertIn(line, str(file.attrs["configuration"]))
        for name, value, phrase in (("width", 5, "width is 5"), ("activation", ["relu", "tanh"], "not one text"),
                                    ("format", "deeppcr-checkpoint", "deeppcr-checkpoint")):
            self.write("w.h5", **{"model": "mlp", name: value})
            self.assert_refused(self.run_here("solve", "--weights", "w.h5"), phrase)
        self.write("w.h5", model="mlp", activation="tanh")
        with h5py.File(self.folder / "w.h5", "a") as file:
            file["layers/weight"].attrs["dimensions"] = ["step", "in", "out"]
        self.assert_refused(self.run_here("solve", "--weights", "w.h5"), "transpose")

    def test_saved_weights_say_their_model(self):
        words = ("--steps", 5, "--width", 4, "--residual-scale", "1/L", "--layer-norm", "--activation", "relu")
        self.solved("solve", *words, "--batch", 2, "--save-weights", "w.h5", "--output", "one.h5")
        self.solved("solve", "--weights", "w.h5", "--batch", 2, "--output", "two.h5")
        with h5py.File(self.folder / "one.h5") as one, h5py.File(self.folder / "two.h5") as two:
            np.testing.assert_array_equal(one["z_last"], two["z_last"])


if __name__ == "__main__":
    main()
