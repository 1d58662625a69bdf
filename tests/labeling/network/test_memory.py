from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import BertConfig, BertModel

from airflow_provider_autoglm.labeling.network.memory import Batch, TokenBudget, is_out_of_memory
from tests.labeling.sentences import TEXTS
from tests.labeling.tiny_models import tokenizer_of


class Memory:
    """Room for so many tokens; keeps which texts were computed, and the size of each attempt."""

    def __init__(self, lengths: list[int], room: int) -> None:
        self.lengths = lengths
        self.room = room
        self.computed: list[int] = []
        self.attempts: list[int] = []

    def compute(self, batch: Batch) -> None:
        tokens = len(batch) * max(self.lengths[row] for row in batch)
        self.attempts.append(tokens)
        if tokens > self.room:
            raise MemoryError
        self.computed += batch.tolist()


@given(st.lists(st.integers(1, 50), max_size=60), st.integers(50, 500), st.integers(1, 2_000))
def test_every_text_is_computed_once_however_little_memory_there_is(
    lengths: list[int], room: int, max_tokens: int
) -> None:
    memory, budget = Memory(lengths, room), TokenBudget()
    budget.run(lengths, max_tokens, memory.compute)
    assert sorted(memory.computed) == list(range(len(lengths)))


def test_later_calls_try_no_batch_that_is_as_large_as_one_that_failed() -> None:
    lengths = [10] * 100
    memory, budget = Memory(lengths, room=150), TokenBudget()
    budget.run(lengths, 1_000, memory.compute)
    assert memory.attempts[:4] == [1_000, 500, 250, 120]
    memory.attempts.clear()
    budget.run(lengths, 1_000, memory.compute)
    assert set(memory.attempts) <= {120, 40}


def test_a_text_that_does_not_fit_alone_is_an_error() -> None:
    memory, budget = Memory([10, 600, 20], room=150), TokenBudget()
    with pytest.raises(MemoryError):
        budget.run(memory.lengths, 1_000, memory.compute)


def test_another_error_is_not_taken_for_a_lack_of_memory() -> None:
    def broken(batch: Batch) -> None:
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    budget = TokenBudget()
    with pytest.raises(RuntimeError, match="shapes"):
        budget.run([1, 1, 1], 100, broken)
    assert budget.limit is None


def test_the_error_of_an_allocation_that_torch_cannot_make_is_one_of_memory() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**60, dtype=torch.uint8)
    assert is_out_of_memory(caught.value)
    assert not is_out_of_memory(OSError("out of memory"))


CHILD = """
import json, re, resource, sys
import numpy as np
from airflow_provider_autoglm.labeling.network.memory import is_out_of_memory
from airflow_provider_autoglm.labeling.network.text_network import TextNetwork
from airflow_provider_autoglm.settings import LabelSettings

settings = LabelSettings(batch_tokens=1_000_000, max_tokens=64)
network = TextNetwork.load(sys.argv[1], settings)
texts = [f"text number {number} " + "word " * (number % 60) for number in range(60)]
small = TextNetwork.load(sys.argv[1], LabelSettings(batch_tokens=64, max_tokens=64)).embed(texts)
used = int(re.search(r"VmSize:\\s+(\\d+) kB", open("/proc/self/status").read())[1]) * 1024

def with_room_for(megabytes):
    resource.setrlimit(resource.RLIMIT_AS, (used + megabytes * 2**20, resource.RLIM_INFINITY))

with_room_for(100)
difference = float(np.abs(network.embed(texts) - small).max())
limit = network._placed.budget.limit
with_room_for(1)
try:
    network.embed(["word " * 60])
    alone = "computed"
except Exception as error:
    alone = "out of memory" if is_out_of_memory(error) else repr(error)
print(json.dumps({"difference": difference, "limit": limit, "alone": alone}))
"""


def save_wide_bert(folder: str) -> str:
    torch.manual_seed(0)
    tokenizer = tokenizer_of(TEXTS)
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=65_536,
        max_position_embeddings=128,
    )
    BertModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.mark.skipif(sys.platform != "linux", reason="limits the address space of a process")
def test_a_process_short_of_memory_labels_all_texts_in_smaller_batches(tmp_path: Path) -> None:
    # A batch has up to 512 tokens, for each of which this width needs 256 KiB, so 128 MiB together, and more than once.
    folder = save_wide_bert(str(tmp_path / "wide"))
    # With that threshold large blocks go back to the system when they are freed, so that the limits are exact.
    done = subprocess.run(
        [sys.executable, "-c", CHILD, folder],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        env={**os.environ, "MALLOC_ARENA_MAX": "1", "MALLOC_MMAP_THRESHOLD_": "65536", "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr[-2_000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["limit"] < 512
    assert found["difference"] < 1e-5
    assert found["alone"] == "out of memory"
