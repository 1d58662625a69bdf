"""A classifier of this package's training, run from its ONNX file: for packages that hold no torch weights."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from airflow_provider_autoglm.exceptions import UnusableModelError
from airflow_provider_autoglm.labeling.batching import batches
from airflow_provider_autoglm.labeling.labels import Vectors
from airflow_provider_autoglm.labeling.unknown import mostly_unknown
from airflow_provider_autoglm.settings.label import LabelSettings

ONNX_FILE = "model.onnx"
TOKENIZER_FILE = "tokenizer.json"

_TEXTS_AT_ONCE = 64
_FEWEST_CHARACTERS = 20_000
_CHARACTERS_A_TOKEN = 16


@dataclass(frozen=True)
class OnnxClassifier:
    """Logits of ``classes``, computed on one thread of the CPU."""

    classes: tuple[str, ...]
    batch_tokens: int
    padding: int
    tokenizer: Any = field(repr=False)
    session: Any = field(repr=False)

    @classmethod
    def open(
        cls, folder: str, settings: LabelSettings, *, classes: Sequence[str], max_tokens: int, padding: int
    ) -> Self:
        """Load the network and the tokenizer in ``folder``.

        :param max_tokens: tokens of a text that the network was trained to read.
        :param padding: the token that fills up shorter texts.

        :raises UnusableModelError: if passes with dropout are asked for, which ONNX has not, or the files are damaged.
        """
        if settings.mc_dropout:
            raise UnusableModelError(folder, "its ONNX file has no dropout", "label.mc_dropout")
        import onnxruntime
        from tokenizers import Tokenizer

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        try:
            tokenizer = Tokenizer.from_file(os.path.join(folder, TOKENIZER_FILE))
            session = onnxruntime.InferenceSession(
                os.path.join(folder, ONNX_FILE), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # both raise classes of their own that share no base
            raise UnusableModelError(folder, f"{type(error).__name__}: {error}") from error
        tokenizer.no_padding()
        tokenizer.enable_truncation(min(max_tokens, settings.max_tokens))
        return cls(tuple(classes), settings.batch_tokens, padding, tokenizer, session)

    def logits(self, texts: Sequence[str]) -> Vectors:
        """The logits of each text, float32[n, classes].

        :raises TypeError: if a text holds lone surrogates.
        """
        tokens = [ids for block in _blocks(texts) for ids in self._encoded(self._beginnings(block))]
        logits = np.zeros((len(tokens), len(self.classes)), np.float32)
        for batch in batches([len(ids) for ids in tokens], self.batch_tokens):
            logits[batch] = self._run([tokens[row] for row in batch])
        return logits

    def unknown(self, texts: Sequence[str]) -> NDArray[np.bool_]:
        """Which texts are mostly words that the network does not know: bool[n]."""
        token = getattr(self.tokenizer.model, "unk_token", None)
        number = None if token is None else self.tokenizer.token_to_id(token)
        return mostly_unknown(texts, lambda some: self._encoded(some, add_special_tokens=False), number)

    def _beginnings(self, texts: Sequence[str]) -> list[str]:
        longest = max(_FEWEST_CHARACTERS, _CHARACTERS_A_TOKEN * self.tokenizer.truncation["max_length"])
        return [text[:longest] for text in texts]

    def _encoded(self, texts: list[str], *, add_special_tokens: bool = True) -> list[list[int]]:
        return [found.ids for found in self.tokenizer.encode_batch(texts, add_special_tokens=add_special_tokens)]

    def _run(self, tokens: Sequence[Sequence[int]]) -> Vectors:
        lengths = np.array([len(ids) for ids in tokens])
        mask = np.arange(lengths.max()) < lengths[:, None]
        ids = np.full(mask.shape, self.padding, np.int64)
        ids[mask] = np.concatenate([np.asarray(row, np.int64) for row in tokens])
        logits: Vectors = self.session.run(["logits"], {"input_ids": ids, "attention_mask": mask.astype(np.int64)})[0]
        return logits


def _blocks(texts: Sequence[str]) -> Iterator[Sequence[str]]:
    """``texts`` in pieces: the tokenizer holds all that it makes of a piece, cut off or not."""
    for first in range(0, len(texts), _TEXTS_AT_ONCE):
        yield texts[first : first + _TEXTS_AT_ONCE]
