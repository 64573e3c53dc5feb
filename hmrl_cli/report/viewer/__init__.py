"""Recorded episodes as one HTML page: a 3-D player, or a 2-D one for points in the plane.

The page holds everything it needs, and its content security policy forbids everything else.  So it opens from
a disk, an attachment or an archive.  Neither the page nor a label that a user typed reaches the network.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
from importlib import resources
from string import Template
from typing import Any

from hmrl_cli.report import formats

__all__ = ["page"]

# of the one script, each after what it uses
PARTS = ("common", "camera", "meshes", "shaders", "spatial", "flat", "player")

_PAGE = Template(
    """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="$policy">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$title</title>
<style>$style</style>
</head>
<body>
<header>
  <h1>$title</h1>
  <p>$family</p>
</header>
<main id="stage">
  <canvas id="view" role="img" aria-label="The episode"></canvas>
  <p id="message" role="alert" hidden></p>
  <p id="badges"><span id="success" hidden>Success</span><span id="ended" hidden>Ended early</span></p>
  <ul id="legend" aria-label="What the colours mean" hidden></ul>
  <p id="hint"></p>
  <p id="scale"></p>
</main>
<section id="controls" aria-label="Playback">
  <div id="time">
    <canvas id="rewards" role="img"></canvas>
    <input id="timeline" type="range" min="0" value="0" step="1" aria-label="Step of the episode">
  </div>
  <div id="bar">
    <div class="group">
      <button id="play" type="button" aria-label="Play" title="Play or pause (space)">
        <svg viewBox="0 0 16 16" aria-hidden="true"><path class="when-paused" d="M4 2.2v11.6L13.5 8z"/>
        <path class="when-playing" d="M3.5 2.5h3v11h-3zM9.5 2.5h3v11h-3z"/></svg>
      </button>
      <label><span class="unseen">Speed</span><select id="speed" title="Speed">
        <option value="0.25">0.25×</option><option value="0.5">0.5×</option>
        <option value="1" selected>1×</option><option value="2">2×</option><option value="4">4×</option>
      </select></label>
    </div>
    <div class="group" id="chooser">
      <button id="previous" type="button" aria-label="Previous episode" title="Previous episode ([)">
        <svg viewBox="0 0 16 16" aria-hidden="true"><path d="M10.5 3 5.5 8l5 5" class="stroke"/></svg>
      </button>
      <label><span class="unseen">Episode</span><select id="episode" title="Episode"></select></label>
      <button id="next" type="button" aria-label="Next episode" title="Next episode (])">
        <svg viewBox="0 0 16 16" aria-hidden="true"><path d="m5.5 3 5 5-5 5" class="stroke"/></svg>
      </button>
    </div>
    <div class="group" id="camera">
      <button id="follow" type="button" aria-pressed="true">Follow</button>
      <button id="reset" type="button" title="Double click">Reset view</button>
    </div>
    <dl>
      <div><dt>Time</dt><dd id="seconds"></dd></div>
      <div><dt>Step</dt><dd id="step"></dd></div>
      <div><dt>Reward</dt><dd id="reward"></dd></div>
      <div><dt>Return</dt><dd id="return"></dd></div>
    </dl>
  </div>
</section>
<script type="application/json" id="episodes">$document</script>
<script type="module">$script</script>
</body>
</html>
"""
)


def page(document: dict[str, Any]) -> str:
    """The page that plays the episodes of a document.

    Args:
        document: schema 1: title, family, flat, dt, shapes and episodes. A number that is not finite
            is written as null and shown as a dash.

    Returns:
        the text of the HTML page, to be written as UTF-8 with "\\n" line ends, because the policy knows
        the script and the style by their hashes.
    """
    style, script = _asset("viewer.css"), _script()
    policy = (
        "default-src 'none'; base-uri 'none'; form-action 'none'; "
        f"script-src {script_source()}; style-src {_source(style)}"
    )
    return _PAGE.substitute(
        policy=policy,
        title=html.escape(document["title"]),
        family=html.escape(document["family"]),
        style=style,
        document=_inert(document),
        script=script,
    )


def script_source() -> str:
    """The source expression of a content security policy that admits the script of these pages alone."""
    return _source(_script())


def _script() -> str:
    return "\n".join(_asset(f"{part}.js") for part in PARTS)


def _asset(name: str) -> str:
    return resources.files(__name__).joinpath(name).read_text(encoding="utf-8")


def _source(text: str) -> str:
    """The source expression of a content security policy that admits exactly this inline text."""
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


def _inert(document: dict[str, Any]) -> str:
    """JSON in ASCII without the characters that mean something to an HTML parser, so nothing ends it."""
    text = json.dumps(formats.finite(document), allow_nan=False, separators=(",", ":"))
    return text.translate({ord(character): f"\\u{ord(character):04x}" for character in "<>&"})
