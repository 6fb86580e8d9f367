"""The style of reports: light and dark screens, phones, and print."""

STYLE = """\
:root {
  color-scheme: light dark;
  --paper: #fbfaf8; --card: #fff; --ink: #1c1b1a; --soft: #6a6763; --line: #e3e0db;
  --mat: #efedea; --yes: #17703f; --no: #a3271f; --hard: #1f5fae; --curve: #b45309;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #171615; --card: #211f1e; --ink: #edebe8; --soft: #a09b95; --line: #383532;
    --mat: #121110; --yes: #63c58e; --no: #f08b80; --hard: #7fb0f0; --curve: #f5a94a;
  }
}
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 78rem; padding: 2rem 1.25rem 3rem; background: var(--paper);
  color: var(--ink); font: 1rem/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
h1 { font-size: 1.7rem; line-height: 1.25; margin: 0 0 .25rem; letter-spacing: -.01em; }
h2 { font-size: 1.2rem; line-height: 1.3; margin: 0 0 .25rem; overflow-wrap: anywhere; }
p { margin: .25rem 0; }
a { color: inherit; }
.soft, footer { color: var(--soft); }
.album { position: absolute; }
.blank { fill: #8d8a86; }
.picture, .pair { display: block; width: 100%; background: var(--mat); }
.box, .rim { fill: none; vector-effect: non-scaling-stroke; stroke-linejoin: round; }
.rim { stroke: rgb(0 0 0 / .75); stroke-width: 5px; }
.box { stroke: #ffb000; stroke-width: 2.5px; }
.shade { fill: rgb(0 0 0 / .4); fill-rule: evenodd; }
.line, .dot { fill: none; vector-effect: non-scaling-stroke; stroke-linecap: round; }
.line { stroke-width: 1px; opacity: .8; }
.dot { stroke-width: 5px; opacity: .9; }

nav ol { columns: 20rem; margin: 1rem 0; padding-left: 1.5rem; }
nav li { overflow-wrap: anywhere; break-inside: avoid; }
section + section, nav + section, .sheet + section { margin-top: 2.5rem; padding-top: 1.5rem;
  border-top: 1px solid var(--line); }
.asked { display: flex; flex-wrap: wrap; gap: 1.25rem; align-items: flex-start; }
.asked > .picture { flex: 0 1 22rem; max-height: 20rem; border-radius: .4rem; }
.asked > div { flex: 1 1 18rem; }
.asked h2 { font-size: 1.5rem; }
.verdict { font-size: 1.1rem; margin-top: 1rem; }
.hits { list-style: none; margin: 1.25rem 0 0; padding: 0; display: grid; gap: 1rem;
  grid-template-columns: repeat(auto-fill, minmax(min(13.5rem, 44vw), 1fr)); align-items: start;
  grid-auto-flow: dense; }
.hit { background: var(--card); border: 1px solid var(--line); border-radius: .4rem;
  overflow: hidden; break-inside: avoid; position: relative; }
.hit > .picture { aspect-ratio: 4 / 3; }
.hit p { margin: 0; }
.about { padding: .5rem .75rem .65rem; font-size: .8125rem; line-height: 1.4; }
.name { overflow-wrap: anywhere; font-size: .75rem; color: var(--soft); }
.rank { position: absolute; top: .4rem; left: .4rem; min-width: 1.5rem; padding: 0 .35rem;
  border-radius: .75rem; background: rgb(0 0 0 / .7); color: #fff; text-align: center;
  font-size: .8125rem; line-height: 1.5rem; font-variant-numeric: tabular-nums; }
.word { font-weight: 600; }
.yes { color: var(--yes); }
.no { color: var(--no); }
.hard { color: var(--hard); }
.few { color: var(--curve); }
.yes::before { content: "✓ "; }
.no::before { content: "✕ "; }
summary { cursor: pointer; }
.hit details { font-size: .875rem; border-top: 1px solid var(--line); padding: .4rem .75rem; }
.hit:has(details[open]) { grid-column: 1 / -1; }
.hit:has(details[open]) > .picture { display: none; }
.hit:has(details[open]) > .about { padding-left: 2.75rem; }
.hit .pair { margin: .5rem 0 .25rem; max-height: 85vh; }

.figures { display: flex; flex-wrap: wrap; gap: 2rem; margin: 1.25rem 0; }
.figures b { display: block; font-size: 2.1rem; line-height: 1.15; font-weight: 600;
  font-variant-numeric: tabular-nums; letter-spacing: -.02em; }
.sheet { display: flex; flex-wrap: wrap; gap: 2.5rem; align-items: flex-start; }
.sheet > figure { margin: 0; flex: 0 1 26rem; }
.sheet > dl { flex: 1 1 20rem; }
dl { display: grid; grid-template-columns: auto 1fr; gap: .2rem 1.25rem; margin: 0;
  font-size: .9375rem; }
dt { color: var(--soft); }
dd { margin: 0; overflow-wrap: anywhere; }
figcaption { font-size: .875rem; color: var(--soft); }
.curve { display: block; width: 100%; }
.curve text { fill: var(--soft); font-size: 11px; }
.curve .grid { stroke: var(--line); fill: none; }
.curve .own { fill: none; stroke: var(--curve); stroke-width: 2; stroke-linejoin: round; }
.curve .second { stroke: var(--hard); stroke-dasharray: 7 3; }
.curve .third { stroke: var(--no); stroke-dasharray: 2 3; }
.queries { border-top: 1px solid var(--line); margin-top: 1rem; }
.queries > details { border-bottom: 1px solid var(--line); break-inside: avoid; }
.queries > details > summary { display: flex; gap: .75rem; align-items: center; padding: .4rem 0; }
.queries > details > summary::before { content: "▸"; color: var(--soft); }
.queries > details[open] > summary::before { content: "▾"; }
.queries .id { flex: 1; overflow-wrap: anywhere; }
.ap { font-variant-numeric: tabular-nums; white-space: nowrap; }
.bar { flex: none; width: 7rem; height: .5rem; border-radius: .25rem; background: var(--line); }
.bar i { display: block; height: 100%; border-radius: inherit; background: var(--curve); }
.queries .asked > .curve { flex: 0 1 17rem; max-width: 17rem; }
.queries .asked > .picture { flex-basis: 17rem; max-height: 15rem; }
.queries .hits { margin: 1rem 0 1.25rem; gap: .75rem;
  grid-template-columns: repeat(auto-fill, minmax(min(11.5rem, 44vw), 1fr)); }
footer { margin-top: 3rem; border-top: 1px solid var(--line); padding-top: 1rem;
  font-size: .875rem; }

@media (max-width: 40rem) {
  body { padding: 1.25rem .75rem 2rem; }
  .bar { display: none; }
  .dot { stroke-width: 3px; }
  .figures { gap: 1.25rem; }
}
@media print {
  :root { --paper: #fff; --card: #fff; --ink: #000; --soft: #444; --line: #bbb; --mat: #fff;
    --yes: #17703f; --no: #a3271f; --hard: #1f5fae; --curve: #b45309; }
  body { max-width: none; padding: 0; font-size: 10pt; print-color-adjust: exact;
    -webkit-print-color-adjust: exact; }
  .hits { grid-template-columns: repeat(4, 1fr); gap: .5rem; }
  .hit details:not([open]), nav { display: none; }
}
"""
