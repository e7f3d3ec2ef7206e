"""The style sheet of a batch's page: light, one column on a phone, nothing loaded from elsewhere."""

STYLE = """
:root{--ink:#1f2937;--soft:#6b7280;--line:#e5e7eb;--bg:#f8fafc;--good:#15803d;--warn:#b45309;--bad:#b91c1c}
*{box-sizing:border-box}
body{margin:0;background:var(--bg);color:var(--ink);
 font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif}
main{max-width:1180px;margin:0 auto;padding:28px 20px 60px}
header,section{background:#fff;border:1px solid var(--line);border-radius:14px;padding:22px 26px;margin:0 0 18px}
header{border-top:6px solid var(--good)}
header.aside{border-top-color:var(--warn)}
header.stopped{border-top-color:var(--bad)}
.eyebrow{margin:0;color:var(--soft);font-size:13px}
h1{margin:2px 0 12px;font-size:24px;line-height:1.2}
h2{margin:0 0 12px;font-size:18px}
.pill{display:inline-block;color:#fff;font-weight:700;letter-spacing:.06em;padding:7px 16px;border-radius:999px;
 background:var(--good);font-size:13px}
.aside .pill{background:var(--warn)}
.stopped .pill{background:var(--bad)}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(180px,1fr));gap:12px;margin-top:16px}
.tile{border:1px solid var(--line);border-radius:10px;padding:12px 14px;border-left:4px solid #cbd5e1}
.tile.warn{border-left-color:var(--warn)}
.tile span,.tile small{display:block;color:var(--soft);font-size:12.5px}
.tile b{font-size:23px;font-variant-numeric:tabular-nums}
.scroll{overflow-x:auto}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums;font-size:14px}
th{text-align:left;color:var(--soft);font-weight:600;font-size:12.5px;border-bottom:2px solid var(--line)}
th,td{padding:7px 14px 7px 0;vertical-align:top}
td{border-bottom:1px solid var(--line)}
.n{text-align:right}
.why{color:var(--bad);min-width:220px}
tr:last-child td{border-bottom:0}
.bar{width:120px;height:8px;border-radius:4px;background:#f1f5f9;margin-top:7px}
.bar i{display:block;height:8px;border-radius:4px;background:var(--bad);max-width:100%}
code{font:12.5px ui-monospace,SFMono-Regular,Menlo,"DejaVu Sans Mono",monospace;overflow-wrap:anywhere}
.badge{padding:2px 10px;border-radius:999px;font-size:12.5px;font-weight:600;white-space:nowrap}
.badge.good{background:#dcfce7;color:var(--good)}
.badge.bad{background:#fee2e2;color:var(--bad)}
a{color:#1d4ed8}
@media print{body{background:#fff}header,section{break-inside:avoid}}
"""
