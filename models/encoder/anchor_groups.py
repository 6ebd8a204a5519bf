"""The command that groups the participation rows by what they resemble. Needs torch.

python -m models.encoder.anchor_groups --data ../shared/data
"""

import json
from pathlib import Path
from typing import Annotated

import typer

from models.backbone import MINILM_ID, MINILM_SHA256, find_backbone
from models.encoder.anchors import GROUPS_FILE, fingerprint, group_rows
from models.encoder.batches import tokenise
from models.encoder.heads import participation
from models.encoder.model import PostEncoder, embed_all, load_backbone, width_of


def main(
    data: Annotated[Path, typer.Option(help="Folder of the data sets.")],
    backbone: Annotated[Path | None, typer.Option(help="Folder of the backbone.")] = None,
) -> None:
    """Rebuild the groups of the participation rows with the backbone's embeddings."""
    found = find_backbone(MINILM_ID, MINILM_SHA256, backbone)
    posts = participation.train(data)
    body = load_backbone(found.folder)
    model = PostEncoder(body, width_of(body), ())
    embeddings = embed_all(model, tokenise(posts.texts, found.tokenizer, 128)).numpy()
    groups = group_rows(embeddings, posts)
    kept = {"rows_sha256": fingerprint(posts), "groups": groups}
    GROUPS_FILE.write_text(json.dumps(kept) + "\n", encoding="utf-8")
    typer.echo(f"{GROUPS_FILE}: {len(posts):,} rows in {len(set(groups)):,} groups")


if __name__ == "__main__":
    typer.run(main)
