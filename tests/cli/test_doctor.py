"""doctor."""

import json

import hmrl_cli


def test_doctor_says_what_a_run_would_find(hmrl, monkeypatch, tmp_path):
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(tmp_path))
    (tmp_path / "jit_step-cache").write_bytes(bytes(2**20))
    found = json.loads(hmrl("doctor", "--json").out)
    assert found["versions"]["hmrl"] == hmrl_cli.__version__ and found["machine"]["devices"]
    assert (found["cache"]["programs"], found["cache"]["mib"]) == (1, 1.0)
    assert found["runs"]["writable"] and found["runs"]["free_gib"] > 0
    shown = hmrl("doctor").out
    assert "free, GiB" in shown and "writable   yes" in shown and "size, MiB  1\n" in shown
