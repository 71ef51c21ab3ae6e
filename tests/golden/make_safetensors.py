#!/usr/bin/python3
"""Writes tests/golden/safetensors: small files as the library safetensors writes them, by plain Python.

net.safetensors: nn.Sequential of 3 -> 2, three layers 2 -> 2 and 2 -> 4, in all four types, odd offsets among them.
gru.safetensors.index.json: nn.GRU of two layers in two files.
"""
import json
import struct
from pathlib import Path

FOLDER = Path(__file__).resolve().parent / "safetensors"
# Upper half of the float32 for BF16.
CODE = {"F64": lambda x: struct.pack("<d", x), "F32": lambda x: struct.pack("<f", x),
        "F16": lambda x: struct.pack("<e", x), "BF16": lambda x: struct.pack("<f", x)[2:]}


def write(name, tensors, metadata):
    """tensors: name -> (dtype, shape, values)."""
    header, data = {"__metadata__": metadata}, b""
    for tensor, (dtype, shape, values) in tensors.items():
        begin = len(data)
        data += b"".join(CODE[dtype](value) for value in values)
        header[tensor] = {"dtype": dtype, "shape": shape, "data_offsets": [begin, len(data)]}
    text = json.dumps(header).encode()
    text += b" " * (1 - len(text) % 2)  # an odd length, so that no number is aligned
    (FOLDER / name).write_bytes(struct.pack("<Q", len(text)) + text + data)


def numbered(first, count):
    """Eighths, which all four types hold exactly."""
    return [(-1) ** i * (first + i) / 8 for i in range(count)]


def main():
    FOLDER.mkdir(exist_ok=True)
    types = {0: "F32", 2: "BF16", 4: "F16", 6: "F64", 8: "BF16"}
    sizes = {0: (2, 3), 8: (4, 2)}
    net = {}
    for k, dtype in types.items():
        out, features = sizes.get(k, (2, 2))
        net[f"{k}.bias"] = dtype, [out], numbered(10 * k + 100, out)
        net[f"{k}.weight"] = dtype, [out, features], numbered(10 * k, out * features)
    write("net.safetensors", net, {"format": "pt", "model": "mlp", "activation": "relu"})

    weight_map = {}
    for layer, features in (0, 3), (1, 2):
        name = f"gru-0000{layer + 1}-of-00002.safetensors"
        parts = {"weight_ih": [6, features], "weight_hh": [6, 2], "bias_ih": [6], "bias_hh": [6]}
        tensors = {}
        for i, (part, shape) in enumerate(parts.items()):
            count = shape[0] * (shape + [1])[1]
            tensors[f"rnn.{part}_l{layer}"] = "F32", shape, numbered(100 * layer + 20 * i, count)
        write(name, tensors, {"format": "pt"})
        weight_map.update(dict.fromkeys(tensors, name))
    text = json.dumps({"metadata": {"total_size": 1}, "weight_map": weight_map}, indent=2)
    (FOLDER / "gru.safetensors.index.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
