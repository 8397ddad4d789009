"""From a Hugging Face Hub model id to a Triton model repository that answers Hugging Face payloads."""

from importlib.metadata import version

__version__ = version("hub2triton")
