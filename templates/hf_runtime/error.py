"""What a model raises when the caller, not the model, is at fault."""


class InvalidInput(ValueError):  # noqa: N818 (it names what the caller sent, and reads so at every raise)
    """The caller's tensors or parameters cannot be answered; the text goes to the caller as it is.

    Triton answers it with INVALID_ARGUMENT (HTTP 400); requests that share a batch are not touched.
    """
