"""The number of ranks changes neither weights nor samples nor, to rounding, results."""
import h5py
import numpy as np

from program import ProgramTest, main

WORDS = ["--steps", 41, "--width", 6, "--batch", 3]


class SameResult(ProgramTest):
    def read(self, name, *datasets):
        with h5py.File(self.folder / name, "r") as file:
            return [file[dataset][:] for dataset in datasets]

    def test_weights_states_and_gradients(self):
        losses = []
        for ranks in (1, 2, 3):
            report = self.solved("gradient", *WORDS, "--save-weights", f"w{ranks}.h5", "--output",
                                 f"g{ranks}.h5", ranks=ranks)
            losses.append(report["loss"])
        for ranks in (2, 3):
            for ours, theirs in zip(self.read(f"w{ranks}.h5", "layers/weight", "head/weight"),
                                    self.read("w1.h5", "layers/weight", "head/weight")):
                np.testing.assert_array_equal(ours, theirs)
            datasets = ["z_last", "input_gradient", "gradients/layers/weight"]
            for name, ours, theirs in zip(datasets, self.read(f"g{ranks}.h5", *datasets),
                                          self.read("g1.h5", *datasets)):
                # each solve stops within 1e-10 of the largest state
                np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-9 * abs(theirs).max(),
                                           err_msg=name)
            self.assertAlmostEqual(losses[ranks - 1], losses[0], delta=1e-9)

    def test_trace_states_are_the_trajectory(self):
        for ranks in (1, 3):
            self.solved("solve", *WORDS, "--trace", f"t{ranks}.h5", "--trace-states", "all",
                        ranks=ranks)
        one, three = (self.read(f"t{ranks}.h5", "states/z")[0] for ranks in (1, 3))
        self.assertEqual(one.shape, (42, 3, 6))
        np.testing.assert_allclose(one, three, rtol=0, atol=1e-9 * abs(one).max())

    def test_warm_start_from_a_trace(self):
        self.solved("solve", *WORDS, "--trace", "t.h5", "--trace-states", "all", ranks=3)
        report = self.solved("solve", *WORDS, "--guess", "t.h5", ranks=2)
        self.assertEqual(report["iterations"], 0)


if __name__ == "__main__":
    main()
