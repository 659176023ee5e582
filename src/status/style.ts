/** The look of the status page: no image, no font, no script of anybody else's. */
export const STATUS_STYLE = `
:root {
  color-scheme: light dark;
  --ground: #f4f5f7; --sheet: #fff; --line: #dcdfe4; --text: #1b1f24; --dim: #5d6672;
  --down: #b42318; --down-ground: #fdeceb; --warn: #8a5800; --warn-ground: #fdf3dc;
  --up: #1a7f4b; --up-ground: #e6f5ec; --bar: #8f9aa8;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ground: #12151a; --sheet: #1a1e25; --line: #2f353f; --text: #e4e8ee; --dim: #98a2b0;
    --down: #ff8d82; --down-ground: #43201e; --warn: #f2c25b; --warn-ground: #3b2f15;
    --up: #6fd39b; --up-ground: #17352a; --bar: #6d7989;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0 auto; padding: 1.25rem 1.5rem 3rem; max-width: 88rem;
  background: var(--ground); color: var(--text);
  font: 15px/1.45 system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif;
}
a { color: inherit; text-underline-offset: .15em; }
code, pre, .mono { font-family: ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace; font-size: .88em; }
.dim { color: var(--dim); }
header { display: flex; flex-wrap: wrap; align-items: baseline; gap: .2rem 1.5rem; }
h1 { margin: 0; font-size: 1.5rem; line-height: 1.2; }
h1.down { color: var(--down); } h1.warn { color: var(--warn); } h1.up { color: var(--up); }
header nav { margin-left: auto; display: flex; flex-wrap: wrap; gap: 0 1rem; color: var(--dim); }
.totals { display: flex; flex-wrap: wrap; gap: .6rem; margin: 1rem 0 .6rem; padding: 0; list-style: none; }
.totals li {
  flex: 1 1 8rem; padding: .5rem .8rem; border: 1px solid var(--line); border-radius: .5rem;
  background: var(--sheet); color: var(--dim); font-size: .87rem;
}
.totals b { display: block; color: var(--text); font-size: 1.3rem; line-height: 1.25; font-variant-numeric: tabular-nums; }
.errors { margin: 0 0 1rem; color: var(--dim); }
.errors b { color: var(--text); font-weight: 600; white-space: nowrap; }
table { width: 100%; border-collapse: collapse; background: var(--sheet); border: 1px solid var(--line); }
th { padding: .4rem .7rem; text-align: left; font-size: .8rem; font-weight: 600; color: var(--dim); }
td { padding: .6rem .7rem; border-top: 1px solid var(--line); vertical-align: top; overflow-wrap: anywhere; }
td:first-child { border-left: 4px solid var(--up); }
.s-down td:first-child { border-left-color: var(--down); }
.s-drain td:first-child, .s-maint td:first-child, .wavering td:first-child { border-left-color: var(--warn); }
.state { white-space: nowrap; }
.state b {
  display: inline-block; padding: .05rem .5rem; border-radius: .3rem;
  background: var(--up-ground); color: var(--up); text-transform: uppercase; font-size: .85rem; letter-spacing: .03em;
}
.s-down .state b { background: var(--down-ground); color: var(--down); }
.s-drain .state b, .s-maint .state b, .s-unanswered .state b { background: var(--warn-ground); color: var(--warn); }
.state span, .who span, .counts span, .checks span { display: block; font-size: .85rem; color: var(--dim); }
.state .damping { color: var(--warn); font-weight: 600; white-space: normal; }
.who { min-width: 11rem; } .who i { font-style: normal; white-space: nowrap; } .who b { font-weight: 600; }
.why { width: 40%; }
.why p { margin: 0; } .why .said { margin-top: .2rem; }
.why code { padding: .05rem .3rem; border: 1px solid var(--line); border-radius: .25rem; }
.s-down .why .type, .wavering .why .type { color: var(--down); border-color: currentColor; }
.checks svg { display: block; width: 7.5rem; height: 1.25rem; }
.checks, .counts { white-space: nowrap; font-variant-numeric: tabular-nums; }
path { fill: none; stroke-width: 3; } .g { stroke: var(--bar); } .f { stroke: var(--down); }
.left-out, .empty { padding: .8rem; border: 1px solid var(--line); background: var(--sheet); }
.left-out { border-top: 0; margin: 0; color: var(--dim); }
details { margin-top: 1.25rem; border: 1px solid var(--line); border-radius: .5rem; background: var(--sheet); }
summary { padding: .6rem .8rem; cursor: pointer; font-weight: 600; }
pre { margin: 0; padding: 0 .8rem .8rem; white-space: pre-wrap; overflow-wrap: anywhere; }
@media (max-width: 60rem) {
  body { padding: .9rem .75rem 2rem; }
  header nav { margin-left: 0; }
  .totals { gap: .1rem 1rem; margin: .6rem 0 .3rem; }
  .totals li { flex: none; padding: 0; border: 0; background: none; }
  .totals b { display: inline; font-size: 1em; }
  table, tbody, tr, td { display: block; width: auto; }
  table { border: 0; background: none; }
  thead { display: none; }
  tr {
    display: grid; grid-template-columns: auto minmax(0, 1fr); gap: .35rem .8rem; margin-bottom: .6rem;
    padding: .7rem .8rem; border: 1px solid var(--line); border-left: 4px solid var(--up);
    border-radius: .4rem; background: var(--sheet);
  }
  .s-down { border-left-color: var(--down); }
  .s-drain, .s-maint, .wavering { border-left-color: var(--warn); }
  td, td:first-child { padding: 0; border: 0; }
  .who { min-width: 0; } .why { width: auto; grid-column: 1 / -1; } .why:empty { display: none; }
  .checks { grid-column: 1; } .counts { grid-column: 2; }
}
@media (max-width: 22rem) { tr { grid-template-columns: minmax(0, 1fr); } .checks, .counts { grid-column: 1; } }
`;
