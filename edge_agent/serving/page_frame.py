"""The frame of the status page: its style, light and dark, for a phone as for a desk."""

REFRESH_S = 5

_STYLE = """
:root { color-scheme: light dark; --ink: #1c2228; --quiet: #5c6873; --ground: #f5f6f7; --card: #fff; --line: #dde2e6;
  --good: #1a7f4b; --note: #946200; --wrong: #bd2c2c; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6eaed; --quiet: #98a4ae; --ground: #14181b; --card: #1d2327; --line: #323b42;
  --good: #52c48a; --note: #e3b04b; --wrong: #ff7b72; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 60rem; padding: 1rem; background: var(--ground); color: var(--ink);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; overflow-wrap: anywhere; }
header { border-left: .4rem solid var(--good); padding: .1rem 0 .1rem .8rem; margin-bottom: 1rem; }
header.note { border-color: var(--note); } header.wrong { border-color: var(--wrong); }
h1 { font-size: 1.4rem; margin: 0; } h2 { font-size: 1rem; margin: 0 0 .4rem; }
header p, footer { color: var(--quiet); margin: 0; } footer { font-size: .85rem; padding: .5rem 0; }
main { display: grid; gap: .8rem; }
section, .findings li { background: var(--card); border: 1px solid var(--line); border-radius: .5rem; padding: .7rem .9rem; }
section { min-width: 0; }
.findings { list-style: none; margin: 0; padding: 0; display: grid; gap: .5rem; }
.findings li { border-left: .3rem solid var(--good); }
.findings li.note { border-left-color: var(--note); } .findings li.wrong { border-left-color: var(--wrong); }
.advice { margin: .2rem 0 0; color: var(--quiet); }
table { border-collapse: collapse; width: 100%; } .wide { overflow-x: auto; }
th, td { text-align: left; vertical-align: top; padding: .15rem .6rem .15rem 0; }
th { font-weight: 400; color: var(--quiet); white-space: nowrap; width: 9rem; }
.grid th { width: auto; }
.grid td { white-space: nowrap; font-variant-numeric: tabular-nums; }
.grid tr + tr td { border-top: 1px solid var(--line); }
"""


def render_frame(verdict: str, headline: str, title: str, body: str, foot: str) -> str:
    """The whole document; everything but `verdict` is HTML already."""
    return f"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="refresh" content="{REFRESH_S}"><title>{title}: {headline}</title><style>{_STYLE}</style></head>
<body><header class="{verdict}"><h1>{headline}</h1><p>{title}</p></header>
<main>
{body}
</main>
<footer>{foot}. Asked again every {REFRESH_S} s. For programs:
<code>Accept: application/json</code>, <code>/metrics</code>, <code>/v2</code></footer>
</body></html>
"""
