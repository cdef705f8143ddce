"""Where notebooks and experiments compute."""

import os

import torch


def device() -> torch.device:
    """The device to compute on: `LOSSBOOK_DEVICE` where it is set, else the first GPU, else the CPU.

    Raises:
        ValueError: `LOSSBOOK_DEVICE` names no device that torch can use here.

    Example:
        >>> device().type in ("cpu", "cuda", "mps")
        True
    """
    wanted = os.environ.get("LOSSBOOK_DEVICE", "")
    if not wanted:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(wanted)
        torch.empty(0, device=chosen)
    except (RuntimeError, AssertionError) as error:
        raise ValueError(
            f"LOSSBOOK_DEVICE: got {wanted!r}, expected a device torch can use here, such as 'cpu' or 'cuda:0'"
        ) from error
    return chosen
