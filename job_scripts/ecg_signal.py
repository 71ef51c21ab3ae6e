#!/usr/bin/python3
"""Makes sequences for `deeppcr --input FILE` of the electrocardiogram that SciPy ships (Debian: python3-scipy).

The recording has 108,000 samples, 360 a second, in millivolt: MIT-BIH arrhythmia database, record 208, 19:35 to 24:35. It
is cut into sequences of --steps samples that begin every --stride samples; what is left at its end is not used. The file
holds /inputs [B, T, 1] and /targets [B, T, 1], the next value after each input.
"""
import argparse
import importlib.util
import os
import sys
from pathlib import Path

PROGRAM = "ecg_signal.py"
try:
    import h5py
    import numpy as np
except ImportError as missing:
    sys.exit(f"{PROGRAM}: {missing} (Debian: python3-h5py)")

SOURCE = "scipy/misc/ecg.dat: MIT-BIH arrhythmia database, record 208, lead MLII, 19:35 to 24:35"
ZERO, PER_MILLIVOLT = 1024, 200  # of the converter's whole numbers


def find_recording():
    """The archive of Debian's SciPy; versions from 1.12 on have none."""
    scipy = importlib.util.find_spec("scipy")
    path = Path(scipy.origin).parent / "misc" / "ecg.dat" if scipy else None
    if path is None or not path.is_file():
        sys.exit(f"{PROGRAM}: {path or 'scipy'} is not there; install Debian's python3-scipy, or give --recording ecg.dat")
    return path


def read_recording(path):
    """All samples in millivolt."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            return (archive["ecg"].astype(float) - ZERO) / PER_MILLIVOLT
    except (OSError, KeyError, ValueError, TypeError, AttributeError) as error:
        sys.exit(f"{PROGRAM}: {path} is no archive with the array 'ecg': {error}")


def cut(signal, steps, stride):
    """Inputs and targets [B, T]; steps = 0: one sequence of all."""
    steps = steps or len(signal) - 1
    starts = np.arange(0, len(signal) - steps, stride or steps)
    if not len(starts):
        sys.exit(f"{PROGRAM}: {len(signal)} samples make no sequence of {steps} steps and the value after them")
    places = starts[:, None] + np.arange(steps)
    return signal[places], signal[places + 1]


def write(path, inputs, targets):
    """The file takes its name when it is whole."""
    unfinished = path.with_name(path.name + ".tmp")
    try:
        with h5py.File(unfinished, "w") as file:
            file.attrs["source"] = SOURCE
            for name, values, what in (("inputs", inputs, "electrocardiogram"), ("targets", targets, "the value after each")):
                dataset = file.create_dataset(name, data=values[:, :, None])
                dataset.attrs.update(long_name=what, units="mV", dimensions=["sample", "step", "feature"])
        os.replace(unfinished, path)
    except OSError as error:
        unfinished.unlink(missing_ok=True)
        sys.exit(f"{PROGRAM}: {path} cannot be written: {error}")


def parse():
    parser = argparse.ArgumentParser(prog=PROGRAM, description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=Path, required=True, help="the file of sequences (HDF5)")
    parser.add_argument("--steps", type=int, default=360, metavar="T", help="of a sequence; 0: one sequence of all (default: 360)")
    parser.add_argument("--stride", type=int, default=0, metavar="S", help="from one sequence to the next (default: T)")
    parser.add_argument("--first", type=int, default=0, metavar="SAMPLE", help="where to begin (default: 0)")
    parser.add_argument("--last", type=int, metavar="SAMPLE", help="where to end, this one not used (default: at the end)")
    parser.add_argument("--recording", type=Path, metavar="FILE", help="ecg.dat, where SciPy has it elsewhere")
    parser.add_argument("--force", action="store_true", help="replace the output")
    options = parser.parse_args()
    if options.steps < 0 or options.stride < 0 or options.first < 0:
        sys.exit(f"{PROGRAM}: --steps, --stride and --first are whole numbers from 0 on")
    return options


def main():
    options = parse()
    if options.output.exists() and not (options.force and options.output.is_file()):
        sys.exit(f"{PROGRAM}: {options.output} is there; --force replaces a file")
    signal = read_recording(options.recording or find_recording())
    inputs, targets = cut(signal[options.first:options.last], options.steps, options.stride)
    write(options.output, inputs, targets)
    print(f"{options.output}: {inputs.shape[0]} sequences of {inputs.shape[1]} steps, "
          f"{inputs.mean():.3f} +- {inputs.std():.3f} mV")


if __name__ == "__main__":
    main()
