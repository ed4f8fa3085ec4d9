"""The table of tasks: one file each, one line here."""

from desktop_app.tasks import image_classification, tabular_classification
from desktop_app.tasks.task import Task

TASKS: dict[str, Task] = {
    "image-classification": image_classification.TASK,
    "tabular-classification": tabular_classification.TASK,
}
