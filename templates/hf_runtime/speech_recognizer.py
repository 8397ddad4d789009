"""The recognizer that fits a speech model: by the frame (CTC), or by writing a text (Whisper)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from transformers import AutoConfig

from .ctc_recognizer import CtcRecognizer
from .whisper_recognizer import WhisperRecognizer

if TYPE_CHECKING:
    from .settings import Settings


def recognizer(settings: Settings) -> CtcRecognizer | WhisperRecognizer:
    """Loads the model of a folder."""
    config = AutoConfig.from_pretrained(settings.weights(), trust_remote_code=settings.trust_remote_code)
    return WhisperRecognizer(settings) if config.model_type == "whisper" else CtcRecognizer(settings)
