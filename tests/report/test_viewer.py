import base64
import hashlib
import html
import json
import math
import re
import shutil
import struct
import subprocess
from html.parser import HTMLParser
from typing import Any

import pytest

from hmrl_cli.report.viewer import page

HOSTILE = [
    "</script><script>alert(1)</script>",
    "</title></style><script>alert(1)</script>",
    "<!--<script>",
    '"><img src=x onerror=alert(1)>',
    "&lt;b&gt; &amp;",
    "$title $document ${script} $$",
    "two\u2028lines\u2029 and a \\u003c",
]


def floats(*values: float) -> str:
    return base64.b64encode(struct.pack(f"<{len(values)}f", *values)).decode()


def episode(label: str, frames: int = 12) -> dict[str, Any]:
    """Two bodies that walk along x, and a goal."""
    poses = [(0.1 * frame, body, 0.5, 1, 0, 0, 0) for frame in range(frames) for body in range(2)]
    return {
        "label": label,
        "frames": frames,
        "bodies": 2,
        "poses": floats(*(number for pose in poses for number in pose)),
        "goals": floats(*(1.0, 0.0, 0.0, 0.3) * frames),
        "num_goals": 1,
        "rewards": [0.0] + [0.5 * frame for frame in range(frames - 1)],
        "success": [frame > 8 for frame in range(frames)],
        "done": [False] * frames,
    }


def shape(kind: str, size: list[float], body: int) -> dict[str, Any]:
    position, rotation, color = [0.0, 0.0, 0.1], [1.0, 0.0, 0.0, 0.0], [0.8, 0.5, 0.3]
    return {
        "kind": kind,
        "size": size,
        "body": body,
        "position": position,
        "rotation": rotation,
        "color": color,
    }


def document(*labels: str, flat: bool = False, title: str = "A walk") -> dict[str, Any]:
    solids = [
        shape("sphere", [0.2], 0),
        shape("capsule", [0.05, 0.2], 1),
        shape("cylinder", [0.1, 0.1], 1),
        shape("box", [0.1, 2.0, 0.2], -1),
    ]
    return {
        "schema": 1,
        "title": title,
        "family": "walks",
        "flat": flat,
        "dt": 0.05,
        "shapes": solids[:1] if flat else solids,
        "episodes": [episode(label) for label in labels],
    }


def film(order: str, *episodes: Any) -> dict[str, Any]:
    return {"label": f"all {order}", "order": order, "dt": 0.1, "episodes": list(episodes)}


class Elements(HTMLParser):
    """The elements of a page as a browser finds them, and the text inside some of them."""

    def __init__(self, text: str):
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.text: dict[str, list[str]] = {"script": [], "style": [], "title": [], "h1": []}
        self.inside = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))
        self.inside = tag
        if tag in self.text:
            self.text[tag].append("")

    def handle_endtag(self, tag):
        self.inside = ""

    def handle_data(self, data):
        if self.inside in self.text:
            self.text[self.inside][-1] += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.found if name == tag]

    def document(self) -> Any:
        return json.loads(self.text["script"][0])


def source(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def test_policy_admits_the_one_script_and_the_one_style_and_nothing_else():
    elements = Elements(page(document("first")))
    data, script = elements.text["script"]
    (style,) = elements.text["style"]
    (policy,) = [meta["content"] for meta in elements.all("meta") if "http-equiv" in meta]

    assert policy is not None
    assert dict(directive.split(maxsplit=1) for directive in policy.split("; ")) == {
        "default-src": "'none'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "script-src": source(script),
        "style-src": source(style),
    }
    assert [element["type"] for element in elements.all("script")] == ["application/json", "module"]
    assert json.loads(data)["title"] == "A walk"


def test_policy_comes_before_what_it_rules():
    text = page(document("first"))
    assert text.index("Content-Security-Policy") < min(text.index("<style"), text.index("<script"))
    assert "\r" not in text


@pytest.mark.parametrize("flat", [False, True])
def test_page_refers_to_nothing_outside(flat):
    text = page(document("first", "second", flat=flat))
    for reference in ("http:", "https:", "src=", "href=", "@import", "url(", "//#", "import(", "fetch("):
        assert reference not in text
    for tag, attributes in Elements(text).found:
        assert tag not in ("link", "iframe", "img", "object", "embed", "base", "form")
        assert not [name for name in attributes if name == "style" or name.startswith("on")]


@pytest.mark.parametrize("text", HOSTILE)
def test_what_a_user_typed_stays_text(text):
    plain, hostile = document("first"), document(text, title=text) | {"family": text}
    elements = Elements(page(hostile))

    assert elements.document() == hostile
    assert elements.text["title"] == elements.text["h1"] == [text]
    assert [tag for tag, _ in elements.found] == [tag for tag, _ in Elements(page(plain)).found]
    assert elements.text["script"][1] == Elements(page(plain)).text["script"][1]


def test_embedded_json_has_no_character_of_html():
    text = page(document(*HOSTILE))
    data = text.partition('id="episodes">')[2].partition("</script>")[0]
    assert not re.search("[<>&\u2028\u2029]", data)


@pytest.mark.parametrize("flat", [False, True])
def test_document_is_embedded_as_it_is(flat):
    original = document("first", "zweite – 第二", flat=flat)
    assert Elements(page(original)).document() == original


def test_numbers_that_are_not_finite_become_null():
    original = document("first")
    original["episodes"][0]["rewards"][1:4] = [math.nan, math.inf, -math.inf]
    assert Elements(page(original)).document()["episodes"][0]["rewards"][:5] == [0.0, None, None, None, 1.5]


def test_page_itself_is_small():
    assert len(page(document()).encode()) < 60_000


def test_controls_have_names():
    text = page(document("first"))
    for tag, attributes in Elements(text).found:
        if tag in ("button", "input", "canvas"):
            identity = attributes["id"]
            visible = re.search(rf'<{tag} id="{identity}"[^>]*>\s*\w', text)
            # The name of the reward's curve says its range, so the script writes it.
            assert attributes.get("aria-label") or visible or identity == "rewards", identity
        if tag == "select":
            assert re.search(rf'<label><span class="unseen">\w+</span><select id="{attributes["id"]}"', text)


def browse(path, address="episode=1&frame=9&paused") -> tuple[str, str]:
    """What a page became in a browser without a screen, and what the browser said about it."""
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("there is no chromium on the PATH")
    command = [
        chromium,
        "--headless=new",
        "--no-sandbox",
        "--use-angle=swiftshader",
        "--enable-unsafe-swiftshader",
        "--ignore-gpu-blocklist",
        "--enable-logging=stderr",
        f"--user-data-dir={path.parent / 'profile'}",
        "--virtual-time-budget=3000",
        "--dump-dom",
        f"{path.as_uri()}#{address}",
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    return done.stdout, done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("flat", [False, True])
def test_page_plays_in_a_browser(flat, tmp_path):
    path = tmp_path / "page.html"
    path.write_text(page(document("first", HOSTILE[0], flat=flat)), encoding="utf-8", newline="\n")
    dom, log = browse(path)

    root = Elements(dom).all("html")[0]
    assert root.get("data-state") == "ready", re.search(r'id="message".*', dom)
    assert root.get("data-scene") == ("flat" if flat else "spatial")
    assert '<dd id="step">9 / 11</dd>' in dom
    assert '<span id="success">' in dom  # no longer hidden
    assert f'<option value="1">{html.escape(HOSTILE[0], quote=False)}</option>' in dom
    assert "CONSOLE" not in log  # neither an error nor a violation of the policy


@pytest.mark.slow
@pytest.mark.parametrize("flat", [False, True])
@pytest.mark.parametrize("order", ["in turn", "at once"])
def test_a_film_is_shown_first_and_plays_in_a_browser(flat, order, tmp_path):
    """Of episodes of the page, and of one of its own with other frames."""
    path = tmp_path / "page.html"
    short = episode("short", frames=5)
    films = {"films": [film(order, 0, short, 1)]}
    path.write_text(page(document("a", "b", flat=flat) | films), encoding="utf-8", newline="\n")
    dom, log = browse(path, "frame=14&paused")
    assert Elements(dom).all("html")[0].get("data-state") == "ready", re.search(r'id="message".*', dom)
    legend = "".join(re.findall(r"</span>([^<]*)</li>", dom))
    if order == "in turn":  # frame 14 is in the second episode; the goal of the first one was met
        assert '<dd id="step">2 / 3 episodes</dd>' in dom
        assert legend == "this episodeearlier, goal met: 1earlier, not met: 0"
    else:
        assert '<dd id="step">11 / 11</dd>' in dom and legend == "012"
    assert "CONSOLE" not in log


@pytest.mark.slow
def test_page_without_episodes_says_so(tmp_path):
    path = tmp_path / "page.html"
    path.write_text(page(document()), encoding="utf-8", newline="\n")
    dom, _ = browse(path)
    assert Elements(dom).all("html")[0].get("data-state") == "error"
    assert "No episode was recorded." in dom.partition('id="message"')[2][:80]
