"""The table of architectures: one file each, one line here."""

from desktop_app.training.architecture import Architecture
from desktop_app.training.architectures import gradient_boosting, logistic_regression, random_forest, resnet8, small_cnn

ARCHITECTURES: dict[str, Architecture] = {
    "small-cnn": small_cnn.ARCHITECTURE,
    "resnet8": resnet8.ARCHITECTURE,
    "logistic-regression": logistic_regression.ARCHITECTURE,
    "random-forest": random_forest.ARCHITECTURE,
    "gradient-boosting": gradient_boosting.ARCHITECTURE,
}
