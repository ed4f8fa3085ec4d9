import numpy as np
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from contract.manifest import TensorSpec
from converters.conversion import convert
from converters.errors import ConversionError
from converters.samples import EvaluationSet
from converters.sources import SklearnSource
from edge_agent.engine.engine import open_variant
from edge_agent.engine.model_spec import ModelSpec

LABELS = ("maybe", "no", "yes")
INPUTS = (TensorSpec("width", "float32", (1,)), TensorSpec("height", "float32", (1,)), TensorSpec("colour", "string", (1,)))
SPEC = ModelSpec("tabular-classification", LABELS, INPUTS, (TensorSpec("scores", "float32", (3,), "C"),), {})


@pytest.fixture(scope="module")
def table():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "width": rng.normal(size=400).astype(np.float32),
            "height": rng.normal(size=400).astype(np.float32),
            "colour": pd.Series(rng.choice(["red", "green", "ü ß", ""], 400), dtype=object),
        }
    )
    frame.loc[::17, "height"] = np.nan
    labels = np.where((frame.width > 0) & (frame.colour != "red"), "yes", np.where(frame.height > 0.8, "maybe", "no"))
    return frame, labels


def fitted(classifier, table, labels):
    numbers = make_pipeline(SimpleImputer(), StandardScaler())
    columns = [
        ("numbers", numbers, ["width", "height"]),
        ("texts", OneHotEncoder(handle_unknown="ignore", sparse_output=False), ["colour"]),
    ]
    return Pipeline([("columns", ColumnTransformer(columns)), ("classifier", classifier)]).fit(table[0][:300], labels[:300])


def rows(frame) -> list[dict[str, np.ndarray]]:
    return [
        {"width": np.array([r.width], np.float32), "height": np.array([r.height], np.float32), "colour": np.array([r.colour])}
        for r in frame.itertuples()
    ]


KINDS = [
    LogisticRegression(max_iter=500),
    RandomForestClassifier(20, random_state=0),
    HistGradientBoostingClassifier(max_iter=20, random_state=0),
]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: type(kind).__name__)
def test_a_pipeline_with_text_columns_answers_as_scikit_learn_does(kind, table, tmp_path):
    frame, labels = table
    estimator = fitted(kind, table, labels)
    source = SklearnSource(estimator, SPEC, {name: frame[name].to_numpy() for name in frame})
    test = frame[300:]
    evaluation = EvaluationSet(rows(test), list(np.searchsorted(LABELS, labels[300:])))
    report = convert(source, targets=["onnx-float32"], calibration=[], evaluation=evaluation, folder=tmp_path)
    variant = report.variants["onnx-float32"]
    assert variant.evaluation.score == pytest.approx(np.mean(estimator.predict(test) == labels[300:]))
    with open_variant(tmp_path / variant.file, variant, SPEC) as engine:
        found = np.stack([engine.run(row)["scores"] for row in rows(test)])
        unknown = engine.predict({**rows(test)[0], "colour": np.array(["never seen"])})
    off = np.abs(found - estimator.predict_proba(test)).max(axis=1) > 1e-3
    assert off.mean() <= 0.02  # float32 against float64 at a tree's threshold
    assert np.isfinite(unknown.scores).all()


def test_classes_as_numbers_are_the_label_set_too(table, tmp_path):
    frame, labels = table
    estimator = fitted(LogisticRegression(max_iter=500), table, np.searchsorted(LABELS, labels))
    source = SklearnSource(estimator, SPEC, {name: frame[name].to_numpy() for name in frame})
    report = convert(source, targets=["onnx-float32"], calibration=rows(frame[:5]), evaluation=EvaluationSet(()), folder=tmp_path)
    assert list(report.variants) == ["onnx-float32"]


def test_an_estimator_that_never_saw_a_class_is_refused(table, tmp_path):
    frame, labels = table
    estimator = fitted(LogisticRegression(max_iter=500), table, np.where(labels == "maybe", "no", labels))
    source = SklearnSource(estimator, SPEC, {name: frame[name].to_numpy() for name in frame})
    with pytest.raises(ConversionError, match=r"knows the classes \['no', 'yes'\]"):
        convert(source, targets=["onnx-float32"], calibration=rows(frame[:5]), evaluation=EvaluationSet(()), folder=tmp_path)


def test_columns_keep_names_that_are_no_identifiers(tmp_path) -> None:
    names = ("weight g", "weight_g", "Größe/cm", "variable")  # the last is a name that the converter itself gives to tensors
    frame = pd.DataFrame(np.random.default_rng(1).normal(size=(60, 4)).astype(np.float32), columns=names)
    estimator = make_pipeline(StandardScaler(), LogisticRegression()).fit(frame, (frame.sum(axis=1) > 0).astype(int))
    inputs = tuple(TensorSpec(name, "float32", (1,)) for name in names)
    spec = ModelSpec("tabular-classification", ("no", "yes"), inputs, (TensorSpec("scores", "float32", (2,), "C"),), {})
    samples = [{name: np.array([value], np.float32) for name, value in zip(names, row, strict=True)} for row in frame.to_numpy()]
    source = SklearnSource(estimator, spec, {name: frame[name].to_numpy() for name in names})
    report = convert(source, targets=("onnx-float32",), calibration=(), evaluation=EvaluationSet(samples), folder=tmp_path)
    variant = report.variants["onnx-float32"]
    with open_variant(tmp_path / variant.file, variant, spec) as engine:
        found = np.stack([engine.predict(sample).scores for sample in samples])
    assert np.abs(found - estimator.predict_proba(frame)).max() < 1e-5
