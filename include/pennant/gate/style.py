"""The style sheet of the gate's report: light, one column on a phone, nothing loaded from elsewhere."""

STYLE = """
:root{--ink:#1f2937;--soft:#6b7280;--line:#e5e7eb;--bg:#f8fafc;--good:#15803d;--warn:#b45309;--bad:#b91c1c}
*{box-sizing:border-box}
body{margin:0;background:var(--bg);color:var(--ink);
 font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif}
main{max-width:1180px;margin:0 auto;padding:28px 20px 60px}
header,section{background:#fff;border:1px solid var(--line);border-radius:14px;
 padding:22px 26px;margin:0 0 18px}
header{border-top:6px solid var(--soft)}
header.promote{border-top-color:var(--good)}
header.hold{border-top-color:var(--warn)}
header.refuse{border-top-color:var(--bad)}
.eyebrow{margin:0;color:var(--soft);font-size:13px}
h1{margin:2px 0 16px;font-size:27px;line-height:1.2;letter-spacing:-.01em}
h2{margin:0 0 12px;font-size:18px}
h3{margin:0 0 10px;font-size:16px}
.verdict{display:flex;gap:18px;align-items:flex-start;margin-bottom:20px}
.verdict p{margin:2px 0 0;color:#374151}
.pill{flex:none;color:#fff;font-weight:700;letter-spacing:.06em;padding:9px 18px;border-radius:999px;
 background:var(--soft)}
.promote .pill{background:var(--good)}
.hold .pill{background:var(--warn)}
.refuse .pill{background:var(--bad)}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(180px,1fr));gap:12px}
.tile{border:1px solid var(--line);border-radius:10px;padding:12px 14px;border-left:4px solid #cbd5e1}
.tile.good{border-left-color:var(--good)}
.tile.warn{border-left-color:var(--warn)}
.tile span,.tile small{display:block;color:var(--soft);font-size:12.5px}
.tile b{font-size:23px;font-variant-numeric:tabular-nums}
.reasons{list-style:none;margin:0;padding:0}
.reasons li{display:flex;gap:12px;padding:9px 0;border-top:1px solid var(--line)}
.reasons li:first-child{border-top:0}
.reasons i{flex:none;width:22px;height:22px;border-radius:50%;color:#fff;text-align:center;line-height:22px;
 font-style:normal;font-size:13px;font-weight:700;background:var(--good)}
.reasons .warn i{background:var(--warn)}
.reasons .bad i{background:var(--bad)}
.reasons .note i{background:#9ca3af}
.reasons code{margin-left:8px;color:var(--soft)}
.plots{display:grid;grid-template-columns:1fr;gap:18px}
.plots.halves{grid-template-columns:1fr 1fr}
figure{margin:0;padding:0;border:0}
section>figure,section>div,section>h3{margin:0 0 16px}
figure h3,section>h3{margin:0 0 8px}
figure img{display:block;width:100%;height:auto}
figure.gain img,figure.half img{max-width:860px}
figcaption,.lead,.note{color:var(--soft);font-size:13.5px;margin:6px 0 10px}
section p{margin:0 0 8px}
.one{display:grid;grid-template-columns:minmax(250px,1fr) 2fr;gap:22px;border-top:1px solid var(--line);
 padding-top:16px}
.one figure h3{display:none}
dl{display:grid;grid-template-columns:auto 1fr;gap:3px 12px;margin:0 0 10px;font-size:14px}
dt{color:var(--soft)}
dd{margin:0;overflow-wrap:anywhere}
section>ul{margin:0;padding-left:20px;font-size:14px}
.scroll{overflow-x:auto}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums;font-size:14px}
th{text-align:left;color:var(--soft);font-weight:600;font-size:12.5px;border-bottom:2px solid var(--line)}
th,td{padding:8px 12px 8px 0;vertical-align:top}
td{border-bottom:1px solid var(--line)}
tr:last-child td{border-bottom:0}
td small{display:block;color:var(--soft);font-size:12.5px}
.identity td:first-child{color:var(--soft);width:190px}
code{font:12.5px ui-monospace,SFMono-Regular,Menlo,"DejaVu Sans Mono",monospace;overflow-wrap:anywhere}
.badge{padding:2px 10px;border-radius:999px;font-size:12.5px;font-weight:600;white-space:nowrap}
.badge.good{background:#dcfce7;color:var(--good)}
.badge.warn{background:#fef3c7;color:var(--warn)}
@media(max-width:820px){.plots.halves,.one{grid-template-columns:1fr}.verdict{flex-direction:column;gap:10px}}
@media print{body{background:#fff}header,section{break-inside:avoid}}
"""
