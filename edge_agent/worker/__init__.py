"""The worker: one process per active version, which runs the engine, the application and the sockets it was handed.

`process`, `self_testing` and `messages` are the supervisor's side and import no numpy; `main` and
`self_test` run in the child.
"""
