"""Chats: messages made a prompt by the model's own template, and answered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Unpack, cast

from . import json_text
from .causal import CausalModel
from .causal_options import CausalOptions
from .error import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .continuation import Continuation

Message = dict[str, Any]
Chat = list[Message]

PLAIN_TEMPLATE = (
    "{% for message in messages %}{{ message['role'] }}: {{ message['content'] }}\n{% endfor %}"
    "{% if add_generation_prompt %}assistant:{% endif %}"
)
"""For a model without a chat template: a line `role: content` for each message, and the model goes on."""


class ChatOptions(CausalOptions, total=False):
    """The parameters of a request for an answer to a chat.

    Attributes:
        tools: Functions the model may call, as JSON schemas; the model's template shows them to it.
        documents: Texts the model may look things up in, each with `title` and `text`; the same.
        continue_final_message: Go on with the last message instead of answering it; the default where it is the
            assistant's.
    """

    tools: list[dict[str, Any]]
    documents: list[dict[str, Any]]
    continue_final_message: bool


class ChatModel(CausalModel):
    """A causal model that answers chats, with its own chat template or the plain one."""

    def reply(self, chats: Sequence[Chat], **options: Unpack[ChatOptions]) -> list[list[Continuation]]:
        """The next message of each chat, or the rest of its last one: the new text alone.

        Raises:
            InvalidInput: Messages that the template does not take, too many of them, or a parameter that cannot be.
        """
        return self.follow([self._tokens(chat, options) for chat in chats], options)

    def _tokens(self, chat: Chat, options: ChatOptions) -> list[int]:
        goes_on = options.get("continue_final_message", chat[-1]["role"] == "assistant")
        own = bool(self.tokenizer.chat_template)
        try:
            text: Any = self.tokenizer.apply_chat_template(
                chat,
                chat_template=None if own else PLAIN_TEMPLATE,
                tokenize=False,
                add_generation_prompt=not goes_on,
                continue_final_message=goes_on,
                tools=cast("Any", options.get("tools")),
                documents=options.get("documents"),
            )
        except Exception as error:  # a template is the model's own code, and says so when it misses something
            raise InvalidInput(f"the model's chat template does not take these messages: {error}") from None
        return self.prompt(text, options, add_special_tokens=not own)


def parsed(text: str) -> Chat:
    """A chat out of JSON.

    Raises:
        InvalidInput: Not JSON, not Unicode, or no chat.
    """
    return messages(json_text.parsed(text, "input 'messages_json'"))


def messages(value: Any) -> Chat:
    """A chat as templates take it: every content one text.

    Raises:
        InvalidInput: No list of messages, or one with other content than text.
    """
    if not isinstance(value, list) or not value:
        raise InvalidInput('a chat must be a list of messages such as [{"role": "user", "content": "…"}]')
    return [_message(entry, index) for index, entry in enumerate(value)]


def _message(entry: Any, index: int) -> Message:
    if not isinstance(entry, dict) or not isinstance(entry.get("role"), str):
        raise InvalidInput(f'message {index} must be an object with "role" and "content"')
    content = entry.get("content")
    if content is None and entry.get("tool_calls"):  # of an assistant that only called tools
        return {**entry, "content": ""}
    if isinstance(content, list):
        content = "".join(_part(part, index) for part in content)
    if not isinstance(content, str):
        raise InvalidInput(f'message {index} must have a "content" that is a string or a list of text parts')
    return {**entry, "content": content}


def _part(part: Any, index: int) -> str:
    if isinstance(part, str):
        return part
    if isinstance(part, dict) and part.get("type") == "text" and isinstance(part.get("text"), str):
        return str(part["text"])
    what = repr(part.get("type")) if isinstance(part, dict) else "no object"
    raise InvalidInput(f"message {index} has a part that is {what}; this model reads parts of type 'text' only")
