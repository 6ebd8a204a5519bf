"""Write what an image installs as a CycloneDX 1.5 document to standard output.

    python sbom.py NAME SITE_PACKAGES...

Python packages alone: what the base image carries is that image's own list. Standard library only.
"""

import json
import sys
from importlib.metadata import Distribution, distributions


def component(found: Distribution) -> dict[str, object]:
    """Return one installed package; a licence is named if the package names a short one."""
    name, version = found.metadata["Name"].lower().replace("_", "-"), found.version
    told = found.metadata.get_all("License-Expression", [])
    licences = {"licenses": [{"expression": told[0]}]} if told else {}
    reference = f"pkg:pypi/{name}@{version}"
    return {"type": "library", "bom-ref": reference, "name": name, "version": version,
            "purl": reference, **licences}  # fmt: skip


def document(title: str, folders: list[str]) -> dict[str, object]:
    """Return the document of the packages in some folders, ordered by name.

    Raises:
        SystemExit: A folder holds none: an empty list would be taken for an image without any.
    """
    found = []
    for folder in folders:
        packages = [component(one) for one in distributions(path=[folder])]
        if not packages:
            sys.exit(f"sbom: {folder} holds no installed package")
        found += packages
    found.sort(key=lambda one: str(one["bom-ref"]))
    of = {"component": {"type": "application", "name": title}}
    return {"bomFormat": "CycloneDX", "specVersion": "1.5", "version": 1, "metadata": of,
            "components": found}  # fmt: skip


if __name__ == "__main__":
    json.dump(document(sys.argv[1], sys.argv[2:]), sys.stdout, indent=1)
