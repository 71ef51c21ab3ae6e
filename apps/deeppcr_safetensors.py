"""Reads tensors as the library safetensors stores them, in one file or in several that an index names."""
import json
import struct
from pathlib import Path

from deeppcr_files import Refused, require_file
from deeppcr_tensors import import_torch

SUFFIX, INDEX = ".safetensors", ".safetensors.index.json"
METADATA = "__metadata__"
MOST_HEADER_BYTES = 100_000_000  # as the library itself has it
# By PyTorch's names; whole numbers too, so that whoever wants weights can say what they are.
DTYPES = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16", "I64": "int64", "I32": "int32",
          "I16": "int16", "I8": "int8", "U8": "uint8", "BOOL": "bool"}


def is_safetensors(path):
    return path.name.endswith((SUFFIX, INDEX))


def parse(data, what):
    def no_name_twice(pairs):
        names = [name for name, _ in pairs]
        twice = next((name for name in names if names.count(name) > 1), None) if len(set(names)) < len(names) else None
        if twice is not None:
            raise Refused(f"{what} has '{twice}' twice")
        return dict(pairs)

    try:
        found = json.loads(data, object_pairs_hook=no_name_twice)
    except (ValueError, RecursionError) as error:
        raise Refused(f"{what} is no JSON: it is damaged") from error
    if not isinstance(found, dict):
        raise Refused(f"{what} is no JSON object: it is damaged")
    return found


def whole_numbers(value):
    return isinstance(value, list) and all(type(number) is int and number >= 0 for number in value)


def tensor_of(name, entry, data):
    """One tensor, of its part of the bytes behind the header."""
    torch = import_torch()
    entry = entry if isinstance(entry, dict) else {}
    shape, offsets = entry.get("shape"), entry.get("data_offsets")
    if not whole_numbers(shape) or not whole_numbers(offsets) or len(offsets) != 2:
        raise Refused(f"'{name}' has no shape and data_offsets in whole numbers: the header is damaged")
    if str(entry.get("dtype")) not in DTYPES:
        raise Refused(f"'{name}' holds '{entry.get('dtype')}'; known here: {', '.join(DTYPES)}")
    dtype = getattr(torch, DTYPES[entry["dtype"]])
    begin, end = offsets
    count = 1
    for size in shape:
        count *= size
    if end - begin != count * torch.empty(0, dtype=dtype).element_size():
        raise Refused(f"'{name}' has {end - begin} bytes, which its shape {shape} does not need: the header is damaged")
    if end > len(data):
        raise Refused(f"it ends before its tensor '{name}' does: it is truncated, or its header is damaged")
    if count == 0:
        return torch.empty(shape, dtype=dtype)
    return torch.frombuffer(bytearray(data[begin:end]), dtype=dtype).reshape(shape)


def load_one(path):
    """Tensors by name, and the texts of the metadata."""
    require_file(path)
    data = memoryview(path.read_bytes())
    if len(data) < 8:
        raise Refused("it is no safetensors file: it has fewer than 8 bytes")
    length = struct.unpack("<Q", data[:8])[0]
    if length > min(len(data) - 8, MOST_HEADER_BYTES):
        raise Refused(f"it says that its header has {length} bytes, more than there are or can be: it is truncated or no "
                      "safetensors file")
    header = parse(bytes(data[8:8 + length]), "its header")
    metadata = header.pop(METADATA, {})
    tensors = {name: tensor_of(name, entry, data[8 + length:]) for name, entry in header.items()}
    end = 0
    for begin, after in sorted(entry["data_offsets"] for entry in header.values()):
        if begin != end:
            raise Refused(f"a tensor starts at byte {begin}, but the one before it ends at {end}: the header is damaged")
        end = after
    if end != len(data) - 8 - length:
        raise Refused(f"it has {len(data) - 8 - length - end} bytes behind its last tensor: it is damaged")
    return tensors, metadata if isinstance(metadata, dict) else {}


def files_of(path):
    """File -> the tensors that the index wants of it; the file's own name alone where path is no index."""
    if not path.name.endswith(INDEX):
        return {path: None}
    require_file(path)
    places = parse(path.read_bytes(), "it").get("weight_map")
    if not isinstance(places, dict):
        raise Refused("it has no weight_map, which says where each tensor is")
    files = {}
    for name, file in places.items():
        if not isinstance(file, str) or not file.endswith(SUFFIX) or Path(file).name != file:
            raise Refused(f"it gives no NAME{SUFFIX} beside itself for the tensor '{name}', but {file!r}")
        files.setdefault(path.parent / file, set()).add(name)
    return files


def load_safetensors(path):
    """Tensors by name, the texts of the metadata, and the files that were read."""
    tensors, metadata, files = {}, {}, files_of(path)
    for file, wanted in files.items():
        try:
            found, texts = load_one(file)
        except Refused as error:
            raise Refused(f"{file.name}: {error}" if file != path else str(error)) from error
        odd = sorted(wanted ^ set(found)) if wanted is not None else []
        if odd:
            raise Refused(f"{file.name} and the index do not agree on the tensor '{odd[0]}'")
        tensors.update(found)
        metadata.update(texts)
    return tensors, metadata, [path, *files]
