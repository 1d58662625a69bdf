"""The dataset card: ``README.md`` with the header that tells ``datasets.load_dataset`` which files make which split."""

from __future__ import annotations

import json
import re

from airflow_provider_autoglm.corpus.manifest import Manifest, read_manifest
from airflow_provider_autoglm.corpus.publish.plan import split_of
from airflow_provider_autoglm.corpus.publish.splits import SPLITS
from airflow_provider_autoglm.corpus.storage import Storage

_NOT_IN_YAML = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")


def write_card(dataset_uri: str, storage: Storage) -> None:
    """Write the card of a committed version; it is a function of the manifest, so writing it again is harmless."""
    storage.replace(f"{dataset_uri}/README.md", card_of(read_manifest(dataset_uri, storage)).encode())


def card_of(manifest: Manifest) -> str:
    """The card's text.

    The files of each split are listed by name: files of attempts that were killed stay unread.
    """
    dataset = manifest.dataset or {}
    title = manifest.settings.get("title") or manifest.pipeline or "dataset"
    review = "checked by people" if dataset["reviewed"] else "automatic and unreviewed"
    lines = ["---", f"pretty_name: {_yaml(title)}"]
    if manifest.settings.get("license"):
        lines.append(f"license: {_yaml(manifest.settings['license'])}")
    lines += ["task_categories:", "- text-classification", "configs:", "- config_name: default", "  data_files:"]
    for split in SPLITS:
        names = [shard.name for shard in manifest.shards if split_of(shard.name) == split]
        if names:
            lines += [f"  - split: {split}", "    path:", *(f"    - {name}" for name in names)]
    lines += ["---", "", f"# {_line(title)}, version {dataset['version']}", ""]
    lines += [f"{manifest.rows} texts in {len(dataset['labels'])} classes. Labels are {review}.", ""]
    lines += [
        "| split | rows |",
        "|---|---|",
        *(f"| {name} | {rows} |" for name, rows in dataset["splits"].items()),
        "",
    ]
    lines += ["| label | rows |", "|---|---|"]
    lines += [f"| {_cell(label)} | {rows} |" for label, rows in dataset["label_counts"].items()]
    previous = dataset.get("previous")
    news = f"{dataset['new_documents']} documents are new, {dataset['changed_labels']} changed their label, "
    news += f"{dataset['dropped_documents']} were dropped"
    lines += ["", f"Since version {previous}: {news}." if previous else "The first version.", ""]
    lines += ["## How it was made", "", f"Published {manifest.created_at} by airflow-provider-autoglm from:", ""]
    lines += [f"- `{item.uri}` (digest `{item.digest}`)" for item in manifest.inputs]
    lines += ["", f"Digest of the rows: `{manifest.digest}`. Settings: digest `{manifest.settings_digest}`."]
    return "\n".join(lines) + "\n"


def _yaml(text: str) -> str:
    """``text`` in double quotes; JSON is YAML but for characters that YAML wants escaped."""
    return _NOT_IN_YAML.sub(lambda found: f"\\u{ord(found[0]):04x}", json.dumps(text, ensure_ascii=False))


def _line(text: str) -> str:
    return " ".join(text.split())


def _cell(text: str) -> str:
    return _line(text).replace("|", "\\|")
