"""TLS's certificate and key for a worker that may not read them where they lie: copies in memory, handed over as descriptors.

The alternative, to let the worker's group read the key file, would ask every owner to change the permissions of files
that other programs own. Each worker gets a copy of its own, read as it starts, so that renewed files count from the next one.
"""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from contract.files import read_bounded
from edge_agent.worker.messages import Access

TLS_FILE_MAX_BYTES = 1 << 20


@contextlib.contextmanager
def handed(access: Access) -> Iterator[tuple[Access, tuple[int, ...]]]:
    """The access with paths that only a process with these descriptors can open; they are closed at the end.

    Raises:
        OSError: a file can not be read.
        ContractError: a file is larger than 1 MiB.
    """
    with contextlib.ExitStack() as stack:
        descriptors = [_copy(Path(path), stack) for path in (access.tls_cert, access.tls_key) if path]
        if len(descriptors) < 2:  # noqa: PLR2004  (certificate and key)
            yield access, ()
            return
        cert, key = descriptors
        yield Access(access.token_sha256, f"/dev/fd/{cert}", f"/dev/fd/{key}"), (cert, key)


def _copy(path: Path, stack: contextlib.ExitStack) -> int:
    content = read_bounded(path, TLS_FILE_MAX_BYTES)
    descriptor = os.memfd_create("eyelet-tls")
    stack.callback(os.close, descriptor)
    os.write(descriptor, content)
    return descriptor
