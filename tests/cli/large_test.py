"""Long chains: exact, within the memory of their weights and states, with small traces and files in pieces."""
import h5py

from program import RANKS, ProgramTest, main

WIDTH, MIB = 8, 2**20
PROCESS = 128 * MIB  # code, libraries, pieces of files
UNEVEN = 1.1  # the longest part of a rank over the mean


def chain(steps):
    return ["--model", "mlp", "--steps", steps, "--width", WIDTH, "--batch", 1]


class Large(ProgramTest):
    def assert_memory(self, report, steps, arrays_of_states):
        weights, states = steps * (WIDTH * WIDTH + WIDTH) * 8, steps * WIDTH * 8
        self.assertLess(report["peak_bytes_per_rank"],
                        PROCESS + UNEVEN * (weights + arrays_of_states * states) / RANKS)

    def test_a_million_steps(self):
        steps = 10**6
        report = self.solved("solve", *chain(steps), "--verify", "--trace", "t.h5", "--trace-states", "every:2",
                             "--output", "out.h5")
        self.assertLess(report["max_error"], 1e-10)
        self.assert_memory(report, steps, 3)
        self.assertLess((self.folder / "t.h5").stat().st_size, MIB)
        with h5py.File(self.folder / "t.states.h5") as states, h5py.File(self.folder / "out.h5") as out:
            self.assertEqual(states["z"].shape, (steps // 2 + 1, 1, WIDTH))
            self.assertTrue((states["z"][-1] == out["z_last"][...]).all())

    def test_weights_are_written_and_read_in_pieces(self):
        steps = 250000
        for option, output in ("--save-weights", "one.h5"), ("--weights", "other.h5"):
            with self.subTest(option=option):
                report = self.solved("solve", *chain(steps), option, "w.h5", "--output", output)
                self.assert_memory(report, steps, 3)
        with h5py.File(self.folder / "one.h5") as one, h5py.File(self.folder / "other.h5") as other:
            self.assertTrue((one["z_last"][...] == other["z_last"][...]).all())


if __name__ == "__main__":
    main()
