"""What transformers 4 answered to questions; `python -m tests.oracle.question_answering PYTHON` asks it anew."""

from __future__ import annotations

import sys
from typing import Any

from tests.oracle.record import Case, record

NAME = "question_answering"

SHORT = {"question": "who is happy?", "context": "The old man is sad. The young woman in the big city is happy today."}
LONG = {
    "question": "what did the boy see in the river?",
    "context": " ".join(
        f"On day {day} a boy and his dog walk to the river, where they see {what} in the cold water; the dog is "
        f"{mood}, and {reason}."
        for day, (what, mood, reason) in enumerate(
            [
                ("a big fish", "happy", "they eat it in the evening"),
                ("the old machine", "sad", "a teacher from the school told them to go home"),
                ("nothing", "slow", "the wind is strong"),
                ("a red book", "fast", "the boy reads it to his friend in the street"),
                ("a blue bird", "very happy", "it sings all night"),
            ]
        )
    ),
}
UNICODE = {
    "question": "Où est le café? 🙂",
    "context": "Le cafe\u0301 🙂🙂 est près de l'église — 漢字 👩\u200d👩\u200d👧 naïve, "
    "Zoe\u0308 was happy 🐕 in the İstanbul sun.",
}
TWICE = {"question": "who?", "context": "The dog. the DOG! A dog? The dog and THE DOG, the dog."}
PARAMETERS: list[dict[str, Any]] = [
    {},
    {"top_k": 5},
    {"top_k": 5, "align_to_words": False},
    {"handle_impossible_answer": True},
    {"top_k": 4, "handle_impossible_answer": True},
    {"max_answer_len": 2, "top_k": 3},
    {"doc_stride": 8, "top_k": 3},
    {"doc_stride": 0},
    {"max_seq_len": 40, "doc_stride": 10, "top_k": 3, "handle_impossible_answer": True},
]
FEW = PARAMETERS[:2] + PARAMETERS[4:6]
CASES = (
    [
        Case("question-answering", model, question, parameters)
        for model in ("bert_squad", "roberta_squad")
        for question, asked in ((SHORT, FEW), (LONG, PARAMETERS), (UNICODE, PARAMETERS), (TWICE, FEW))
        for parameters in asked
    ]
    + [  # so many answers that the empty one, by the window that believes it least, is among them
        Case(
            "question-answering",
            model,
            TWICE,
            {"top_k": 25, "max_seq_len": 18, "doc_stride": 4, "handle_impossible_answer": True},
        )
        for model in ("bert_squad", "roberta_squad")
    ]
    + [
        Case("question-answering", model, [*questions], {})
        for model in ("bert_squad", "roberta_squad")
        for questions in ([SHORT, LONG, TWICE], [SHORT])
    ]
)

if __name__ == "__main__":
    record(NAME, CASES, sys.argv[1])
