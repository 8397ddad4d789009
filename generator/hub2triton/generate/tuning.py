"""How many instances share the cores of a CPU."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hub2triton.cores import cores
from hub2triton.error import UsageError
from hub2triton.generate.options import Device, Tuning

if TYPE_CHECKING:
    from hub2triton.generate.options import Options

MOST_INSTANCES = 8
"""Every instance holds the weights once more, so they are not multiplied by the cores of a large machine."""

GRAPH_INSTANCES = 2
"""Of an exported graph, whose processes are small: one computes while the answers of the other are on their way."""


def instances(options: Options) -> tuple[int, str]:
    """How many processes each device gets, and why.

    Threads are never written as a number: `threads: auto` in config.pbtxt divides the cores of the machine that loads
    the model among its instances, so one instance takes all of them and many take one or a few each, on any machine.

    Raises:
        UsageError: A GPU is to be tuned for a CPU's cores.
    """
    if options.optimize is not None and options.device is Device.CUDA:
        raise UsageError(
            "--optimize divides the cores of a CPU; leave it out with --device cuda, and use --instances and "
            "--queue-delay-us"
        )
    if options.instances is not None:
        return options.instances, "--instances"
    if options.optimize is Tuning.THROUGHPUT:
        count = min(cores(), MOST_INSTANCES)
        return count, f"--optimize throughput: {cores()} cores here, at most {MOST_INSTANCES}"
    if options.optimize is Tuning.LATENCY:
        return 1, "--optimize latency"
    return (GRAPH_INSTANCES, "default with --onnx") if options.onnx else (1, "default")
