"""How the pictures of the Python tools look."""

# Okabe and Ito's colours, which colour-blind readers can tell apart; markers differ as well.
COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#8C8C8C"]
MARKERS = ["o", "s", "^", "D", "v", "P", "X", "*"]
STYLE = {
    "font.size": 11, "axes.titlesize": 12, "axes.spines.top": False, "axes.spines.right": False,
    "axes.grid": True, "grid.alpha": 0.3, "axes.axisbelow": True, "legend.frameon": False,
    "legend.fontsize": 9.5, "lines.linewidth": 1.8, "lines.markersize": 5.5, "svg.fonttype": "none",
}
