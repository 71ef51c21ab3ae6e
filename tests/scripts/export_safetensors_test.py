#!/usr/bin/python3
"""Tests of export_pytorch.py on .safetensors. Exit code 77 (skipped) where PyTorch is missing."""
import json
import struct
import sys
import tempfile
import unittest
from pathlib import Path

import h5py
import numpy as np
from run_script import assert_refused, run_here

try:
    import torch
    from torch import nn
except ImportError:
    print("skipped: PyTorch is not installed (Debian: python3-torch)")
    sys.exit(77)

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "safetensors"
DTYPES = {torch.float64: "F64", torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16", torch.int64: "I64"}


def pack(header, data=b""):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def encoded(state, metadata=None):
    """A state_dict as bytes, in the order of its names, as the library has it."""
    header, data = {"__metadata__": {"format": "pt", **(metadata or {})}}, b""
    for name, tensor in sorted(state.items()):
        begin = len(data)
        data += tensor.contiguous().view(torch.uint8).numpy().tobytes()
        header[name] = {"dtype": DTYPES[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [begin, len(data)]}
    return pack(header, data)


class ExportSafetensors(unittest.TestCase):
    def setUp(self):
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.source, self.output = self.folder / "net.safetensors", self.folder / "w.h5"

    def export(self, source, *words, said=""):
        process = run_here("export_pytorch.py", source, "-o", self.output, *words)
        self.assertEqual(process.returncode, 0, process.stderr)
        self.assertIn(said, process.stderr)
        with h5py.File(self.output) as file:
            found = {"attributes": dict(file.attrs)}
            file.visititems(lambda name, item: found.update({name: item[...]} if isinstance(item, h5py.Dataset) else {}))
        return found

    def refuse(self, data, *phrases, name="net.safetensors", words=()):
        (self.folder / name).write_bytes(data)
        with self.subTest(phrases=phrases):
            process = run_here("export_pytorch.py", self.folder / name, "-o", self.output, *words)
            assert_refused(self, process, "cannot export", *phrases)
            self.assertFalse(self.output.exists())

    def test_the_same_as_from_torch_save(self):
        torch.manual_seed(0)
        for dtype in torch.float64, torch.float32, torch.bfloat16, torch.float16:
            net = nn.Sequential(nn.Linear(3, 4), *(nn.Linear(4, 4) for _ in range(12)), nn.Linear(4, 2)).to(dtype)
            torch.save(net.state_dict(), self.folder / "net.pt")
            self.source.write_bytes(encoded(net.state_dict()))
            expected = self.export(self.folder / "net.pt")
            found = self.export(self.source)
            self.assertEqual(found.pop("attributes")["source"], str(self.source))
            del expected["attributes"]
            self.assertEqual(found.keys(), expected.keys())
            for name, values in found.items():
                self.assertEqual(values.dtype, expected[name].dtype)
                np.testing.assert_array_equal(values, expected[name])

    def test_golden_files(self):
        found = self.export(GOLDEN / "net.safetensors")
        np.testing.assert_array_equal(found["layers/weight"][1], [[5.0, -5.125], [5.25, -5.375]])
        np.testing.assert_array_equal(found["head/bias"], [22.5, -22.625, 22.75, -22.875])
        found = self.export(GOLDEN / "gru.safetensors.index.json")
        self.assertEqual(found["attributes"]["cell"], "gru")
        np.testing.assert_array_equal(found["cell/1/weight_hh"][:2], [[15.0, -15.125], [15.25, -15.375]])

    def test_the_metadata_may_say_the_activation(self):
        self.source.write_bytes(encoded(nn.RNN(2, 3).state_dict(), {"activation": "relu"}))
        self.assertEqual(self.export(self.source)["attributes"]["activation"], "relu")

    def test_damage_and_oddity(self):
        entry = {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16]}
        data = b"\0" * 16
        self.refuse(b"1234", "fewer than 8")
        self.refuse(struct.pack("<Q", 99) + b"{}", "header has 99 bytes")
        self.refuse(pack(b"{"), "no JSON")
        self.refuse(pack(b"[]"), "no JSON object")
        self.refuse(pack(b'{"a": 1, "a": 2}'), "'a' twice")
        self.refuse(pack({"a": 1}), "'a' has no shape")
        self.refuse(pack({"a": entry}, data[1:]), "truncated")
        self.refuse(pack({"a": entry}, data + data), "16 bytes behind")
        self.refuse(pack({"a": entry, "b": entry}, data), "the header is damaged")
        self.refuse(pack({"a": {**entry, "shape": [2, 3]}}, data), "does not need")
        self.refuse(pack({"a": {**entry, "shape": [-2, -2]}}, data), "no shape")
        self.refuse(pack({"a": {**entry, "dtype": "F8_E5M2"}}, data), "F8_E5M2")
        self.refuse(encoded({"0.weight": torch.zeros(2, 2, dtype=torch.int64)}), "torch.int64")
        self.refuse(encoded({"first.weight": torch.eye(2), "second.weight": torch.eye(2)}), "order")
        index = {"weight_map": {"0.weight": "a.safetensors", "1.weight": "a.safetensors"}}
        name = "net.safetensors.index.json"
        self.refuse(json.dumps(index).encode(), "a.safetensors: there is no such file", name=name)
        (self.folder / "a.safetensors").write_bytes(encoded({"0.weight": torch.eye(2)}))
        self.refuse(json.dumps(index).encode(), "do not agree", "'1.weight'", name=name)
        self.refuse(b"{}", "no weight_map", name=name)
        self.refuse(b'{"weight_map": {"a": "../a.safetensors"}}', "beside itself", name=name)

    def test_hdf5_gets_no_name_of_safetensors(self):
        self.source.write_bytes(encoded({"0.weight": torch.eye(2)}))
        assert_refused(self, run_here("export_pytorch.py", self.source, "-o", self.folder / "out.safetensors"), "HDF5")

    def test_shards_are_never_replaced(self):
        (self.folder / "a.safetensors").write_bytes(encoded({"0.weight": torch.eye(2)}))
        index = self.folder / "net.safetensors.index.json"
        index.write_text(json.dumps({"weight_map": {"0.weight": "a.safetensors"}}))
        self.output.symlink_to("a.safetensors")
        assert_refused(self, run_here("export_pytorch.py", index, "-o", self.output, "--force"), "is read by this run")


if __name__ == "__main__":
    unittest.main(verbosity=2)
