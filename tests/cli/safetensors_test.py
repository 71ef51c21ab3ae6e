"""--weights from safetensors: the same states as from HDF5, and one sentence for files that are none."""
import json
import struct
import unittest

import h5py
import numpy as np

from program import RANKS, ProgramTest, main

n, L, T, d = 4, 12, 40, 3
CODES = {"F64": "<f8", "F32": "<f4", "F16": "<f2"}


def encode(dtype, values):
    """Bytes of float64 numbers that the type holds exactly; BF16 is the upper half of a float32."""
    if dtype == "BF16":
        return (values.astype("<f4").view("<u4") >> 16).astype("<u2").tobytes()
    return values.astype(CODES[dtype]).tobytes()


def held(dtype, values):
    """The nearest numbers below that the type holds, as float64."""
    if dtype == "BF16":
        return (values.astype("<f4").view("<u4") & 0xFFFF0000).view("<f4").astype(float)
    return values.astype(CODES[dtype]).astype(float)


def write(path, tensors, dtype="F32", metadata=None):
    header, data = {"__metadata__": {"format": "pt", **(metadata or {})}}, b""
    for name, values in sorted(tensors.items()):
        begin = len(data)
        data += encode(dtype, values)
        header[name] = {"dtype": dtype, "shape": values.shape, "data_offsets": [begin, len(data)]}
    text = json.dumps(header).encode()
    text += b" " * (1 - len(text) % 2)
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


class Safetensors(ProgramTest):
    def setUp(self):
        super().setUp()
        rng = np.random.default_rng(1)
        self.sequential = {"0.weight": rng.normal(size=(n, d)), "0.bias": rng.normal(size=n),
                           f"{2 * L + 2}.weight": rng.normal(size=(5, n)), f"{2 * L + 2}.bias": rng.normal(size=5)}
        for k in range(2, 2 * L + 2, 2):
            self.sequential[f"{k}.weight"] = rng.normal(size=(n, n)) / 2
            self.sequential[f"{k}.bias"] = rng.normal(size=n)
        self.gru = {f"rnn.{part}_l{k}": rng.normal(size=shape(k)) / 2 for k in range(2)
                    for part, shape in (("weight_ih", lambda k: (3 * n, n if k else d)), ("weight_hh", lambda k: (3 * n, n)),
                                        ("bias_ih", lambda k: 3 * n), ("bias_hh", lambda k: 3 * n))}
        with h5py.File(self.folder / "x.h5", "w") as file:
            file["inputs"] = rng.normal(size=(2, d))
        with h5py.File(self.folder / "t.h5", "w") as file:
            file["inputs"] = rng.normal(size=(2, T, d))

    def chain_in_hdf5(self, dtype):
        values = {name: held(dtype, array) for name, array in self.sequential.items()}
        with h5py.File(self.folder / "w.h5", "w") as file:
            for part in "weight", "bias":
                file[f"embedding/{part}"], file[f"head/{part}"] = values[f"0.{part}"], values[f"{2 * L + 2}.{part}"]
                file[f"layers/{part}"] = np.stack([values[f"{k}.{part}"] for k in range(2, 2 * L + 2, 2)])

    def last(self, command, weights, *words):
        self.solved(command, "--weights", weights, *words, "--output", "out.h5", "--force")
        with h5py.File(self.folder / "out.h5") as file:
            return {name: file[name][...] for name in ("z_last", "logits", "state") if name in file}

    def assert_same(self, one, other):
        self.assertEqual(one.keys(), other.keys())
        for name, values in one.items():
            self.assertTrue((values == other[name]).all(), name)

    def test_a_state_dict_gives_the_states_of_hdf5(self):
        words = ["--model", "mlp", "--activation", "tanh", "--input", "x.h5"]
        for dtype, solver in ("F64", "newton"), ("F32", "sequential"), ("F16", "newton"), ("BF16", "sequential"):
            with self.subTest(dtype=dtype):
                write(self.folder / "w.safetensors", self.sequential, dtype)
                self.chain_in_hdf5(dtype)
                found = self.last("solve", "w.safetensors", *words, "--nonlinear", solver)
                self.assertIn("z_last", found)
                self.assert_same(found, self.last("solve", "w.h5", *words, "--nonlinear", solver))

    def test_layers_in_one_tensor_and_what_the_file_says(self):
        rng = np.random.default_rng(2)
        weight = rng.normal(size=(9, 2, n, n)) / 3
        write(self.folder / "w.safetensors", {"layers/weight": weight}, "F64",
              {"model": "resnet", "activation": "relu", "residual-scale": "1/L"})
        with h5py.File(self.folder / "w.h5", "w") as file:
            file["layers/weight"] = weight
            file.attrs.update({"model": "resnet", "activation": "relu", "residual-scale": "1/L"})
        self.assert_same(*(self.last("solve", name, "--batch", 3) for name in ("w.safetensors", "w.h5")))

    def test_recurrent_cells_in_several_files(self):
        shards = {"gru-1.safetensors": "_l0", "gru-2.safetensors": "_l1"}
        names = {}
        for shard, end in shards.items():
            part = {name: array for name, array in self.gru.items() if name.endswith(end)}
            write(self.folder / shard, part)
            names.update(dict.fromkeys(part, shard))
        (self.folder / "gru.safetensors.index.json").write_text(json.dumps({"weight_map": names}))
        with h5py.File(self.folder / "w.h5", "w") as file:
            for name, array in self.gru.items():
                file[f"cell/{name[-1]}/{name[4:-3]}"] = held("F32", array)
        words = ["--input", "t.h5", "--nonlinear", "sequential"]
        self.assert_same(*(self.last("solve", name, *words) for name in ("gru.safetensors.index.json", "w.h5")))
        (self.folder / "gru-2.safetensors").unlink()
        self.assert_refused(self.run_here("solve", "--weights", "gru.safetensors.index.json", *words),
                            "gru-2.safetensors", "No such file")

    def test_what_is_read_is_never_written(self):
        names = dict.fromkeys(self.sequential, "a.safetensors")
        write(self.folder / "a.safetensors", self.sequential)
        (self.folder / "w.safetensors.index.json").write_text(json.dumps({"weight_map": names}))
        words = ["solve", "--weights", "w.safetensors.index.json", "--input", "x.h5", "--force", "--output"]
        for name in "a.safetensors", "w.safetensors.index.json":
            before = (self.folder / name).read_bytes()
            self.assert_refused(self.run_here(*words, name), name)
            self.assertEqual((self.folder / name).read_bytes(), before)

    def test_hdf5_gets_no_name_of_safetensors(self):
        self.assert_refused(self.run_here("solve", "--steps", 4, "--save-weights", "w.safetensors"), "--save-weights", "HDF5")
        self.assertFalse((self.folder / "w.safetensors").exists())

    def test_odd_files_are_refused(self):
        path = self.folder / "w.safetensors"
        write(path, self.sequential)
        good = path.read_bytes()
        header = good[8:]
        damaged = {"truncated": good[:-1], "bytes behind": good + b"0", "fewer than 8": good[:5], "header has": good[:99],
                   "no JSON": good[:8] + b"[" + header[1:], "holds 'F8'": good.replace(b'"F32"', b'"F8" ', 1)}
        for phrase, data in damaged.items():
            path.write_bytes(data)
            self.assert_refused(self.run_here("solve", "--weights", path.name, "--input", "x.h5"), phrase, path.name)
        odd = {"no weight beside": {"0.bias": np.zeros(n)}, "no layer [n, n]": {"0.weight": np.zeros((n, d))},
               "some are missing": {f"{k}.weight": np.eye(n) for k in (0, 1, 3)},
               "cannot be told": {"one.weight": np.eye(n), "two.weight": np.eye(n)},
               "'conv.weight'": {"conv.weight": np.zeros((n, n, 3))}}
        for phrase, tensors in odd.items():
            write(path, tensors)
            self.assert_refused(self.run_here("solve", "--weights", path.name), phrase)
        self.assert_refused(self.run_here("solve", "--weights", "none.safetensors"), "none.safetensors", "No such file")

    @unittest.skipIf(RANKS > 1, "one rank looks")
    def test_inspect_lists_the_tensors(self):
        write(self.folder / "w.safetensors", self.sequential, metadata={"model": "mlp"})
        report = self.solved("inspect", "w.safetensors")
        self.assertEqual((report["steps"], report["width"], report["metadata"]["model"]), (L, n, "mlp"))
        self.assertIn({"name": "0.weight", "shape": [n, d]}, report["datasets"])
        write(self.folder / "w.safetensors", {"conv.weight": np.zeros((2, 2, 3, 3))})
        self.assertIn("conv.weight", self.solved("inspect", "w.safetensors")["weights"])


if __name__ == "__main__":
    main()
