"""Reads traces and bench files for deeppcr-plot: finished ones, and those that a running job extends.

Everything is read at once, so that what is drawn fits together whatever the job adds meanwhile.
"""
import csv
import os
import time

import h5py
import numpy as np
from deeppcr_files import Refused, first_line, require_file, text

BENCH_TEXTS = ("suite", "case", "method", "baseline")
BENCH_NUMBERS = ("ranks", "steps", "width", "batch", "seconds_median", "seconds_min",
                 "seconds_max", "speedup", "iterations", "peak_bytes", "chunks", "predicted")
WAITS = (0.1, 0.2, 0.4, 0.8)  # seconds before a busy file is looked at again
ITERATIONS = {"residual": 1, "step_norm": 1, "frozen_prefix": 1, "seconds": 2, "messages": 2, "bytes": 2}
TRAINING = {"update": 1, "loss": 1, "accuracy": 1, "learning_rate": 1, "seconds": 2}
ROC = {"false_positive_rate": 1, "true_positive_rate": 1}
EVALUATION = {"update": 1, "loss": 1, "accuracy": 1}
PREDICTIONS = {"frame": 1, "class": 1, "label": 1, "seconds": 1}
LEARNING = {"frame": 1, "loss": 1, "accuracy": 1, "seconds": 1}


class Busy(Refused):
    """The file is being written: a moment later it may be readable."""


# ---- HDF5 ------------------------------------------------------------------------------------------------------------

def open_hdf5(path):
    """Opens a finished file, or one that a running job still extends."""
    try:
        return h5py.File(path, "r")
    except OSError as first:
        try:
            return h5py.File(path, "r", swmr=True)
        except (OSError, ValueError):
            reason = str(first).lower()
        if "unable to lock" in reason:
            raise Busy("it is locked, by a running job or since its file system has no locks: "
                       "HDF5_USE_FILE_LOCKING=FALSE in the environment does without") from first
        if "truncated" in reason or "eof" in reason:
            raise Refused("it is truncated: the job that wrote it did not end in order") from first
        if "already open" in reason:
            raise Busy("it is open for writing by a running job; try again when that has ended, or after "
                       "h5clear -s FILE where it was killed") from first
        if "permission" in reason:
            raise Refused("it cannot be read: permission denied") from first
        raise Refused("it is neither HDF5 nor a CSV file of deeppcr-bench") from first


def numbers(file, name, dimensions):
    """A dataset of numbers with that many dimensions."""
    dataset = file.get(name)
    if not isinstance(dataset, h5py.Dataset):
        raise Refused(f"it has no dataset /{name}")
    if file.swmr_mode:
        dataset.refresh()
    if len(dataset.shape or ()) != dimensions or dataset.dtype.kind not in "iuf":
        raise Refused(f"/{name} is {dataset.dtype} {list(dataset.shape or ())}, but numbers in {dimensions} dimensions "
                      "were expected")
    return dataset[()]


def columns(file, group, dimensions):
    """Name -> dataset of a group that grows by rows, each cut to the rows that all have: a job may be adding one."""
    table = {name: numbers(file, f"{group}/{name}", count) for name, count in dimensions.items()}
    rows = min(len(column) for column in table.values())
    return {name: column[:rows] for name, column in table.items()}


def attributes(file, name):
    """Name -> value of a group's attributes; empty where there is no such group."""
    return dict(file[name].attrs) if name in file else {}


def stage_names(file, name, count):
    """What the columns of a dataset `seconds` stand for."""
    names = [text(stage) for stage in np.atleast_1d(file[name].attrs.get("stages", []))]
    return names if len(names) == count else [str(stage) for stage in range(count)]


def read_solve(file):
    """All that is drawn of a trace of solve, gradient or generate."""
    table = columns(file, "iterations", ITERATIONS)
    if len(table["residual"]) == 0:
        raise Refused("it is a trace without iterations so far")
    return table, stage_names(file, "iterations/seconds", table["seconds"].shape[1])


def read_training(file):
    """All that is drawn of a trace of train: updates, their stages, evaluations, confusion or None."""
    training = columns(file, "training", TRAINING)
    if len(training["loss"]) == 0:
        raise Refused("it is a trace without updates so far")
    evaluation = columns(file, "evaluation", EVALUATION) if "evaluation" in file else {"update": []}
    counts = numbers(file, "evaluation/confusion", 2) if "evaluation/confusion" in file else None
    return training, stage_names(file, "training/seconds", training["seconds"].shape[1]), evaluation, counts


def read_frames(file, group, dimensions):
    """All that is drawn of what a stream has predicted or learned."""
    table = columns(file, group, dimensions)
    if len(table["frame"]) == 0:
        raise Refused("it is a trace without frames so far")
    return table


def read_bench(file):
    group = file.get("rows")
    if not isinstance(group, h5py.Group) or "seconds_median" not in group or len(group["seconds_median"]) == 0:
        raise Refused("it is a bench file without rows")
    table = {name: group[name][()] for name in group}
    rows = min(len(column) for column in table.values())
    return bench_rows({name: column[:rows] for name, column in table.items()})


def read_open_file(file):
    """What is to be drawn, all of it in memory: (what it is, its parts)."""
    kind = text(file.attrs.get("format", ""))
    if kind == "deeppcr-bench":
        return "bench", (read_bench(file),)
    if kind == "deeppcr-results":
        if "roc" not in file:
            raise Refused("these results have no /roc, which deeppcr evaluate --output writes of two classes; sequences "
                          "are drawn with --signal")
        return "roc", (columns(file, "roc", ROC), float(file["roc"].attrs["area"]))
    if kind != "deeppcr-trace":
        raise Refused(f"its format is '{kind or 'unknown'}'; wanted: deeppcr-trace, deeppcr-bench, or deeppcr-results "
                      "with /roc")
    about = {**attributes(file, "problem"), **attributes(file, "outcome")}
    if "ranks" in file.attrs:
        about["ranks"] = file.attrs["ranks"]
    if "predictions" in file:
        return "predictions", (read_frames(file, "predictions", PREDICTIONS), about)
    if "learning" in file:
        return "learning", (read_frames(file, "learning", LEARNING), about)
    if "training" in file:
        return "training", (*read_training(file), about)
    if "iterations" in file:
        return "iterations", (*read_solve(file), about)
    raise Refused("it is a trace without iterations")


def stamp(path):
    found = os.stat(path)
    return found.st_ino, found.st_size, found.st_mtime_ns


def read_hdf5(path):
    """As read_open_file. A file that a job is writing is read anew when it changes meanwhile."""
    for wait in WAITS:
        live, before = False, stamp(path)
        try:
            with open_hdf5(path) as file:
                live = file.swmr_mode
                return read_open_file(file)
        except Busy:
            pass
        except (Refused, OSError, RuntimeError, KeyError) as error:
            if not live and stamp(path) == before:
                raise Refused(first_line(error)) from error
        time.sleep(wait)
    with open_hdf5(path) as file:
        return read_open_file(file)


# ---- CSV, and either -------------------------------------------------------------------------------------------------

def bench_rows(columns):
    """A list of dictionaries from columns of equal length; what is missing becomes empty or NaN."""
    count = len(next(iter(columns.values())))
    rows = []
    for i in range(count):
        row = {name: text(columns[name][i]) if name in columns else "" for name in BENCH_TEXTS}
        for name in BENCH_NUMBERS:
            try:
                row[name] = float(columns[name][i])
            except (KeyError, ValueError):
                row[name] = np.nan
        rows.append(row)
    return rows


def read_csv(path):
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            lines = list(csv.DictReader(line for line in file if not line.startswith("#")))
    except UnicodeDecodeError as error:
        raise Refused("it is no text, so no CSV file") from error
    except (OSError, csv.Error) as error:
        raise Refused(f"it cannot be read: {first_line(error)}") from error
    if not lines or "seconds_median" not in lines[0]:
        raise Refused("it is no CSV file of deeppcr-bench: it has no rows with a column seconds_median")
    return bench_rows({name: [line[name] or "" for line in lines] for name in lines[0] if name})


def read(path):
    """What is to be drawn, all of it in memory: (what it is, its parts)."""
    require_file(path)
    if path.suffix.lower() == ".csv":
        return "bench", (read_csv(path),)
    return read_hdf5(path)
