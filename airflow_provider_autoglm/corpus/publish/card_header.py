"""The YAML header of a dataset card: what the Hugging Face hub and ``datasets.load_dataset`` read of it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence

from airflow_provider_autoglm.corpus.manifest import Manifest
from airflow_provider_autoglm.corpus.publish.record import DatasetRecord
from airflow_provider_autoglm.corpus.publish.splits import SPLITS, split_of

# https://huggingface.co/docs/hub/repositories-licenses
_LICENSES = (
    "apache-2.0 mit openrail bigscience-openrail-m creativeml-openrail-m bigscience-bloom-rail-1.0 bigcode-openrail-m"
    " afl-3.0 artistic-2.0 bsl-1.0 bsd bsd-2-clause bsd-3-clause bsd-3-clause-clear c-uda cc cc0-1.0 cc-by-2.0"
    " cc-by-2.5 cc-by-3.0 cc-by-4.0 cc-by-sa-3.0 cc-by-sa-4.0 cc-by-nc-2.0 cc-by-nc-3.0 cc-by-nc-4.0 cc-by-nd-4.0"
    " cc-by-nc-nd-3.0 cc-by-nc-nd-4.0 cc-by-nc-sa-2.0 cc-by-nc-sa-3.0 cc-by-nc-sa-4.0 cdla-sharing-1.0"
    " cdla-permissive-1.0 cdla-permissive-2.0 wtfpl ecl-2.0 epl-1.0 epl-2.0 etalab-2.0 eupl-1.1 agpl-3.0 gfdl gpl"
    " gpl-2.0 gpl-3.0 lgpl lgpl-2.1 lgpl-3.0 isc lppl-1.3c ms-pl mpl-2.0 odc-by odbl osl-3.0 postgresql ofl-1.1 ncsa"
    " unlicense zlib pddl lgpl-lr unknown other"
)
_LANGUAGE = re.compile("[a-z]{2,3}")
_SIZES = (
    (1_000, "n<1K"),
    (10_000, "1K<n<10K"),
    (100_000, "10K<n<100K"),
    (1_000_000, "100K<n<1M"),
    (10_000_000, "1M<n<10M"),
    (100_000_000, "10M<n<100M"),
    (1_000_000_000, "100M<n<1B"),
)
_LARGEST_SIZE = "1B<n<10B"
_NOT_IN_YAML = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")


def header_of(manifest: Manifest, record: DatasetRecord, title: str) -> list[str]:
    """The header's lines.

    The files of each split are listed by name: files of attempts that were killed stay unread. A licence that the hub
    does not know is ``other`` there, by its name.
    """
    return [
        "---",
        f"pretty_name: {yaml_string(title)}",
        *_license(str(manifest.settings.get("license") or "")),
        *_list("language", [name for name in record.languages if _LANGUAGE.fullmatch(name)]),
        *_list("task_categories", ["text-classification"]),
        *_list("size_categories", [_size(manifest.rows)]),
        "configs:",
        "- config_name: default",
        "  data_files:",
        *_data_files(manifest),
        "---",
    ]


def yaml_string(text: str) -> str:
    """``text`` in double quotes; JSON is YAML but for characters that YAML wants escaped."""
    return _NOT_IN_YAML.sub(lambda found: f"\\u{ord(found[0]):04x}", json.dumps(text, ensure_ascii=False))


def _license(name: str) -> list[str]:
    if not name.strip():
        return []
    known = "-".join(name.lower().split())
    if known in _LICENSES.split():
        return [f"license: {yaml_string(known)}"]
    return ["license: other", f"license_name: {yaml_string(name)}"]


def _list(key: str, values: Sequence[str]) -> list[str]:
    # In quotes: Norwegian is `no`, which YAML takes for a boolean.
    return [f"{key}:", *(f"- {yaml_string(value)}" for value in values)] if values else []


def _size(rows: int) -> str:
    return next((name for limit, name in _SIZES if rows < limit), _LARGEST_SIZE)


def _data_files(manifest: Manifest) -> Iterator[str]:
    for split in SPLITS:
        names = [shard.name for shard in manifest.shards if split_of(shard.name) == split]
        if names:
            yield from (f"  - split: {split}", "    path:", *(f"    - {name}" for name in names))
