#!/usr/bin/python3
"""Reads a trace as a user would, from another process: read_trace.py FILE live|closed ITERATIONS."""

import sys

import h5py


def text(value):
    return value.decode() if isinstance(value, bytes) else str(value)


def main(path, state, iterations):
    # A trace that is being written is opened as single-writer-multiple-reader; so may be a closed one.
    with h5py.File(path, "r", swmr=state == "live") as trace:
        assert text(trace.attrs["format"]) == "deeppcr-trace"
        assert trace.attrs["format_version"] == 1
        for name in ("program_version", "git_commit", "command_line", "options_set", "options_unused",
                     "configuration", "library_versions", "ranks", "hosts", "start_time"):
            assert name in trace.attrs, name
        assert text(trace["problem"].attrs["model"]) == "resnet"
        group = trace["iterations"]
        for name, data in group.items():
            assert data.shape[0] == iterations, (name, data.shape)
            assert text(data.attrs["long_name"])
            assert len(data.attrs["dimensions"]) == data.ndim, name
        assert list(group["residual"][:]) == [2.0 ** -k for k in range(iterations)]
        stages = [text(s) for s in group["seconds"].attrs["stages"]]
        assert group["seconds"].shape[1] == len(stages)
        assert text(group["seconds"].attrs["units"]) == "s"
        assert group["seconds"][1, stages.index("reduce")] == 0.5
        status = text(trace["outcome"].attrs["status"])
        assert status == ("running" if state == "live" else "converged"), status
        if state == "closed":
            states = trace["states/z"]
            assert states.shape == (6, 2, 3), states.shape
            assert states[4, 1, 2] == 4012.5
            assert list(trace["states/state"][:]) == [0, 1, 2, 3, 4, 5]


main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
