import random

from contract.reference import measure_drift
from contract.sketches import CONFIDENCE_BOUNDS, Histogram
from desktop_app.release.reference import FALSE_ALARM, Answer, build_reference

CHOOSER = random.Random(3)
POPULATION = [Answer(CHOOSER.choice("abcde"), min(1.0, CHOOSER.betavariate(9, 1.5))) for _ in range(4000)]


def window(answers):
    counts = {label: sum(answer.label == label for answer in answers) for label in "abcde"}
    return Histogram.of(CONFIDENCE_BOUNDS, (answer.score for answer in answers)), counts


def test_counts_are_those_of_the_answers():
    reference = build_reference(POPULATION[:200])
    assert reference.sample_count == reference.confidence.count == sum(reference.class_counts.values()) == 200
    assert reference.false_alarm == FALSE_ALARM


def test_the_same_answers_give_the_same_limit():
    assert build_reference(POPULATION[:200], seed=1) == build_reference(POPULATION[:200], seed=1)


def test_windows_of_the_same_population_rarely_drift():
    reference = build_reference(POPULATION[:300])
    drawer = random.Random(11)
    states = [measure_drift(reference, *window(drawer.sample(POPULATION[300:], reference.minimum_count))).state for _ in range(200)]
    assert states.count("drifting") <= 6
    assert "too_few" not in states


def test_a_lost_class_and_lost_confidence_drift():
    reference = build_reference(POPULATION[:300])
    one_class = [Answer("a", answer.score) for answer in POPULATION[300:400]]
    unsure = [Answer(answer.label, answer.score / 2) for answer in POPULATION[300:400]]
    assert measure_drift(reference, *window(one_class)).state == "drifting"
    assert measure_drift(reference, *window(unsure)).state == "drifting"


def test_no_answers_give_a_reference_that_never_alarms():
    reference = build_reference([])
    assert reference.drift_limit == 1.0
    assert measure_drift(reference, *window(POPULATION[:200])).state == "ok"
