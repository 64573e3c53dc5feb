"""Pages of episodes with fewer frames."""

import base64

import numpy as np
import pytest

from hmrl_cli.errors import InputError
from hmrl_cli.report import thinning, viewer
from tests.report.test_viewer import document


def test_every_few_frames_are_kept_and_the_last_and_the_return_is_the_same():
    record = document("a")["episodes"][0]
    for step in (1, 3, 4, 11, 50):
        thin = thinning.thinned(record, step)
        kept = [*range(0, 11, step), 11]
        poses = np.frombuffer(base64.b64decode(thin["poses"]), "<f4").reshape(len(kept), 2, 7)
        np.testing.assert_allclose(poses[:, 0, 0], 0.1 * np.array(kept), rtol=1e-5)
        assert thin["frames"] == len(thin["success"]) == len(thin["rewards"]) == len(kept)
        assert sum(thin["rewards"]) == pytest.approx(sum(record["rewards"]))
        assert thin["success"][-1] and len(base64.b64decode(thin["goals"])) == 16 * len(kept)


def test_a_document_is_found_in_its_page_and_made_to_fit():
    whole = document("a", "b")
    assert thinning.document_in(viewer.page(whole)) == whole
    assert thinning.fitted(whole, 10**6)["episodes"][0]["frames"] == 12
    assert thinning.fitted(whole, 100) is None
    with pytest.raises(InputError, match="holds no episodes"):
        thinning.document_in("<html>")
