/** The look of the page: colours of the dashboard; scenarios differ by colour and by dashes. */
export const pageStyle = `
:root {
  color-scheme: light dark;
  --page: light-dark(#f6f6f4, #131415);
  --card: light-dark(#ffffff, #1b1c1e);
  --ink: light-dark(#1c1d1f, #e7e6e3);
  --quiet: light-dark(#5d6066, #a3a6ab);
  --line: light-dark(#dfdfdb, #303236);
  font: 15px/1.45 system-ui, sans-serif;
  color: var(--ink);
  background: var(--page);
}
.s0 { --series: light-dark(#1d5fa8, #86bdff); --dash: none; }
.s1 { --series: light-dark(#97301a, #f0a48f); --dash: 7 4; }
.s2 { --series: light-dark(#1f6e3a, #7dd396); --dash: 2 3; }
.s3 { --series: light-dark(#6a4fa3, #c3adf5); --dash: 10 3 2 3; }
.s4 { --series: light-dark(#8a5500, #f1bd5c); --dash: 14 5; }
.s5 { --series: light-dark(#5d6066, #a3a6ab); --dash: 4 2; }
* { box-sizing: border-box; }
body { margin: 0; }
main { max-width: 68rem; margin: 0 auto; padding: 1rem 1.25rem 3rem; }
h1 { font-size: 1.4rem; margin: 0.5rem 0 0.25rem; overflow-wrap: anywhere; }
h2 { font-size: 1.05rem; margin: 0; }
p { margin: 0.25rem 0; overflow-wrap: anywhere; }
.quiet { color: var(--quiet); }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(15rem, 1fr)); gap: 0.75rem; margin: 1rem 0; }
.card, figure { background: var(--card); border: 1px solid var(--line); border-radius: 6px; padding: 0.75rem 1rem; }
.card { border-top: 4px solid var(--series); }
dl { display: grid; gap: 0.1rem; margin: 0.5rem 0 0; }
dl div { display: flex; justify-content: space-between; gap: 1rem; }
dt { color: var(--quiet); }
dd { margin: 0; font-variant-numeric: tabular-nums; font-weight: 600; }
figure { margin: 1rem 0; }
figcaption { display: flex; flex-wrap: wrap; gap: 0.25rem 1.5rem; align-items: baseline; justify-content: space-between; }
.legend { display: flex; flex-wrap: wrap; gap: 0 1.25rem; list-style: none; margin: 0; padding: 0; color: var(--quiet); font-size: 0.9rem; }
.legend li { overflow-wrap: anywhere; }
.key { width: 28px; height: 10px; margin-inline-end: 0.4rem; }
.scroll { overflow-x: auto; }
.scroll > svg { display: block; width: 100%; min-width: 40rem; height: auto; }
svg text { fill: var(--ink); font: 12px system-ui, sans-serif; }
.grid { stroke: var(--line); fill: none; }
.line { stroke: var(--series); stroke-width: 2; stroke-dasharray: var(--dash); fill: none; stroke-linejoin: round; }
.limit { stroke: var(--series); stroke-width: 1; fill: none; }
.bar { fill: var(--series); }
summary { cursor: pointer; color: var(--quiet); }
details { overflow-x: auto; }
table { border-collapse: collapse; margin: 0.5rem 0; font-variant-numeric: tabular-nums; }
caption { text-align: start; color: var(--quiet); }
th, td { padding: 0.15rem 0.75rem 0.15rem 0; text-align: start; border-bottom: 1px solid var(--line); vertical-align: top; }
thead th { font-weight: 600; }
@media print { details { display: none; } }
`
