"""A checkpoint's manifest: strict, and hostile ones refused."""

import contextlib
import json

import pytest

from hmrl_cli.errors import InputError
from hmrl_cli.lazy import np
from hmrl_cli.storage import checkpoints, files, manifest, writer
from hmrl_cli.storage.manifest import sha256
from tests.mutants import mutants, refused
from tests.storage.runs import TREE, message


@pytest.mark.parametrize(
    ("name", "leaf"),
    [
        ("count", np.array(3, np.int64)),
        ("count", np.array(3, np.float32)),
        ("count", np.array([3], np.int32)),
        ("half", np.array(1.5, np.float16)),
        ("more", np.array(1)),
        ("count", None),
    ],
)
def test_strict_comparison(tmp_path, name, leaf):
    tree = {"count": TREE["count"], "half": TREE["half"]}
    checkpoints.save(tmp_path, 1, tree, "hash")
    with pytest.raises(InputError) as caught:
        checkpoints.load(tmp_path, tree | {name: leaf}, "hash")
    assert name in message(caught)
    with pytest.raises(InputError, match="another configuration"):
        checkpoints.load(tmp_path, tree, "other hash")


def test_every_bit_of_the_manifest_counts(tmp_path):
    checkpoints.save(tmp_path, 1, {"w": np.float32([1, 2])}, "hash")
    manifest = tmp_path / "1" / "manifest.json"
    intact = manifest.read_bytes()
    template = {"w": np.zeros(2, np.float32)}
    for position in range(0, len(intact), 7):
        content = bytearray(intact)
        content[position] ^= 4
        manifest.write_bytes(content)
        with contextlib.suppress(InputError):
            assert checkpoints.load(tmp_path, template, "hash").tree["w"].tolist() == [1, 2]


HOSTILE = {
    "a file above": lambda manifest: manifest["files"].update({"../secret": sha256(b"secret")}),
    "a file elsewhere": lambda manifest: manifest["files"].update(
        {str(writer.Path(__file__)): files.file_sha256(writer.Path(__file__))}
    ),
    "a link to itself": lambda manifest: manifest["files"].update({"loop": "0"}),
    "a device": lambda manifest: manifest["files"].update({"/dev/zero": "0"}),
    "a link": lambda manifest: manifest["files"].update({"link": sha256(b"secret")}),
    "no name": lambda manifest: manifest["files"].update({"\0": "0"}),
    "a missing key": lambda manifest: manifest.pop("leaves"),
    "another kind": lambda manifest: manifest.update(files=[]),
    "a leaf that is none": lambda manifest: manifest["leaves"].update(w=[1]),
    "another schema": lambda manifest: manifest.update(schema=2),
}


@pytest.mark.parametrize("change", HOSTILE.values(), ids=HOSTILE)
def test_a_manifest_leads_to_nothing_but_its_checkpoint(tmp_path, change):
    """Not even one that vouches for itself."""
    folder, tree = tmp_path / "checkpoints", {"w": np.float32([1, 2])}
    checkpoints.save(folder, 1, tree, "hash")
    (tmp_path / "checkpoints" / "secret").write_text("secret")
    (folder / "1" / "link").symlink_to(folder / "secret")
    (folder / "1" / "loop").symlink_to(folder / "1" / "loop")
    file = folder / "1" / "manifest.json"
    manifest = json.loads(file.read_text())["manifest"]
    change(manifest)
    digest = sha256(json.dumps(manifest, sort_keys=True).encode())
    file.write_text(json.dumps({"sha256": digest, "manifest": manifest}))
    with pytest.raises(InputError, match="checkpoint 1 is damaged"):
        checkpoints.load(folder, tree, "hash")


def test_every_key_of_a_manifest_may_be_anything(tmp_path):
    checkpoints.save(tmp_path, 1, {"w": np.float32([1]), "n": np.int32(1)}, "hash")
    file = tmp_path / "1" / "manifest.json"
    whole = json.loads(file.read_text())
    for _, _, text in mutants(whole["manifest"]):
        file.write_text(f'{{"sha256": "{sealed(text)}", "manifest": {text}}}')
        refused(lambda: checkpoints.fingerprint(tmp_path))
        refused(lambda: checkpoints.load(tmp_path, {"w": np.float32([0]), "n": np.int32(0)}, "hash"))
    for _, _, text in mutants(whole, ("null", "list", "deep", "infinite", "deleted")):
        file.write_text(text)
        refused(lambda: checkpoints.fingerprint(tmp_path))


def sealed(text):
    """The hash by which a manifest vouches for itself, where it can be read at all."""
    try:
        return manifest.sha256(json.dumps(json.loads(text), sort_keys=True).encode())
    except (ValueError, RecursionError):
        return ""
