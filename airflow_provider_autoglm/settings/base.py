"""The base of all settings models: strict keys, and messages with key, value, what is allowed and the nearest key."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from typing import Any, Self, get_args

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

from airflow_provider_autoglm.exceptions import SettingsError, UnsafeUriError

# The second form is a key with a slash in it, as object storages hand out: what follows the colon is no port.
_USERINFO = re.compile(r"(?P<scheme>[a-zA-Z][\w+.-]*://)(?:[^/?#\s]*@|[^/?#@\s:\[]+:(?!\d*(?:[/?#\s\"']|$))[^\s]*@)")
_USERINFO_WITHOUT_SCHEME = re.compile(r"^['\"]?[^/\s@]+:(?!//)[^\s@]*@")
_LONGEST_VALUE_SHOWN = 80


class Settings(BaseModel):
    """A frozen model that refuses unknown keys; build it from user input with :meth:`parse`."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)

    @classmethod
    def parse(cls, value: Self | Mapping[str, Any], *, path: str = "") -> Self:
        """Validate ``value``; ``path`` is put before each key in messages, e.g. ``autoglm_default.dedupe``.

        :raises SettingsError: with one problem for each unknown key and each value out of range.
        """
        if isinstance(value, cls):
            return value
        try:
            return cls.model_validate(value)
        except ValidationError as error:
            raise SettingsError([_explain(cls, details, path) for details in _causes(error.errors())]) from None


def redact_userinfo(text: str) -> str:
    """Replace ``user:password@`` of every URI in ``text`` by ``***@``."""
    return _USERINFO.sub(r"\g<scheme>***@", text)


def refuse_userinfo(uri: str) -> str:
    """Return ``uri`` unchanged.

    :raises UnsafeUriError: if it carries a user name or password.
    """
    if _USERINFO.search(uri):
        raise UnsafeUriError(redact_userinfo(uri))
    return uri


def model_at(model: type[BaseModel], location: tuple[int | str, ...]) -> type[BaseModel]:
    """The settings model that holds the key at ``location``, below ``model``."""
    for key in location[:-1]:
        if isinstance(key, str) and key in model.model_fields:
            model = _nested_model(model.model_fields[key].annotation) or model
    return model


def _nested_model(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for arg in get_args(annotation) if (found := _nested_model(arg))), None)


def _causes(errors: list[ErrorDetails]) -> list[ErrorDetails]:
    """The errors without those that only follow: a list whose item is refused is said to be too short as well."""
    inner = {details["loc"][:depth] for details in errors for depth in range(len(details["loc"]))}
    return [details for details in errors if details["loc"] not in inner]


def unknown_key(key: str, known: Sequence[str]) -> str:
    """What is said of ``key``, which is not in ``known``; its value may be a misplaced secret and is never shown."""
    candidates = {name: name for name in known} | {name.rpartition(".")[2]: name for name in known}
    nearest = difflib.get_close_matches(key, candidates, n=1, cutoff=0.6)
    nearest = nearest or difflib.get_close_matches(key.rpartition(".")[2], candidates, n=1, cutoff=0.5)
    hint = f"did you mean '{candidates[nearest[0]]}'?" if nearest else f"known keys: {', '.join(known)}"
    return f"{key}: unknown key; {hint}"


def _explain(model: type[BaseModel], details: ErrorDetails, path: str) -> str:
    location = details["loc"]
    key = ".".join(filter(None, [path, *(str(part) for part in location)])) or "settings"
    if details["type"] == "extra_forbidden":
        return unknown_key(key, list(model_at(model, location).model_fields))
    if details["type"] == "missing":
        return f"{key}: required and not set"
    message = redact_userinfo(details["msg"].removeprefix("Value error, "))
    message = re.sub(r"^(Input should be a valid |)[Tt]uple\b", r"\1list", message)
    is_of_several_keys = details["type"] == "value_error" and isinstance(details["input"], Mapping)
    shown = f" = {_shown(details['input'])}" if location and not is_of_several_keys else ""
    return f"{key}{shown}: {message[:1].lower() + message[1:]}"


def _shown(value: object) -> str:
    # What is inside may be a misplaced secret, so only its shape is told.
    if isinstance(value, Mapping):
        return "an object"
    if isinstance(value, (list, tuple)):
        return f"a list of {len(value)}"
    text = _USERINFO_WITHOUT_SCHEME.sub("'***@", redact_userinfo(repr(value)))
    return text if len(text) <= _LONGEST_VALUE_SHOWN else text[:_LONGEST_VALUE_SHOWN] + "…"
