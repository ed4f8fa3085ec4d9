"""The local endpoint: Open Inference Protocol v2 over HTTP/1.1, answered by the process that runs the engine."""
