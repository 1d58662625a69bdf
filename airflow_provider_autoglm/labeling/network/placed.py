"""The models that this process has in use: each is loaded once, moved to its device, in its precision."""

from __future__ import annotations

import threading
import weakref
from dataclasses import dataclass, field

from airflow_provider_autoglm.labeling import models
from airflow_provider_autoglm.labeling.models import Head, LoadedModel
from airflow_provider_autoglm.labeling.network.device import Placement
from airflow_provider_autoglm.labeling.network.memory import TokenBudget


@dataclass(frozen=True, eq=False)
class Placed:
    """A model on its device, and what is known of the memory there."""

    model: LoadedModel
    placement: Placement = field(default_factory=Placement)
    budget: TokenBudget = field(default_factory=TokenBudget)


_in_use: weakref.WeakValueDictionary[tuple[str, Head, Placement], Placed] = weakref.WeakValueDictionary()
_loading = threading.RLock()


def placed(model: str, head: Head, placement: Placement) -> Placed:
    """``model`` at ``placement``: the one in use if there is one, which is forgotten when nobody holds it any more.

    :raises ModelNotFoundError: if the model cannot be loaded.
    :raises UnusableModelError: if a classifier has no trained head, or its tokenizer cannot pad.
    """
    key = (model, head, placement)
    with _loading:
        found = _in_use.get(key)
        if found is None:
            found = _in_use[key] = Placed(_made(model, head, placement), placement)
        return found


def _made(model: str, head: Head, placement: Placement) -> LoadedModel:
    if placement.precision == "int8":
        from airflow_provider_autoglm.labeling.network.int8 import quantised

        return quantised(placed(model, head, Placement()).model)
    import torch

    loaded = models.load(model, head=head)
    if placement == Placement():
        from airflow_provider_autoglm.labeling.network.packing import packed

        return packed(loaded)
    dtype = torch.bfloat16 if placement.precision == "bf16" else torch.float32
    return LoadedModel(loaded.tokenizer, loaded.encoder.to(device=placement.device, dtype=dtype))
