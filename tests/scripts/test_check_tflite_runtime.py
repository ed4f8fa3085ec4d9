"""The pure parts of the check with the older library; `make check-tflite-runtime` does the rest."""

import pytest

from scripts.check_tflite_runtime import OLDER, constraints, is_right, requirements
from scripts.platform_answers import Answers

PASSED = {"package": "colours", "variant": "litert-float32", "samples": 4, "max_difference": 0.0, "tolerance": 1e-4, "passed": True}
REFUSED = {**PASSED, "passed": False, "error": "wrongly: it ignores the scale of each row of int8 weights. Choose"}
OLDER_PLATFORM = {"machine": "x86_64", "python": "3.11.7", "runtime": "tflite-runtime 2.14.0"}


def test_the_older_library_and_numpy_take_the_place_of_the_agents() -> None:
    project = {
        "dependencies": ["msgspec>=0.19"],
        "optional-dependencies": {"agent": ["numpy>=1.26", "onnxruntime>=1.20", "ai-edge-litert>=2.0"]},
    }
    assert requirements(project) == ["msgspec>=0.19", *OLDER]


def test_what_is_replaced_is_not_pinned() -> None:
    pinned = '# why\nai-edge-litert==2.3.0\nclick==8.5.1\nnumpy==2.2.6 ; python_version < "3.11"\nonnxruntime==1.32.0\n'
    assert constraints(pinned) == "# why\nclick==8.5.1\n"


@pytest.mark.parametrize(
    ("answers", "right"),
    [
        (Answers(OLDER_PLATFORM, [PASSED]), True),
        (Answers(OLDER_PLATFORM, [PASSED, REFUSED]), True),
        (Answers(OLDER_PLATFORM, [REFUSED]), False),
        (Answers(OLDER_PLATFORM, [PASSED, {**PASSED, "passed": False}]), False),
        (Answers(OLDER_PLATFORM, [PASSED, {**REFUSED, "error": "it is broken"}]), False),
        (Answers({**OLDER_PLATFORM, "runtime": "ai-edge-litert 2.3.0"}, [PASSED]), False),
        (Answers({**OLDER_PLATFORM, "runtime": None, "absent": "no"}, []), False),
        (Answers({}, [], "ended by SIGSEGV: it wrote nothing"), False),
    ],
)
def test_only_answers_of_the_older_library_that_are_right_count(answers: Answers, right: bool) -> None:
    assert is_right(answers) is right
