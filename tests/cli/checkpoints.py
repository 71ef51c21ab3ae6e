"""What tests of training compare in checkpoints."""
import h5py


def contents(path):
    """All arrays of a checkpoint but scores and the seconds that steps took."""
    with h5py.File(path, "r") as file:
        arrays = {}
        file.visititems(lambda name, item: arrays.update({name: item[()]}) if isinstance(item, h5py.Dataset) else None)
    arrays["history/updates"] = arrays["history/updates"][:, :8]
    arrays.pop("history/evaluations", None)
    return arrays
