"""A network's weights as one `.npz`: plain arrays, no pickles."""

from pathlib import Path

import numpy as np
import torch
from torch import nn

from contract.files import atomic_writer
from desktop_app.training.errors import RunError

WEIGHTS_MAX_BYTES = 2 << 30


def save_weights(path: Path, network: nn.Module) -> None:
    """Write every parameter and buffer by its name, all or nothing."""
    arrays = {name: tensor.detach().cpu().numpy() for name, tensor in network.state_dict().items()}
    with atomic_writer(path) as file:
        np.savez(file, **arrays)


def load_weights(path: Path, network: nn.Module) -> None:
    """Read the weights into a network of the same architecture.

    Raises:
        RunError: the file is missing, broken, or of another architecture.
    """
    try:
        if path.stat().st_size > WEIGHTS_MAX_BYTES:
            raise RunError(f"{path.name} is larger than {WEIGHTS_MAX_BYTES} bytes")
        with np.load(path, allow_pickle=False) as arrays:
            state = {name: torch.from_numpy(np.array(arrays[name])) for name in arrays.files}
        network.load_state_dict(state)
    except (OSError, ValueError, EOFError, RuntimeError) as error:
        raise RunError(f"the weights in {path} can not be read: {str(error)[:300]}. Train the run again") from error
