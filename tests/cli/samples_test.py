"""Samples are looked at before any work: sizes, labels, numbers; what a run cannot use ends it at once."""
import gzip
import struct
import unittest

import h5py
import numpy as np

from program import RANKS, ProgramTest, main

TRAIN = ["train", "--steps", 8, "--width", 8, "--batch", 16]
CHAIN = ["--model", "mlp", "--steps", 8, "--width", 4]

one_rank = unittest.skipIf(RANKS > 1, "all ranks see the same sizes and labels")


class Samples(ProgramTest):
    def images(self, name, training=(8, 8, 4), test=(8, 8, 4), between="-", zipped=False):
        """A folder of IDX files: height, width and classes of its two sets."""
        (self.folder / name).mkdir()
        rng = np.random.default_rng(5)
        for prefix, count, (height, width, classes) in (("train", 64, training), ("t10k", 32, test)):
            labels = np.arange(count) % classes
            pixels = rng.integers(0, 256, (count, height, width))
            for kind, values in (("images{}idx3", pixels), ("labels{}idx1", labels)):
                head = struct.pack(f">BBBB{values.ndim}I", 0, 0, 8, values.ndim, *values.shape)
                data = head + values.astype(np.uint8).tobytes()
                path = f"{prefix}-{kind.format(between)}-ubyte" + (".gz" if zipped else "")
                (self.folder / name / path).write_bytes(gzip.compress(data) if zipped else data)
        return ["--data", name]

    def samples(self, name, inputs, labels=None):
        with h5py.File(self.folder / name, "w") as file:
            file["inputs"] = inputs
            if labels is not None:
                file["labels"] = labels
        return ["--input", name]

    def refuse(self, words, *phrases):
        """Before the first update: no file is there afterwards that was not there before."""
        before = sorted(self.folder.iterdir())
        self.assert_refused(self.run_here(*words), *phrases)
        self.assertEqual(sorted(self.folder.iterdir()), before)

    def test_test_images_must_fit_the_training(self):
        larger = self.images("larger", test=(28, 28, 4))
        turned = self.images("turned", (4, 16, 4), (16, 4, 4))
        more = self.images("more", test=(8, 8, 12))
        new = ["--trace", "t.h5", "--checkpoint", "c.h5"]
        self.refuse([*TRAIN, *new, *larger], "larger", "28 x 28", "8 x 8")
        self.refuse([*TRAIN, *new, *turned], "turned", "16 x 4", "4 x 16")
        self.refuse([*TRAIN, *new, *more], "--data more", "test image 10", "label 10", "10 classes")
        coded = ["train", "--model", "autoencoder", "--width", 4, "--hidden", 8, "--batch", 16]
        self.refuse([*coded, *new, *larger], "larger", "28 x 28", "8 x 8")
        self.solved(*coded, *more, "--checkpoint", "a.h5")  # it asks for no labels
        noise = ["train", "--model", "denoiser", "--autoencoder", "a.h5", "--batch", 16]
        self.refuse([*noise, *new, *more, "--conditional"], "--data more", "label 10")

    @one_rank
    def test_a_network_that_is_there_must_fit_the_images(self):
        large = self.images("large", (28, 28, 4), (28, 28, 4))
        many = self.images("many", (8, 8, 14), (8, 8, 12))
        more = self.images("more", test=(8, 8, 14))
        own = self.images("own")
        self.solved(*TRAIN, *own, "--checkpoint", "c.h5", "--save-weights", "w.h5")
        for words, too_large in ((["evaluate", "--restart", "c.h5"], True),
                                 (["evaluate", "--restart", "c.h5"], False),
                                 ([*TRAIN, "--restart", "c.h5"], True),
                                 ([*TRAIN, "--weights", "w.h5"], False)):
            data, phrases = ((large, ["28 x 28 = 784", f"{words[-1]} takes 64"]) if too_large else
                             (more, ["label 10", "10 classes", words[-1]]))
            self.refuse([*words, *data], data[1], *phrases)
        # classes are those of the network, not of the images that it is scored on
        self.solved(*TRAIN, *many, "--checkpoint", "m.h5", "--save-weights", "wm.h5")
        self.assertEqual(len(self.solved("evaluate", "--restart", "m.h5", *own)["confusion"]), 14)
        done = self.run_here(*TRAIN, *more, "--weights", "wm.h5", "--quiet", "--checkpoint", "n.h5")
        self.assertEqual(done.code, 0, done.err)
        self.assertIn("test images have labels that no training image has", done.err)
        self.solved(*TRAIN, *more, "--restart", "n.h5")
        done = self.run_here(*TRAIN, *own, "--quiet")
        self.assertEqual((done.code, done.err), (0, ""))

    @one_rank
    def test_shifts_leave_something_of_an_image(self):
        data = self.images("flat", (4, 16, 4), (4, 16, 4))
        self.refuse([*TRAIN, *data, "--shift", 4], "--shift 4", "4 x 16", "3 at most")
        self.solved(*TRAIN, *data, "--shift", 3)

    @one_rank
    def test_names_of_files(self):
        for zipped in (False, True):
            self.solved(*TRAIN, *self.images(f"dots{zipped}", between=".", zipped=zipped))
        (self.folder / "empty").mkdir()
        self.refuse([*TRAIN, "--data", "empty"], "'empty'", "train-images-idx3-ubyte.gz",
                    "train-images.idx3-ubyte.gz")

    @one_rank
    def test_a_loss_of_labels_needs_them(self):
        x = np.ones((5, 4))
        bare = self.samples("bare.h5", x)
        self.solved("solve", *CHAIN, *bare)
        self.refuse(["gradient", *CHAIN, *bare], "bare.h5", "no /labels", "--data random")
        self.refuse(["gradient", *CHAIN, *bare, "--loss", "squared-error"], "bare.h5", "/labels")
        wide = self.samples("wide.h5", x, np.array([0, 1, 2, 3, 4]))
        self.solved("gradient", *CHAIN, *wide)
        self.refuse(["gradient", *CHAIN, *wide, "--loss", "squared-error"], "label 4", "--width")
        self.refuse([*TRAIN, *self.images("ten", (4, 4, 10), (4, 4, 10)), "--loss", "squared-error"],
                    "label 9", "--width of 10")
        self.solved("solve", *CHAIN, "--save-weights", "w.h5")
        with h5py.File(self.folder / "w.h5", "a") as file:
            del file["head"]
        done = self.run_here("gradient", "--model", "mlp", "--weights", "w.h5", *wide, "--quiet")
        self.assertEqual(done.code, 0, done.err)
        self.assertIn("w.h5 has no /head", done.err)

    @one_rank
    def test_attributes_that_nobody_reads_are_named(self):
        words = self.samples("x.h5", np.ones((5, 4)))
        with h5py.File(self.folder / "x.h5", "a") as file:
            file["inputs"].attrs["scale"] = 255
            file["inputs"].attrs["units"] = "mV"
        done = self.run_here("solve", *CHAIN, *words, "--quiet")
        self.assertEqual(done.code, 0, done.err)
        self.assertEqual(done.err.count("scale of /inputs"), 1, done.err)
        self.assertNotIn("units", done.err)

    def test_inputs_and_labels_are_checked(self):
        x = np.ones((5, 4))
        # the others are in the unit test of io::read_batch()
        table = [("none", x[:0], [], ["/inputs", "[0, 4]"]),
                 ("wrap", x, [0, 1, 2, 3, 2**32 + 5], ["4294967301", "row 4"]),
                 ("huge", x, [0, 1, 2, 3, 2**31 - 2], ["2147483646", "GiB"]),
                 ("text", x, np.array([b"a"] * 5), ["/labels", "5 whole numbers"])]
        for name, inputs, labels, phrases in table[:: 1 if RANKS == 1 else 2]:
            with self.subTest(name=name):
                words = self.samples(f"{name}.h5", inputs, np.array(labels))
                self.refuse(["gradient", *CHAIN, *words], f"{name}.h5", *phrases)
        self.refuse(["solve", *CHAIN, "--input", "none.h5"], "none.h5", "[0, 4]")

    @one_rank
    def test_samples_must_fit_the_weights(self):
        self.solved("solve", *CHAIN, "--save-weights", "w.h5")
        six = self.samples("six.h5", np.ones((5, 6)))
        self.refuse(["solve", "--model", "mlp", "--weights", "w.h5", *six], "six.h5", "6 features",
                    "4 numbers", "/embedding")
        self.solved("solve", *CHAIN, *six)  # all of it by the seed

    @one_rank
    def test_held_out_images_must_fit_the_autoencoder(self):
        small = self.images("small")
        self.refuse(["generate", "--samples", 4, "--steps", 3, "--held-out", small[1]],
                    "--held-out small", "64", "784")


if __name__ == "__main__":
    main()
