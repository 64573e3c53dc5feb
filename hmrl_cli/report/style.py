"""The style of a page of results: on screens of any width, in light and dark, and on paper."""

STYLE = """
:root { color-scheme: light dark;
  --ink: #1b1f24; --paper: #ffffff; --faint: #57606a; --line: #d0d7de; --band: #f6f8fa; --mark: #0072b2 }
* { box-sizing: border-box }
body { margin: 0; background: var(--paper); color: var(--ink); font: 1rem/1.55 system-ui, sans-serif }
main { max-width: 76rem; margin: 0 auto; padding: 1rem clamp(1rem, 3vw, 2.5rem) 3rem }
h1 { font-size: 1.1rem; color: var(--faint); font-weight: 600; margin: 0 }
h2 { font-size: 1.25rem; margin: 2.5rem 0 .5rem; font-weight: 700 } summary { cursor: pointer }
p, ul, figcaption { max-width: 46rem }
h3 { font-size: 1rem; margin: 2rem 0 .25rem }
nav ul { display: flex; flex-wrap: wrap; gap: .25rem 1.25rem; padding: 0; list-style: none; max-width: none }
summary { font-size: 1rem; font-weight: 600; margin: 1rem 0 .5rem }
iframe { width: 100%; height: 30rem; border: 1px solid var(--line); border-radius: .5rem }
.told { font-size: 1.05rem }
.finding { font-size: 1.2rem; border-left: .25rem solid var(--mark); padding-left: 1rem; margin: 1rem 0 }
small, .note, figcaption { color: var(--faint); font-size: .875rem }
a { color: var(--mark) } code { overflow-wrap: anywhere }
.scroll { overflow-x: auto; margin: 1rem 0; max-width: 100% }
.scroll:focus-visible, a:focus-visible, summary:focus-visible {
  outline: 2px solid var(--mark); outline-offset: 2px }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums }
td, th { padding: .35rem .75rem; text-align: right; white-space: nowrap;
  border-bottom: 1px solid var(--line) }
th { border-bottom: 2px solid var(--line); font-weight: 600 }
td:first-child, th:first-child { position: sticky; left: 0; background: var(--paper); text-align: left;
  max-width: 38vw; white-space: normal; overflow-wrap: break-word }
.left td, .left th { text-align: left }
.text td, .text th { text-align: left; white-space: normal; min-width: 6.5rem; overflow-wrap: anywhere }
tr:hover td { background: var(--band) }
figure { margin: 1.5rem 0 }
figure svg { display: block; max-width: 100%; height: auto; fill: currentColor }
@media (max-width: 55rem) { figure svg { max-width: none } }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6edf3; --paper: #0d1117; --faint: #9aa4af; --line: #3d444d; --band: #161b22;
    --mark: #6cb6ff }
  figure svg { filter: brightness(1.35) }
}
@media print {
  @page { margin: 12mm }
  :root { --ink: #000000; --paper: #ffffff; --faint: #444444; --line: #999999; --mark: #000000 }
  body { font-size: 9.5pt } main { max-width: none; padding: 0 }
  .finding { font-size: 11pt }
  .scroll { overflow: visible } table { font-size: 7pt; width: 100% }
  td, th, .text td, .text th { padding: 1pt 3pt; white-space: normal; position: static; min-width: 0 }
  td:first-child, th:first-child { position: static }
  figure { break-inside: avoid } figure svg { max-width: 100%; max-height: 230mm; filter: none }
  details::details-content { content-visibility: visible; block-size: auto }
  tr { break-inside: avoid } h2 { break-after: avoid } .screen { display: none }
}
"""
