#!/usr/bin/python3
"""Draws a picture of a DeepPCR trace, also of what `deeppcr stream` has predicted or learned, of the results of
`deeppcr-bench` (HDF5 or CSV), or of the ROC curve that `deeppcr evaluate --output` writes of two classes.

With --signal it draws a sequence over time: beside what `deeppcr evaluate --output` predicted for it, or with the gates of
the recurrent cells in a weights file.
"""
import argparse
import logging
import os
import re
import sys
import warnings
from pathlib import Path

PROGRAM = "deeppcr-plot"
# The modules of the tools: beside them in the sources, in share/deeppcr where they are installed.
HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "share" / "deeppcr")]
os.environ["MPLBACKEND"] = "Agg"  # whatever stands there is for other programs; it must not even be looked at
# A lock for reading would stop the job that writes the file, and some file systems have none.
os.environ.setdefault("HDF5_USE_FILE_LOCKING", "FALSE")
logging.getLogger("matplotlib").setLevel(logging.ERROR)  # not where it keeps its cache
try:
    import matplotlib
    import matplotlib.pyplot as plt
    import numpy as np
    from deeppcr_files import PICTURE, Refused, check_output, first_line, replacing, report, run, text
    from deeppcr_over_time import draw_over_time
    from deeppcr_style import COLOURS, MARKERS, STYLE
    from deeppcr_traces import BENCH_NUMBERS, BENCH_TEXTS, read
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter, NullLocator
except ImportError as missing:
    sys.exit(f"{PROGRAM}: {missing} (Debian: python3-h5py python3-matplotlib; deeppcr_*.py come with this program)")

# Of the networks in a bench of steps in a row, those that are drawn: one forgets its start, one does not.
PATH_CASES = ("mlp tanh", "resnet 1/L, tanh")


# ---- traces ----------------------------------------------------------------------------------------------------------

def positive(values):
    """Zeros and what is not finite have no place on a logarithmic axis."""
    values = np.asarray(values, dtype=float)
    return np.where(np.isfinite(values) & (values > 0), values, np.nan)


def log_axis(axis):
    """At most about eight labelled powers of ten."""
    axis.set_major_locator(LogLocator(base=10, numticks=8))
    axis.set_minor_locator(NullLocator())
    axis.set_minor_formatter(NullFormatter())


def draw_residuals(ax, table, tolerance):
    residual, step = positive(table["residual"]), positive(table["step_norm"])
    iterations = np.arange(len(residual))
    ax.semilogy(iterations, residual, color=COLOURS[0], marker="o", label="residual")
    ax.semilogy(iterations, step, color=COLOURS[1], marker="s", linestyle="--", label="size of the step")
    if tolerance > 0:
        ax.axhline(tolerance, color=COLOURS[6], linewidth=1.2, linestyle=":", label="tolerance")
    if np.any(np.isfinite(residual)) or np.any(np.isfinite(step)):
        log_axis(ax.yaxis)
    ax.set(title="Convergence", xlabel="Newton iteration", ylabel="largest absolute value")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.legend()


def draw_frozen_prefix(ax, table, num_steps):
    frozen = np.asarray(table["frozen_prefix"], dtype=float)
    ax.step(np.arange(len(frozen)), frozen, where="mid", color=COLOURS[2], marker="o")
    if num_steps:
        ax.axhline(num_steps, color=COLOURS[6], linewidth=1.2, linestyle=":")
        ax.text(0, 1.02 * num_steps, f"all {num_steps} steps", va="bottom")
        ax.set_ylim(-0.04 * num_steps, 1.14 * num_steps)
    ax.set(title="Frozen prefix", xlabel="Newton iteration", ylabel="leading states that are exact")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))


def draw_stages(ax, seconds, names):
    values, names = 1e3 * np.nan_to_num(seconds.astype(float)), list(names)
    if "linear" in names:  # the whole linear solve; its parts are stages of their own
        parts = [names.index(part) for part in ("eliminate", "reduce", "substitute") if part in names]
        whole = names.index("linear")
        values[:, whole] = np.clip(values[:, whole] - values[:, parts].sum(axis=1), 0, None)
        names[whole] = "linear, rest"
    bottom = np.zeros(len(values))
    for stage, name in enumerate(names):
        if values[:, stage].sum() <= 1e-3 * values.sum():
            continue  # too thin to see
        ax.bar(np.arange(len(values)), values[:, stage], bottom=bottom, width=0.8,
               color=COLOURS[stage % len(COLOURS)], label=name)
        bottom += values[:, stage]
    ax.set(title="Time by stage", xlabel="Newton iteration", ylabel="time, slowest rank (ms)")
    ax.set_ylim(0, 1.35 * max(bottom.max(initial=0), 1e-3))
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    if ax.get_legend_handles_labels()[1]:
        ax.legend(ncol=3, loc="upper center")


def draw_traffic(upper, lower, table):
    messages = np.asarray(table["messages"], dtype=float).sum(axis=0)
    sent = np.asarray(table["bytes"], dtype=float).sum(axis=0)
    upper.set(title="Traffic by reduction level, all ranks", ylabel="messages")
    lower.set(xlabel="reduction level", ylabel="KiB sent")
    if len(messages) == 0:
        upper.text(0.5, 0.5, "no reduction across ranks", ha="center", va="center", transform=upper.transAxes)
    for ax, values, colour in ((upper, messages, COLOURS[4]), (lower, sent / 1024, COLOURS[5])):
        ax.bar(np.arange(len(values)), values, color=colour)
        ax.set_xlim(-0.6, max(len(values), 1) - 0.4)
        ax.set_xticks(np.arange(0, len(values), 1 + len(values) // 12))
        ax.yaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10], integer=ax is upper))
    upper.tick_params(labelbottom=False)


def status_of(about):
    return [text(about["status"]).replace("_", " ")] if "status" in about else []


def draw_trace(table, stages, about):
    """Four panels: convergence, frozen prefix, time, traffic."""
    figure = plt.figure(figsize=(11, 8), constrained_layout=True)
    grid = figure.add_gridspec(2, 2)
    draw_residuals(figure.add_subplot(grid[0, 0]), table, float(about.get("tolerance", 0)))
    draw_frozen_prefix(figure.add_subplot(grid[0, 1]), table, int(about.get("L", 0)))
    draw_stages(figure.add_subplot(grid[1, 0]), table["seconds"], stages)
    traffic = grid[1, 1].subgridspec(2, 1)
    draw_traffic(figure.add_subplot(traffic[0]), figure.add_subplot(traffic[1]), table)
    words = [text(about["model"])] if "model" in about else []
    words += [f"{label} {int(about[name])}" for name, label in
              (("L", "steps"), ("n", "width"), ("B", "batch"), ("ranks", "ranks")) if name in about]
    figure.suptitle(", ".join(words + status_of(about)), fontsize=13)
    return figure


# ---- traces of training ----------------------------------------------------------------------------------------------

def smoothed(values, window):
    """Mean of the last `window` values at each point."""
    sums = np.cumsum(np.insert(np.asarray(values, dtype=float), 0, 0.0))
    first = np.maximum(np.arange(1, len(sums)) - window, 0)
    return (sums[1:] - sums[first]) / (np.arange(1, len(sums)) - first)


def draw_curve(ax, training, evaluation, name, factor, unit):
    """A quantity of each batch, smoothed, and the same on the test set."""
    values, at = factor * training[name], training["update"] + 1
    window = max(1, len(values) // 50)
    ax.plot(at, values, color=COLOURS[5], linewidth=0.6, alpha=0.5)
    ax.plot(at, smoothed(values, window), color=COLOURS[0], label=f"batches, mean of {window}")
    if len(evaluation["update"]):
        ax.plot(evaluation["update"], factor * evaluation[name], color=COLOURS[1], marker="o", label="test set")
    ax.set(title=f"{name.capitalize()}{unit}", xlabel="update")
    ax.legend()


def draw_training_stages(ax, seconds, names):
    """What an update spends its time on, as means over the run."""
    ax.barh(np.arange(len(names)), 1e3 * seconds.mean(axis=0),
            color=[COLOURS[i % len(COLOURS)] for i in range(len(names))])
    ax.set_yticks(np.arange(len(names)))
    ax.set_yticklabels(names)
    ax.invert_yaxis()
    ax.set(title="Time by stage", xlabel="mean time of an update, slowest rank (ms)")


def draw_confusion(ax, counts):
    """Part of each class that was taken for each other one."""
    parts = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    ax.imshow(parts, cmap="Blues", vmin=0, vmax=1)
    classes = len(counts)
    for i in range(classes):
        for j in range(classes):
            if counts[i, j]:
                ax.text(j, i, counts[i, j], ha="center", va="center", fontsize=8,
                        color="white" if parts[i, j] > 0.5 else "black")
    ax.set(title="Confusion on the test set", xlabel="taken for", ylabel="class",
           xticks=range(classes), yticks=range(classes))
    ax.grid(False)


def draw_learning_rate(ax, training):
    ax.plot(training["update"] + 1, training["learning_rate"], color=COLOURS[2])
    ax.set(title="Learning rate", xlabel="update")


def draw_training(training, stages, evaluation, confusion, about):
    """Four panels: loss, accuracy (if there are classes), time, and the confusion (or the learning rate without one)."""
    figure, axes = plt.subplots(2, 2, figsize=(12, 9), constrained_layout=True)
    draw_curve(axes[0, 0], training, evaluation, "loss", 1, "")
    if np.any(np.isfinite(training["accuracy"])):
        draw_curve(axes[0, 1], training, evaluation, "accuracy", 100, " (%)")
    else:  # numbers are predicted, no classes
        draw_curve(axes[0, 1], training, evaluation, "loss", 1, ", logarithmic")
        axes[0, 1].set_yscale("log")
    draw_training_stages(axes[1, 0], training["seconds"], stages)
    if confusion is not None:
        draw_confusion(axes[1, 1], confusion)
    else:
        draw_learning_rate(axes[1, 1], training)
    words = [text(about["model"])] if "model" in about else []
    words += [f"{label} {about[name]}" for name, label in (("L", "steps"), ("n", "width"), ("B", "batch"))
              if name in about]
    if "depth_ranks" in about and "data_ranks" in about:
        words.append(f"{about['depth_ranks']} depth x {about['data_ranks']} data ranks")
    figure.suptitle(", ".join(words + status_of(about)), fontsize=13)
    return figure


# ---- traces of streams -----------------------------------------------------------------------------------------------

MOST_WINDOWS = 100  # of frames, in a picture
FRAMES_OF_ROW = 100  # of /learning


def windows_of(frames):
    """Where windows of equally many frames begin, and where the last one ends."""
    return np.unique(np.linspace(0, frames, min(frames, MOST_WINDOWS) + 1).astype(int))


def draw_frames_a_second(ax, seconds, frames):
    """How fast rows came, of so many frames each, over spans of equal time."""
    last = max(seconds.max(), 1e-9)
    counts, edges = np.histogram(seconds, bins=max(1, min(40, len(seconds) // 5)), range=(0, last), weights=frames)
    ax.step(edges, np.append(counts, counts[-1]) / edges[1], where="post", color=COLOURS[2])
    ax.set(title="Speed", xlabel="time since the start (s)", ylabel="frames/s")
    ax.set_ylim(bottom=0)


def title_stream(figure, about, more):
    words = [text(about["model"])] if "model" in about else []
    words += [f"{label} {about[name]}" for name, label in (("L", "steps"), ("n", "width"), ("ranks", "ranks"))
              if name in about]
    figure.suptitle(", ".join(words + more + status_of(about)), fontsize=13)


def draw_predictions(table, about):
    """Accuracy over windows of frames whose class is known, else how often each class comes; and the speed."""
    figure, axes = plt.subplots(1, 2, figsize=(12, 4.6), constrained_layout=True)
    known = table["label"] >= 0
    if np.any(known):
        right, frame = (table["class"] == table["label"])[known], table["frame"][known]
        edges = windows_of(len(frame))
        window = max(np.diff(edges))
        parts = np.add.reduceat(right, edges[:-1]) / np.diff(edges)
        axes[0].plot(frame[edges[1:] - 1], 100 * parts, color=COLOURS[0], label=f"of {window} frames")
        axes[0].plot(frame[edges[1:] - 1], 100 * (np.cumsum(right) / np.arange(1, len(right) + 1))[edges[1:] - 1],
                     color=COLOURS[1], linestyle="--", label="of all so far")
        axes[0].set(title="Accuracy (%)", xlabel="frame", ylim=(-2, 102))
        axes[0].legend()
    else:
        classes, counts = np.unique(table["class"], return_counts=True)
        axes[0].bar(classes, counts, color=[COLOURS[6] if one < 0 else COLOURS[0] for one in classes])
        axes[0].set(title="Predictions", xlabel="class (-1: logits that are no numbers)", ylabel="frames")
        axes[0].xaxis.set_major_locator(MaxNLocator(integer=True))
    draw_frames_a_second(axes[1], table["seconds"], np.ones(len(table["frame"])))
    title_stream(figure, about, [f"{len(table['frame'])} frames"])
    return figure


def draw_learning(table, about):
    """Loss and accuracy of frames before anything is learned from them, and the speed."""
    figure, axes = plt.subplots(1, 3, figsize=(15, 4.6), constrained_layout=True)
    window = max(1, len(table["frame"]) // 20)
    for ax, name, factor, title in ((axes[0], "loss", 1, "Loss"), (axes[1], "accuracy", 100, "Accuracy (%)")):
        values = factor * table[name]
        ax.plot(table["frame"], values, color=COLOURS[5], linewidth=0.8, label="a row")
        ax.plot(table["frame"], smoothed(values, window), color=COLOURS[0], label=f"mean of {window} rows")
        ax.set(title=title, xlabel="frame")
    axes[0].legend()
    # of the first row, which a run that goes on begins anywhere, as many as of others
    frames = np.diff(table["frame"], prepend=max(0, table["frame"][0] - FRAMES_OF_ROW))
    draw_frames_a_second(axes[2], table["seconds"], frames)
    title_stream(figure, about, [f"learning rate {about['learning_rate']:g}"] if "learning_rate" in about else [])
    return figure


# ---- ROC curves ------------------------------------------------------------------------------------------------------

def draw_roc(curve, area):
    """The parts of both classes that each threshold takes, on the right from small false positive rates on."""
    false, true = curve["false_positive_rate"], curve["true_positive_rate"]
    figure, axes = plt.subplots(1, 2, figsize=(12, 6), constrained_layout=True)
    for ax in axes:
        ax.plot(false, true, color=COLOURS[0], label=f"AUC {area:.4f}")
        ax.set(xlabel="false positive rate", ylabel="true positive rate", ylim=(-0.02, 1.02))
    chance = np.logspace(-6, 0, 200)
    axes[0].plot(chance, chance, color=COLOURS[6], linestyle=":", label="chance")
    axes[0].set(title="ROC curve")
    axes[0].legend(loc="lower right")
    smallest = positive(false)
    if np.any(np.isfinite(smallest)):
        axes[1].set(xscale="log", xlim=(np.nanmin(smallest), 1))
    axes[1].plot(chance, chance, color=COLOURS[6], linestyle=":")
    axes[1].set(title="The same, logarithmic")
    return figure


# ---- bench files -----------------------------------------------------------------------------------------------------

def varying(rows, names):
    """Those columns that do not have one and the same value in all rows."""
    return [name for name in names if len({str(row[name]) for row in rows}) > 1]


def number(value):
    return f"{value:g}"


def plain_log_axis(axis):
    """A logarithmic axis labelled 0.5, 1, 2, 5 where it is short, else by powers of ten; at most seven labels.

    Called when all is drawn, since that decides how long the axis is.
    """
    low, high = axis.get_view_interval()
    short = high < 100 * low
    axis.set_major_locator(LogLocator(base=10, subs=(1, 2, 5) if short else (1,), numticks=7))
    axis.set_major_formatter(FuncFormatter(lambda value, _: number(value)))
    axis.set_minor_formatter(NullFormatter())


def label_of(row, names):
    """The words that tell a line from the others of its panel."""
    return ", ".join(row[name] if name in BENCH_TEXTS else f"{name} {number(row[name])}"
                     for name in names) or row["method"] or row["case"]


def draw_lines(axes, rows, x):
    """Times and speedups against x, one line for each combination of the other columns that vary."""
    names = varying(rows, [c for c in ("case", "method", "ranks", "steps", "width", "batch") if c != x])
    lines = {}
    for row in rows:
        lines.setdefault(label_of(row, names), []).append(row)
    for i, (label, points) in enumerate(lines.items()):
        points.sort(key=lambda row: row[x])
        look = {"color": COLOURS[i % len(COLOURS)], "marker": MARKERS[i % len(MARKERS)],
                "linestyle": ["-", "--", ":"][i // len(COLOURS) % 3], "label": label}
        at = [row[x] for row in points]
        middle = np.array([row["seconds_median"] for row in points])
        spread = [np.clip(np.nan_to_num(middle - [row["seconds_min"] for row in points]), 0, None),
                  np.clip(np.nan_to_num([row["seconds_max"] for row in points] - middle), 0, None)]
        axes[0].errorbar(at, 1e3 * middle, yerr=1e3 * np.array(spread), capsize=2.5, **look)
        axes[1].plot(at, [row["speedup"] for row in points], **look)
    for ax in axes:
        ax.set_xscale("log", base=2)
        ax.set_yscale("log")
        ax.set_xlabel({"steps": "steps L", "width": "width n", "batch": "batch B", "ranks": "ranks P"}[x])
        ticks = sorted({row[x] for row in rows})
        ticks = ticks[::-(-len(ticks) // 7)]
        ax.set_xticks(ticks)
        ax.set_xticklabels([number(tick) for tick in ticks])
        ax.xaxis.set_minor_locator(NullLocator())
    axes[1].legend(loc="center left", bbox_to_anchor=(1.01, 0.5))


def labels_of(rows):
    """One label a row; rows that differ by their baseline alone name it."""
    names = varying(rows, ("case", "method", "ranks", "width", "batch")) or ["method"]
    labels = [label_of(row, names) for row in rows]
    return [f"{label}, over {row['baseline']}" if labels.count(label) > 1 else label
            for label, row in zip(labels, rows)]


def draw_points(axes, rows, quantities):
    """One line of text and one point a row, where no size varies; quantities: those of the two panels."""
    labels, at = labels_of(rows), np.arange(len(rows))
    for ax, values, colour in zip(axes, quantities, (COLOURS[0], COLOURS[2])):
        ax.plot(values, at, "o", color=colour, markersize=9)
        for y, value in zip(at, values):
            if np.isfinite(value):
                ax.annotate(f"{value:.0f}" if value >= 100 else f"{value:.3g}", (value, y),
                            xytext=(9, 0), textcoords="offset points", va="center")
        ax.set_yticks(at)
        ax.set_yticklabels(labels if ax is axes[0] else [])
        ax.set_ylim(len(rows) - 0.4, -0.6)
        ax.set_xscale("log")
        ax.margins(x=0.2)


def draw_memory(axes, rows):
    """Peak memory, and the time of the run that it was measured in."""
    draw_points(axes, rows, ([row["peak_bytes"] / 2**20 for row in rows],
                             [1e3 * row["seconds_median"] for row in rows]))
    axes[0].set_xlabel("peak memory (MiB)")
    axes[1].set_xlabel("time of the run (ms)")
    for ax in axes:
        plain_log_axis(ax.xaxis)


def draw_speed(axes, rows, x):
    baselines = sorted({row["baseline"] for row in rows if row["baseline"]})
    over = "baseline" if len(baselines) != 1 else baselines[0]
    if x is None:
        draw_points(axes, rows, ([1e3 * row["seconds_median"] for row in rows], [row["speedup"] for row in rows]))
        axes[0].set_xlabel("median time (ms)")
        axes[1].set_xlabel(f"speedup over {over}")
        axes[1].axvline(1, color=COLOURS[6], linewidth=1.2, linestyle=":")
    else:
        draw_lines(axes, rows, x)
        axes[0].set_ylabel("median time (ms)")
        axes[1].set_ylabel(f"speedup over {over}", wrap=True)
        axes[1].axhline(1, color=COLOURS[6], linewidth=1.2, linestyle=":")
    for ax in axes:
        plain_log_axis(ax.xaxis if x is None else ax.yaxis)


def draw_path(axes, rows):
    """How many times fewer steps are done in a row, against the chunks that are worked on at once."""
    for ax, case in zip(axes, PATH_CASES):
        its_rows = [row for row in rows if row["case"] == case and row["chunks"] > 1]
        for i, method in enumerate(dict.fromkeys(row["method"] for row in its_rows)):
            line = [row for row in its_rows if row["method"] == method]
            ax.plot([row["chunks"] for row in line], [row["predicted"] for row in line],
                    color=COLOURS[i % len(COLOURS)], marker="o", label=method)
        ax.axhline(1, color=COLOURS[6], linewidth=1.2, linestyle=":", label="sequential")
        ax.set(xscale="log", yscale="log", xlabel="chunks, or ranks", title=case,
               ylabel="speedup by steps in a row")
        plain_log_axis(ax.xaxis)
        plain_log_axis(ax.yaxis)
    axes[1].legend(loc="center left", bbox_to_anchor=(1.01, 0.5))


def draw_suite(axes, suite, rows):
    if suite == "path":
        draw_path(axes, rows)
        return
    if suite == "memory":
        draw_memory(axes, rows)
    else:
        draw_speed(axes, rows, size_that_varies(rows))
    fixed = [f"{name} {number(rows[0][name])}" for name in ("steps", "width", "batch", "ranks")
             if name not in varying(rows, BENCH_NUMBERS) and np.isfinite(rows[0][name])]
    axes[0].set_title(": ".join(filter(None, (suite, ", ".join(fixed)))), loc="left")


def size_that_varies(rows):
    return next(iter(varying(rows, ("steps", "width", "batch", "ranks"))), None)


def height_of(rows):
    """Inches for a suite: a line of text needs room."""
    if rows[0]["suite"] == "path" or size_that_varies(rows):
        return 3.8
    return max(2.2, 1.2 + 0.3 * len(rows))


def draw_bench(rows):
    """One row of two panels for each suite: median times, speedup over the baseline."""
    suites = {}
    for row in rows:
        suites.setdefault(row["suite"], []).append(row)
    heights = [height_of(its_rows) for its_rows in suites.values()]
    figure, axes = plt.subplots(len(suites), 2, figsize=(13, sum(heights)), squeeze=False,
                                gridspec_kw={"height_ratios": heights}, constrained_layout=True)
    for pair, (suite, its_rows) in zip(axes, suites.items()):
        draw_suite(pair, suite, its_rows)
    return figure


# ---- the program -----------------------------------------------------------------------------------------------------

DRAW = {"bench": draw_bench, "roc": draw_roc, "training": draw_training, "iterations": draw_trace,
        "predictions": draw_predictions, "learning": draw_learning}
DATA_ERRORS = (ValueError, TypeError, IndexError, KeyError, OverflowError)  # values of any type and size can raise these


def strange(path, error):
    return Refused(f"cannot draw {path}: it is not laid out as deeppcr writes it: {first_line(error)}")


def draw(options):
    """The picture of a file."""
    path = options.file
    try:
        if options.signal:
            return draw_over_time(path, options.signal, options.sample, options.steps, options.layer)
        what, parts = read(path)
        return DRAW[what](*parts)
    except Refused as error:
        raise Refused(f"cannot draw {path}: {error}") from error
    except (OSError, RuntimeError) as error:
        raise Refused(f"cannot draw {path}: it cannot be read: {first_line(error)}") from error
    except DATA_ERRORS as error:
        raise strange(path, error) from error


def save(figure, path, suffix):
    """Writes a picture with the mark by which it is known as one of deeppcr."""
    mark = {"Software" if suffix == ".png" else "Creator": PROGRAM}
    figure.savefig(path, format=suffix[1:], dpi=130, metadata=mark)
    plt.close(figure)


def parse():
    parser = argparse.ArgumentParser(prog=PROGRAM, description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path, help="a trace (run.h5), what deeppcr-bench has written, or results with "
                        "/roc; with --signal predictions, or weights of cells")
    parser.add_argument("--signal", type=Path, metavar="FILE", help="the sequences (HDF5 with /inputs) that FILE is for")
    parser.add_argument("--sample", type=int, default=0, metavar="I", help="which sequence (default: 0)")
    parser.add_argument("--steps", type=step_range, metavar="A:B", help="only steps A to B - 1 of it")
    parser.add_argument("--layer", type=int, metavar="K", help="which layer's gates (default: the last one)")
    parser.add_argument("-o", "--output", type=Path, help="the picture, .png, .svg or .pdf (default: FILE.png)")
    parser.add_argument("--force", action="store_true", help="replace the output even if it is no picture of deeppcr")
    options = parser.parse_args()
    if options.signal is None and (options.sample, options.steps, options.layer) != (0, None, None):
        raise Refused("--sample, --steps and --layer are for --signal FILE")
    return options


def step_range(words):
    """A:B, where either end may be left out."""
    if not re.fullmatch(r"\d{0,12}:\d{0,12}", words):
        raise argparse.ArgumentTypeError("steps are given as A:B, such as 0:500")
    return tuple(int(word) if word else None for word in words.split(":"))


def main():
    options = parse()
    output = options.output or options.file.parent / f"{options.file.stem or 'trace'}.png"
    suffix = output.suffix.lower()
    if suffix not in (".png", ".svg", ".pdf"):
        raise Refused(f"{output}: pictures are .png, .svg or .pdf")
    reads = [options.file, options.signal] if options.signal else [options.file]
    check_output(output, PICTURE, reads, options.force)
    warnings.simplefilter("ignore")  # of matplotlib, about glyphs and room
    with matplotlib.rc_context():
        matplotlib.rcdefaults()  # not what the user's own pictures look like
        matplotlib.rcParams.update(STYLE)
        figure = draw(options)
        try:
            with replacing(output, PICTURE, reads, options.force) as path:
                save(figure, path, suffix)
        except DATA_ERRORS as error:  # much is computed only here
            raise strange(options.file, error) from error
    report(output)


if __name__ == "__main__":
    run(PROGRAM, main)
