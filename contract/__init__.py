"""What the four programs agree on: files, messages, REST bodies and states, without any other I/O than files."""

import os

# ONNX Runtime's wheels tell their maker which models run where, unless this is set before the library is loaded.
# Nothing of Eyelet speaks to anybody whom its user did not name.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
