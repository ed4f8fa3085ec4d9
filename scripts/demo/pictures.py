"""The pictures of the report: learning curve, confusion matrix, accuracy against latency and size."""

from pathlib import Path
from typing import Any

from scripts.demo.state import Demo

BLUE, ORANGE, GREEN, PINK, SKY, RED = "#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00"
INK, MUTED, BORDER = "#18212B", "#5B6777", "#E2E6EC"


def draw_pictures(demo: Demo) -> dict[str, Path]:
    """Draw all as SVG into `<demo>/pictures`; returns title to path."""
    import matplotlib as mpl

    mpl.use("Agg")
    mpl.rcParams.update(
        {
            "font.size": 10,
            "axes.edgecolor": BORDER,
            "axes.labelcolor": MUTED,
            "xtick.color": MUTED,
            "ytick.color": MUTED,
            "svg.fonttype": "none",
        }
    )
    folder = demo.folder / "pictures"
    folder.mkdir(exist_ok=True)
    drawn = {"Learning curve": draw_curve(demo, folder / "learning_curve.svg")}
    drawn["Confusion matrix"] = draw_confusion(demo.results["evaluation 1"], folder / "confusion.svg")
    drawn["Accuracy, latency and size of the variants"] = draw_variants(demo.results["conversion 1"], folder / "variants.svg")
    return drawn


def draw_curve(demo: Demo, path: Path) -> Path:
    """Losses and accuracy per epoch of the first run."""
    import matplotlib.pyplot as plt

    from desktop_app.data.project import open_project
    from desktop_app.training.runs import load_run, read_curve

    with open_project(demo.project) as project:
        points = read_curve(load_run(project, demo.results["first"])).points
    epochs = [point.epoch for point in points]
    figure, axes = plt.subplots(figsize=(6, 3.4), layout="constrained")
    axes.plot(epochs, [point.train_loss for point in points], color=BLUE, marker="o", markersize=4, label="training loss")
    axes.plot(
        epochs, [point.validation_loss for point in points], color=ORANGE, marker="s", markersize=4, linestyle="--", label="validation loss"
    )
    axes.set_xlabel("epoch")
    axes.set_ylabel("cross entropy (nats)")
    axes.set_ylim(bottom=0)
    right = axes.twinx()
    right.plot(
        epochs,
        [100 * point.validation_accuracy for point in points],
        color=GREEN,
        marker="^",
        markersize=4,
        linestyle=":",
        label="validation accuracy",
    )
    right.set_ylabel("accuracy (%)")
    lines = [*axes.get_lines(), *right.get_lines()]
    axes.legend(lines, [str(line.get_label()) for line in lines], frameon=False, loc="center right")
    return save(figure, path)


def draw_confusion(found: dict[str, Any], path: Path) -> Path:
    """Rows: what a person said; columns: what the model says."""
    import matplotlib.pyplot as plt

    matrix, labels = found["confusion"], found["labels"]
    figure, axes = plt.subplots(figsize=(4.6, 4.2), layout="constrained")
    axes.imshow(matrix, cmap="Blues")
    axes.set_xticks(range(len(labels)), labels)
    axes.set_yticks(range(len(labels)), labels)
    axes.set_xlabel("the model says")
    axes.set_ylabel("a person said")
    highest = max(max(row) for row in matrix)
    for y, row in enumerate(matrix):
        for x, count in enumerate(row):
            if count:
                axes.text(x, y, str(count), ha="center", va="center", fontsize=8, color="white" if count > highest / 2 else INK)
    return save(figure, path)


def draw_variants(report: dict[str, Any], path: Path) -> Path:
    """One bubble per variant: latency to the right, accuracy upwards, size as area."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(6, 3.4), layout="constrained")
    for (name, variant), colour in zip(sorted(report["variants"].items()), (BLUE, SKY, GREEN, PINK), strict=False):
        found = variant["evaluation"]
        size = report["files"][name]["size_bytes"]
        x, y = found["latency_p50_ms"], 100 * found["score"]
        axes.scatter([x], [y], s=size / 1200, color=colour, alpha=0.75, edgecolor="white", label=f"{name}, {size / 1000:.0f} kB")
    axes.margins(0.35)
    axes.set_xlabel("median latency on this machine (ms)")
    axes.set_ylabel("accuracy (%)")
    legend = axes.legend(frameon=False, fontsize=9, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    for handle in legend.legend_handles:
        handle.set_sizes([60])  # type: ignore[union-attr]
    return save(figure, path)


def save(figure: Any, path: Path) -> Path:  # noqa: ANN401
    """Write one figure and close it."""
    import matplotlib.pyplot as plt

    for axes in figure.axes:
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
    figure.savefig(path)
    plt.close(figure)
    return path
