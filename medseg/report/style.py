"""How the report looks: a column on a phone, several where there is room, light or dark."""

CSS = """
:root { color-scheme: light dark; --text: #1c2430; --soft: #5b6675; --line: #dfe3e8;
  --page: #f5f6f8; --card: #fff; --accent: #2563eb; }
@media (prefers-color-scheme: dark) { :root { --text: #e6e9ee; --soft: #98a2b0; --line: #2c333d;
  --page: #0f1318; --card: #171c23; --accent: #7aa7ff; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--text);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif;
  -webkit-text-size-adjust: 100%; overflow-wrap: anywhere; }
main { max-width: 66rem; margin: 0 auto; padding: 1rem; }
h1 { font-size: 1.5rem; line-height: 1.2; margin: .5rem 0 1rem; }
h2 { font-size: 1.05rem; margin: 0 0 .75rem; }
small, .note, figcaption, dt { color: var(--soft); font-size: .85rem; }
figcaption b { color: var(--text); }
section { background: var(--card); border: 1px solid var(--line); border-radius: .75rem;
  padding: 1rem; margin: 1rem 0; }
.note { margin: .75rem 0 0; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(9.5rem, 1fr)); gap: .75rem; }
.tiles div { background: var(--card); border: 1px solid var(--line); border-radius: .75rem;
  padding: .75rem 1rem; font-size: .9rem; }
.tiles b { display: block; font-size: 1.8rem; line-height: 1.2;
  font-variant-numeric: tabular-nums; }
.tiles div:first-child b { color: var(--accent); }
.tiles small { display: block; }
.scroll { overflow-x: auto; margin: 0 -1rem; padding: 0 1rem; overflow-wrap: normal; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; }
th { text-align: left; font-weight: 500; color: var(--soft); vertical-align: bottom; }
th, td { padding: .45rem 1rem .45rem 0; border-bottom: 1px solid var(--line); }
.numbers { white-space: nowrap; font-variant-numeric: tabular-nums; }
.words td { min-width: 9rem; vertical-align: top; overflow-wrap: anywhere; }
tbody tr:last-child td { border-bottom: 0; }
.strip { width: 9rem; height: 1.25rem; display: block; }
.strip path { stroke: var(--accent); stroke-width: 1.2; opacity: .7; fill: none; }
.strip .rail { stroke: var(--soft); stroke-width: .5; }
.gallery { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(21rem, 100%), 1fr));
  gap: 1.25rem 1rem; margin-top: .75rem; }
figure { margin: 0; min-width: 0; }
figure svg { width: 100%; max-width: 42rem; height: auto; display: block; }
figure svg text { font-family: inherit !important; }
.stack { display: grid; background: #000; border-radius: .5rem; overflow: hidden; }
.stack img { grid-area: 1 / 1; width: 100%; height: auto; max-height: 75vh; object-fit: contain;
  display: block; }
.triple { display: grid; grid-template-columns: repeat(3, 1fr); gap: .35rem; }
.triple img { width: 100%; height: auto; display: block; border-radius: .35rem; }
figcaption { margin: .4rem 0; }
.key { margin: 0 0 .5rem; font-size: .85rem; }
.key span { display: inline-block; margin-right: 1rem; }
.swatch { display: inline-block; width: .7rem; height: .7rem; border-radius: .2rem;
  margin-right: .4rem; }
input[type=checkbox] { width: 1.1rem; height: 1.1rem; vertical-align: -.15rem; margin: 0 .3rem 0 0;
  accent-color: var(--accent); }
label { margin-right: 1.2rem; font-size: .9rem; }
label i { display: inline-block; width: 1.6rem; border-top: 2px solid; vertical-align: .25rem; }
label[for=dashed] i { border-top-style: dashed; }
#solid:not(:checked) ~ .gallery .solid, #dashed:not(:checked) ~ .gallery .dashed { display: none; }
summary { cursor: pointer; color: var(--accent); font-size: .95rem; }
dl { display: grid; grid-template-columns: minmax(7rem, max-content) 1fr; gap: .4rem 1rem;
  margin: 0; }
dd { margin: 0; font-size: .9rem; }
@media (max-width: 30rem) { dl { grid-template-columns: 1fr; gap: 0; }
  dd { margin-bottom: .6rem; } }
@media print { section { break-inside: avoid; } body { background: #fff; } }
"""
