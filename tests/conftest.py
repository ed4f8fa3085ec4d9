"""What all tests share: a quiet, small and repeatable environment."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
os.environ.setdefault("PYTEST_QT_API", "pyside6")
os.environ["EYELET_AGENT_SENSORS"] = "/nowhere"  # an update waits on a hot machine
os.environ.pop("EYELET_PROJECT", None)
os.environ.pop("EYELET_KEYS", None)
