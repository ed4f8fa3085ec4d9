"""A run of image classification from decoded pictures to the kept weights."""

from contract.files import write_atomic
from desktop_app.data.project import Project
from desktop_app.data.versions import DatasetVersion
from desktop_app.errors import TrainingError
from desktop_app.jobs.context import JobContext
from desktop_app.tasks.image_classification import spec
from desktop_app.training.architecture import NETWORK
from desktop_app.training.images import load_split
from desktop_app.training.models import MODEL_FILES, ModelRecord, write_record
from desktop_app.training.network_training import NetworkData, train_network
from desktop_app.training.runs import BEST_NAME, CHECKPOINTS_FOLDER, Run


def fit_images(project: Project, run: Run, version: DatasetVersion, context: JobContext) -> ModelRecord:
    """Train (or go on from the last epoch) and leave `model.npz` and `model.json` in the run's folder.

    Raises:
        TrainingError: the version has no training samples.
    """
    side = int(run.recipe.options["input_size"])
    train = load_split(project, version, "train", side, context)
    validation = load_split(project, version, "validation", side, context)
    if not len(train.labels):
        raise TrainingError(
            f"dataset version {version.number} has no training samples", "Freeze a version with a larger share for training."
        )
    context.message(f"{len(train.labels)} training and {len(validation.labels)} validation images at {side} x {side}; loading PyTorch")
    train_network(run.path, run.recipe, NetworkData(train, validation, len(version.labels)), context)
    write_atomic(run.path / MODEL_FILES[NETWORK], (run.path / CHECKPOINTS_FOLDER / BEST_NAME).read_bytes())
    return write_record(run.path, NETWORK, spec(version), run.recipe, (len(train.labels), len(validation.labels)))
