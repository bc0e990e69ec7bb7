"""The memory plan as a picture: steps to the right, addresses upwards, one rectangle per buffer.

Alone as SVG, or in one HTML page with the table. Neither loads anything; every text of a model is escaped.
"""

from __future__ import annotations

from html import escape
from pathlib import Path

from turnkey.mlf.archive import write_atomically
from turnkey.mlf.library import Library, Module
from turnkey.mlf.table import grouped, library_table

_WIDTH, _HEIGHT, _LEFT, _TOP, _BOTTOM = 900, 420, 70, 24, 30

_PAGE = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>{title}</title>
<style>
body {{ font-family: sans-serif; margin: 2em; max-width: 1100px; }}
pre {{ font-size: 12px; overflow-x: auto; background: #f6f6f6; padding: 1em; }}
svg {{ width: 100%; height: auto; border: 1px solid #ccc; }}
rect:hover {{ stroke: #000; stroke-width: 2; }}
</style>
</head>
<body>
<h1>{title}</h1>
{pictures}
<pre>{table}</pre>
</body>
</html>
"""


def write_picture(library: Library, path: Path) -> None:
    """Write the plans of a library's modules; a page if the name ends in ``.html``, else the first one as SVG.

    Raises:
        InputError: it cannot be written there.
    """
    is_page = path.suffix.lower() in (".html", ".htm")
    write_atomically(path, (plan_page(library) if is_page else plan_svg(library.modules[0])).encode())


def plan_page(library: Library) -> str:
    """One HTML page: each module's picture, then the table with every buffer."""
    pictures = "\n".join(f"<h2>{escape(module.name)}</h2>\n{plan_svg(module)}" for module in library.modules)
    return _PAGE.format(
        title=escape(f"Memory of {library.archive.path.name}"),
        pictures=pictures,
        table=escape(library_table(library, every_step=True)),
    )


def plan_svg(module: Module) -> str:
    """One module's plan."""
    plan = module.plan
    width, height, left, bottom = _WIDTH, _HEIGHT, _LEFT, _BOTTOM
    buffers = plan.get("buffers", [])
    steps = max((row[4] for row in buffers), default=0) + 1
    top = max(int(plan.get("workspace", 0)), 1)
    across, up = width / steps, height / top
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width + left + 20} {height + bottom + 40}" '
        'font-family="sans-serif" font-size="11">',
        f'<text x="{left}" y="14">{escape(module.name)}: workspace {grouped(top)} bytes, '
        f"lower bound {grouped(int(plan.get('lower_bound', 0)))}</text>",
    ]
    for index, (name, size, offset, first, last, kernel) in enumerate(buffers):
        x, y = left + first * across, _TOP + height - (offset + size) * up
        hue = index * 47 % 360
        parts.append(
            f'<rect x="{x:.1f}" y="{y:.1f}" width="{(last - first + 1) * across:.1f}" '
            f'height="{max(size * up, 0.5):.1f}" fill="hsl({hue} 55% 70%)" stroke="#444" stroke-width="0.4">'
            f"<title>{escape(str(name))}: {grouped(size)} bytes at {grouped(offset)}, steps {first} to {last}, "
            f"written by {escape(str(kernel))}</title></rect>"
        )
    bound_y = _TOP + height - int(plan.get("lower_bound", 0)) * up
    parts += [
        f'<line x1="{left}" x2="{left + width}" y1="{bound_y:.1f}" y2="{bound_y:.1f}" stroke="#b00" '
        'stroke-dasharray="4 3"/>',
        f'<text x="4" y="{bound_y + 4:.1f}">bound</text>',
        f'<text x="{left}" y="{height + bottom + 14}">step 0</text>',
        f'<text x="{left + width - 50}" y="{height + bottom + 14}">step {steps - 1}</text>',
        "</svg>",
    ]
    return "\n".join(parts) + "\n"
