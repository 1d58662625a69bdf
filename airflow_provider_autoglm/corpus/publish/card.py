"""The dataset card: ``README.md`` with the header that tells ``datasets.load_dataset`` which files make which split."""

from __future__ import annotations

import json

from airflow_provider_autoglm.corpus.manifest import Manifest, read_manifest
from airflow_provider_autoglm.corpus.publish.plan import split_of
from airflow_provider_autoglm.corpus.publish.splits import SPLITS
from airflow_provider_autoglm.corpus.storage import Storage


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
    lines = ["---", f"pretty_name: {json.dumps(title, ensure_ascii=False)}"]
    if manifest.settings.get("license"):
        lines.append(f"license: {json.dumps(manifest.settings['license'], ensure_ascii=False)}")
    lines += ["task_categories:", "- text-classification", "configs:", "- config_name: default", "  data_files:"]
    for split in SPLITS:
        names = [shard.name for shard in manifest.shards if split_of(shard.name) == split]
        if names:
            lines += [f"  - split: {split}", "    path:", *(f"    - {name}" for name in names)]
    lines += ["---", "", f"# {title}, version {dataset['version']}", ""]
    lines += [f"{manifest.rows} texts in {len(dataset['labels'])} classes. Labels are {review}.", ""]
    lines += [
        "| split | rows |",
        "|---|---|",
        *(f"| {name} | {rows} |" for name, rows in dataset["splits"].items()),
        "",
    ]
    lines += ["| label | rows |", "|---|---|"]
    lines += [f"| {label} | {rows} |" for label, rows in dataset["label_counts"].items()]
    previous = dataset.get("previous")
    news = f"{dataset['new_documents']} documents are new, {dataset['changed_labels']} changed their label, "
    news += f"{dataset['dropped_documents']} were dropped"
    lines += ["", f"Since version {previous}: {news}." if previous else "The first version.", ""]
    lines += ["## How it was made", "", f"Published {manifest.created_at} by airflow-provider-autoglm from:", ""]
    lines += [f"- `{item.uri}` (digest `{item.digest}`)" for item in manifest.inputs]
    lines += ["", f"Digest of the rows: `{manifest.digest}`. Settings: digest `{manifest.settings_digest}`."]
    return "\n".join(lines) + "\n"
