"""Reads what torch.save() wrote, without running code from it: only tensors, dictionaries, lists and numbers."""
import collections
import io
import pickle
import sys
import zipfile

from deeppcr_files import Refused, first_line, require_file


def import_torch():
    try:
        import torch
    except ImportError as error:
        raise Refused("PyTorch is not installed (Debian: python3-torch)") from error
    return torch


class Foreign:
    """Stands for what is no plain tensor: a file is never asked to run code."""

    def __init__(self, *_, **__):
        pass

    def __setstate__(self, state):
        pass

    def __setitem__(self, key, value):
        pass

    def append(self, value):
        pass

    def extend(self, values):
        pass


STORAGES = {"DoubleStorage": "float64", "FloatStorage": "float32", "HalfStorage": "float16",
            "BFloat16Storage": "bfloat16", "LongStorage": "int64", "IntStorage": "int32", "ShortStorage": "int16",
            "CharStorage": "int8", "ByteStorage": "uint8", "BoolStorage": "bool", "ComplexFloatStorage": "complex64",
            "ComplexDoubleStorage": "complex128"}


def rebuild_tensor(values, offset, size, stride, *_):
    """A tensor from all values of its storage."""
    return values if isinstance(values, Foreign) else values.as_strided(size, stride, offset)


def rebuild_parameter(tensor, *_):
    return tensor


class TensorReader(pickle.Unpickler):
    """Reads the archive that torch.save() writes: tensors, dictionaries, lists, numbers; all else becomes Foreign.

    Not by torch.load(): with weights_only PyTorch 1.13 refuses every checkpoint that holds a number, and without it the
    file may run code (it ignores pickle_module).
    """

    KNOWN = {("collections", "OrderedDict"): collections.OrderedDict,
             ("torch._utils", "_rebuild_tensor"): rebuild_tensor,
             ("torch._utils", "_rebuild_tensor_v2"): rebuild_tensor,
             ("torch._utils", "_rebuild_parameter"): rebuild_parameter,
             ("torch._utils", "_rebuild_parameter_with_state"): rebuild_parameter}

    def __init__(self, archive, folder):
        super().__init__(io.BytesIO(archive.read(f"{folder}/data.pkl")), encoding="utf-8")
        self.archive, self.folder, self.storages = archive, folder, {}

    def find_class(self, module, name):
        return self.KNOWN.get((module, name)) or type(name, (Foreign,), {"__module__": module})

    def persistent_load(self, pid):
        _, storage, key, *_ = pid
        if storage.__name__ not in STORAGES:
            return storage()
        if key not in self.storages:
            torch = import_torch()
            dtype = getattr(torch, STORAGES[storage.__name__])
            data = bytearray(self.archive.read(f"{self.folder}/data/{key}"))
            self.storages[key] = torch.frombuffer(data, dtype=dtype) if data else torch.empty(0, dtype=dtype)
        return self.storages[key]


def load_archive(path):
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        folder = next((name[:-len("/data.pkl")] for name in names if name.endswith("/data.pkl")), None)
        if folder is None or f"{folder}/constants.pkl" in names:
            raise Refused("it is a zip archive or TorchScript, no file of torch.save(state_dict)")
        order = f"{folder}/byteorder"
        if order in names and archive.read(order).decode() != sys.byteorder:
            raise Refused("it was written on a machine of the other byte order")
        return TensorReader(archive, folder).load()


def load_old_file(path):
    """What torch.save() wrote before version 1.6; only tensors are read."""
    torch = import_torch()
    if "weights_only" not in torch.load.__code__.co_varnames:
        raise Refused(f"PyTorch {torch.__version__} cannot load old files safely; version 1.13 or newer can")
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if "Weights only" not in str(error):
            raise
        raise Refused("it holds more than tensors, or is no file of torch.save(); save model.state_dict()") from error


def load_file(path):
    """What torch.save() has put into a file."""
    require_file(path)
    import_torch()
    try:
        return load_archive(path) if zipfile.is_zipfile(path) else load_old_file(path)
    except Refused:
        raise
    except Exception as error:  # a damaged file can make pickle and torch raise anything
        raise Refused(f"it is no file of torch.save(state_dict): {first_line(error)}") from error
