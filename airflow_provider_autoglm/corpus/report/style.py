"""The look of a report's page; colours follow what the reader's system prefers."""

from __future__ import annotations

STYLE = """
:root { color-scheme: light dark; --page: #fff; --panel: #f5f7fa; --line: #d9dfe7; --ink: #1b2430; --quiet: #566274;
  --bar: #2f6fc4; --link: #1f5fb4; --del: #fde2de; --del-ink: #8a1c10; --ins: #d8f0de; --ins-ink: #0f5c2c;
  --for: 34 139 76; --against: 200 62 45; }
@media (prefers-color-scheme: dark) { :root { --page: #12161c; --panel: #1a2029; --line: #313a47; --ink: #e3e8ef;
  --quiet: #9aa7b8; --bar: #6aa5f0; --link: #8dbbf5; --del: #4d1f1c; --del-ink: #ffb9af; --ins: #163d25;
  --ins-ink: #a5e8b9; --for: 58 170 102; --against: 224 92 76; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink);
  font: 15px/1.55 system-ui, -apple-system, "Segoe UI", "Noto Sans", sans-serif; }
main { max-width: 1180px; margin: 0 auto; padding: 28px 24px 56px; }
h1 { margin: 0; font-size: 26px; line-height: 1.2; letter-spacing: -0.01em; }
h2 { margin: 36px 0 10px; font-size: 18px; }
h3 { margin: 0; font-size: 15px; }
h4 { margin: 0 0 4px; font-size: 12px; font-weight: 600; color: var(--quiet); }
header p { margin: 6px 0 0; color: var(--quiet); }
code { font: 12px/1.5 ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace; color: var(--quiet);
  overflow-wrap: anywhere; }
a { color: var(--link); overflow-wrap: anywhere; }
dl { margin: 0; }
dd { margin: 0; }
.figures { display: flex; flex-wrap: wrap; gap: 14px 36px; margin-top: 22px; padding: 16px 20px;
  background: var(--panel); border-radius: 10px; }
.figures div { display: flex; flex-direction: column-reverse; }
.figures dt { font-size: 13px; color: var(--quiet); }
.figures dd { font-size: 22px; font-weight: 600; line-height: 1.25; font-variant-numeric: tabular-nums; }
.settings { display: flex; flex-wrap: wrap; gap: 4px 28px; }
.settings div { display: flex; gap: 8px; }
.settings dt { color: var(--quiet); white-space: nowrap; }
.settings dd { min-width: 0; overflow-wrap: anywhere; }
.charts, .sides { display: grid; grid-template-columns: repeat(2, minmax(0, 1fr)); gap: 20px; }
figure { margin: 0; padding: 16px 18px; border: 1px solid var(--line); border-radius: 10px; }
svg { display: block; width: 100%; height: auto; }
svg text { font-size: 12px; text-anchor: middle; fill: var(--quiet); font-variant-numeric: tabular-nums; }
svg .count { fill: var(--ink); }
.bar { fill: var(--bar); }
.axis { stroke: var(--line); }
.target { stroke: var(--ink); stroke-width: 2; stroke-dasharray: 4 3; }
details { margin-top: 6px; font-size: 13px; }
summary { color: var(--quiet); cursor: pointer; }
table { margin-top: 6px; border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: 2px 18px 2px 0; text-align: right; font-weight: normal; }
thead th { color: var(--quiet); }
article { margin-top: 14px; padding: 16px 18px; border: 1px solid var(--line); border-radius: 10px; }
article h3 { margin-bottom: 10px; overflow-wrap: anywhere; }
.number { display: inline-block; min-width: 26px; color: var(--quiet); font-weight: normal; }
.name { margin: 0; font-size: 13px; line-height: 1.45; overflow-wrap: anywhere; }
.title { font-size: 14px; font-weight: 600; }
.text { margin: 8px 0 0; overflow-wrap: anywhere; }
.rows { margin-left: 6px; color: var(--quiet); font-weight: normal; font-variant-numeric: tabular-nums; }
.examples { margin: 10px 0 0; padding: 0; list-style: none; }
.examples li { padding: 8px 0; border-top: 1px solid var(--line); }
.examples .text { margin-top: 4px; font-size: 14px; }
.examples .settings { font-size: 13px; }
.after { margin-top: 20px; }
.wide { overflow-x: auto; }
.wide th { white-space: nowrap; }
.wide th:first-child, .words { text-align: left; }
.words { min-width: 120px; }
.wide th, .wide td { vertical-align: top; }
.reasons { display: grid; grid-template-columns: repeat(2, minmax(0, 1fr)); gap: 14px 20px; align-items: start; }
.reasons article { margin-top: 0; }
.note { margin: 8px 0 0; color: var(--quiet); }
del { background: var(--del); color: var(--del-ink); border-radius: 3px; padding: 0 2px;
  text-decoration: underline dashed; text-decoration-thickness: 1px; text-underline-offset: 4px; }
ins { background: var(--ins); color: var(--ins-ink); border-radius: 3px; padding: 0 2px;
  text-decoration: underline; text-decoration-thickness: 2px; text-underline-offset: 3px; }
.bars { width: 100%; }
.bars th:first-child { text-align: left; overflow-wrap: anywhere; }
.bars .length { width: 45%; padding-right: 0; vertical-align: middle; }
.bars .length span { display: block; height: 12px; min-width: 2px; border-radius: 2px; background: var(--bar); }
mark { color: inherit; border-radius: 3px; padding: 0 2px; text-underline-offset: 4px; }
mark.for { background: rgb(var(--for) / .16); text-decoration: underline rgb(var(--for)) 2px; }
mark.against { background: rgb(var(--against) / .16); text-decoration: underline dashed rgb(var(--against)) 2px; }
mark.strong.for { background: rgb(var(--for) / .42); text-decoration-thickness: 4px; }
mark.strong.against { background: rgb(var(--against) / .42); text-decoration-thickness: 3px; }
@media (max-width: 760px) {
  main { padding: 20px 14px 40px; }
  .charts, .sides, .reasons { grid-template-columns: minmax(0, 1fr); }
}
@media print { article, figure { break-inside: avoid; } }
"""
