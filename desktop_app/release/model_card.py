"""The model card of a version: in plain words what it is for, from what it was made, how good it is and where its limits are. Pure."""

from collections.abc import Mapping
from typing import NamedTuple

from contract.manifest import Manifest
from contract.reference import Reference
from converters.gate import worst_class
from desktop_app.data.versions import DatasetVersion
from desktop_app.evaluation.evaluation import Evaluation, in_words
from desktop_app.release.acceptance import AcceptanceFigures

_PURPOSE = {
    "image-classification": "It looks at one picture and names one of {count} classes. A picture of anything else gets one of them too.",
    "tabular-classification": "It reads one row of {inputs} columns and names one of {count} classes. Unknown categories count as none.",
}
_FEW = 30
_WEAK_CLASSES = 3
_POINTS = 100


class CardFacts(NamedTuple):
    """What a model card is written from; `evaluation` and `acceptance` are None where there are none."""

    manifest: Manifest
    project_name: str
    version: DatasetVersion
    evaluation: Evaluation | None
    acceptance: AcceptanceFigures | None
    reference: Reference
    notes: tuple[str, ...]
    left_out: Mapping[str, str]


def write_card(facts: CardFacts) -> str:
    """The card as Markdown; names from outside are escaped."""
    manifest = facts.manifest
    parts = [f"# {_plain(manifest.name)} {manifest.version}", _purpose(manifest), "## Data", _data(facts), "## How good it is"]
    parts += [_quality(facts), _variant_table(facts), _weak_classes(facts.evaluation)]
    parts += ["## Limits", _limits(facts), "## Where it comes from", _origin(facts)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _purpose(manifest: Manifest) -> str:
    text = _PURPOSE.get(manifest.task, "It names one of {count} classes.").format(count=len(manifest.labels), inputs=len(manifest.inputs))
    shown = ", ".join(_plain(label) for label in manifest.labels[:20])
    more = f" and {len(manifest.labels) - 20} more" if len(manifest.labels) > 20 else ""  # noqa: PLR2004
    return f"{text}\n\nClasses: {shown}{more}."


def _data(facts: CardFacts) -> str:
    version = facts.version
    counts = {split: len(version.of_split(split)) for split in ("train", "validation", "test")}
    sizes = f"{counts['train']} samples to train, {counts['validation']} to validate, {counts['test']} to test"
    return f"Project “{_plain(facts.project_name)}”, dataset version {version.number} (`{version.digest[:16]}…`): {sizes}."


def _quality(facts: CardFacts) -> str:
    lines = [f"{in_words(facts.evaluation)}."] if facts.evaluation else ["This version was not evaluated apart from its conversion."]
    if facts.acceptance:
        low, high = (_percent(edge(facts.acceptance.scores.values())) for edge in (min, max))
        scored = low if low == high else f"{low} to {high}, by variant"
        least = f"{_percent(facts.acceptance.minimum)} at least are demanded of every version"
        lines.append(f"On the acceptance set ({facts.acceptance.count} samples no version trained with): {scored}; {least}.")
    else:
        lines.append("It was **not checked against an acceptance set**.")
    return " ".join(lines)


def _variant_table(facts: CardFacts) -> str:
    rows = ["| variant | accuracy | change | agrees | size | p50 | p95 | worst class |", "|---|---:|---:|---:|---:|---:|---:|---|"]
    for name, variant in facts.manifest.variants.items():
        found = variant.evaluation
        if found is None:
            continue
        worst = worst_class(found.class_change)
        shown = f"{_plain(worst[0])} {_POINTS * worst[1]:+.1f}" if worst and worst[1] < 0 else "none worse"
        size = facts.manifest.files[variant.file].size_bytes / 1000
        rows.append(
            f"| {name} | {_percent(found.score)} | {_POINTS * found.change:+.2f} | {_percent(found.agreement)} | {size:.0f} kB "
            f"| {found.latency_p50_ms:.2f} ms | {found.latency_p95_ms:.2f} ms | {shown} |"
        )
    machine = facts.manifest.lineage.software.get("machine", "the desk")
    left_out = "".join(f"\n* {name} was left out: {reason}." for name, reason in facts.left_out.items())
    return "\n".join(rows) + f"\n\nLatency was measured on {_plain(machine)} with one thread; every device measures anew.{left_out}"


def _weak_classes(evaluation: Evaluation | None) -> str:
    if evaluation is None:
        return ""
    weakest = sorted((figures.recall, name) for name, figures in evaluation.per_class.items() if figures.support)[:_WEAK_CLASSES]
    return "Found least often: " + ", ".join(f"{_plain(name)} ({_percent(recall)})" for recall, name in weakest) + "."


def _limits(facts: CardFacts) -> str:
    reference = facts.reference
    lines = [
        "* The figures hold for data like that of the test split: same cameras, light, habits. Elsewhere they may be lower.",
        (
            f"* A device reports drift when its answers over {reference.minimum_count} samples or more differ from the reference "
            f"by more than {reference.drift_limit:.2f} (Jensen-Shannon distance)."
        ),
    ]
    if facts.evaluation:
        few = [_plain(name) for name, figures in facts.evaluation.per_class.items() if figures.support < _FEW]
        if few:
            lines.append(f"* Fewer than {_FEW} test samples of {', '.join(few[:20])}: their figures say little.")
    if facts.manifest.lineage.gate_override:
        lines.append(f"* **A gate was overridden**: {_plain(facts.manifest.lineage.gate_override)}.")
    return "\n".join([*lines, *(f"* {_plain(note)}" for note in facts.notes)])


def _origin(facts: CardFacts) -> str:
    lineage = facts.manifest.lineage
    return f"Run {_plain(lineage.run)}, recipe `{lineage.recipe[:16]}…`, seed {lineage.seed}, packaged {facts.manifest.created_at}."


def _percent(share: float) -> str:
    return f"{_POINTS * share:.1f} %"


def _plain(text: str) -> str:
    """Free text without what Markdown or HTML would act on, on one line."""
    cleaned = " ".join(text.split())
    return "".join(f"\\{character}" if character in "\\`*_[]|#" else character for character in cleaned.replace("<", "&lt;"))
