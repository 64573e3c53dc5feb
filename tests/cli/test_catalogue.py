"""Settings as they are listed."""

from hmrl_cli.cli import catalogue
from hmrl_cli.experiment import Training
from tests.config.room import Learn, Room


def test_a_description_is_one_sentence(tmp_path):
    preset = tmp_path / "a.toml"
    preset.write_text("# As in Finn et al. 2017: one.  A second\n# one.\n[family]\n")
    assert catalogue.first_sentence(preset) == "As in Finn et al. 2017: one."


def test_no_description_has_two_spaces_in_a_row():
    rows = {kind: listing() for kind, listing in catalogue.LISTINGS.items()}
    described = {row["name"]: row["description"] for listed in rows.values() for row in listed}
    assert described["ant_maze"].startswith("An ant in a small maze. A wall ")
    assert not [name for name, text in described.items() if "  " in text]


def test_fields_for_listings():
    rows = {row.name: row for row in catalogue.fields(Learn)}
    assert set(rows) == {"inner_lr", "clip", "net.hidden", "net.gain", "net.rate"}
    types = {name: row.type for name, row in rows.items()}
    assert types["inner_lr"] == "float > 0" and types["net.hidden"] == "list of int"
    assert types["net.gain"] == "float | none" and types["net.rate"] == "float >= 0 | auto"
    room = {row.name: row for row in catalogue.fields(Room)}
    assert room["reward"].type == "sparse | dense"
    assert room["size"].description == "side of the room"
    assert {row.name: row.default for row in catalogue.fields(Training)}["epochs"] is None
