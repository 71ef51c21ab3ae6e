#!/usr/bin/python3
"""Puts the runs of simulate.sh, FOLDER/CLUSTER-RANKS.csv, into one table: NAME.csv and, for deeppcr-plot, NAME.h5.

What a method ran as ("auto: shooting+identity") becomes a column of its own, so that a method is one line of a picture.
"""
import argparse
import csv
from pathlib import Path

import h5py

TEXTS = {"suite", "case", "method", "ran", "precision", "baseline", "target", "met"}


def rows_of(path):
    cluster = path.stem.rsplit("-", 1)[0]
    with open(path, newline="", encoding="utf-8") as file:
        for row in csv.DictReader(line for line in file if not line.startswith("#")):
            row["suite"] = f"{row['suite']}, {cluster} cluster"
            row["method"], _, row["ran"] = row["method"].partition(": ")
            yield row


def table(folder):
    """The rows by cluster and ranks; sequential execution, which every run repeats, once."""
    found, seen = [], set()
    for path in sorted(folder.glob("*.csv"), key=lambda path: (path.stem.rsplit("-", 1)[0], int(path.stem.rsplit("-", 1)[1]))):
        for row in rows_of(path):
            key = tuple(row[name] for name in ("suite", "case", "method", "ranks", "steps", "width", "batch"))
            if key not in seen:
                seen.add(key)
                found.append(row)
    return found


def write_csv(rows, path):
    with open(path, "w", newline="", encoding="utf-8") as file:
        file.write("# deeppcr-simulate\n")
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)


def write_hdf5(rows, path):
    with h5py.File(path, "w") as file:
        file.attrs["format"] = "deeppcr-bench"
        for name in rows[0]:
            column = [row[name] for row in rows]
            file[f"rows/{name}"] = column if name in TEXTS else [float(value or "nan") for value in column]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("-o", "--output", required=True, help="NAME of the two files, without an ending")
    options = parser.parse_args()
    rows = table(options.folder)
    if not rows:
        parser.error(f"{options.folder} holds no CSV file with rows")
    write_csv(rows, options.output + ".csv")
    write_hdf5(rows, options.output + ".h5")


if __name__ == "__main__":
    main()
