"""The paper's table 1 as a drawing: one column for each net, one box for each layer with weights."""

from collections.abc import Sequence
from html import escape

from app.inspecting.layers import Layer, Table

COLUMN, ROW, GAP, MARGIN = 168, 22, 8, 16
BAND = "#eef1f6"
COLOURS = {"conv": "#cfe0fb", "linear": "#fbe0cf", "max pool": "#e4e7ec", "response norm": "#e2d9f3"}
SHOWN = tuple(COLOURS)


def draw(tables: Sequence[tuple[str, Table]], chosen: str) -> str:
    """An SVG. ``tables`` are titles with what is drawn beneath; the column of the architecture ``chosen`` has a frame.

    What lies between two pools stands side by side in all columns, as in the paper.
    """
    columns = [_blocks(table) for _, table in tables]
    heights = [max(len(blocks[number]) for blocks in columns) for number in range(len(columns[0]))]
    tops = [MARGIN + 3 * ROW + sum(heights[:number]) * ROW + number * GAP for number in range(len(heights))]
    bottom = tops[-1] + heights[-1] * ROW + 2 * ROW
    width = 2 * MARGIN + len(tables) * COLUMN
    parts = []
    for number, ((title, table), blocks) in enumerate(zip(tables, columns, strict=True)):
        x = MARGIN + number * COLUMN
        if table.architecture == chosen:
            parts.append(
                f'<rect x="{x + 2}" y="{MARGIN - 8}" width="{COLUMN - 4}" height="{bottom - MARGIN + 18}" rx="6" '
                f'fill="{BAND}" stroke="#2f6fde" stroke-width="2"/>'
            )
        parts += [_text(x, MARGIN + 10, title, bold=True), _text(x, MARGIN + 28, table.architecture)]
        parts.append(_text(x, MARGIN + 46, f"{table.weight_layers} weight layers"))
        for top, layers in zip(tops, blocks, strict=True):
            parts += [_box(x, top + ROW * row, layer) for row, layer in enumerate(layers)]
        parts.append(_text(x, bottom - ROW + 4, f"{table.parameters / 1e6:.1f} M parameters"))
        parts.append(_text(x, bottom - ROW + 20, f"{table.multiply_adds / 1e9:.2f} G multiply-adds"))
    height = bottom + ROW + 8
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'font-family="sans-serif" font-size="12" role="img" aria-label="{escape(chosen)} among the VGG networks">'
        f'<rect width="100%" height="100%" fill="#ffffff"/>{"".join(parts)}</svg>\n'
    )


def _blocks(table: Table) -> list[list[Layer]]:
    """The layers that are drawn; a pool ends each block, and the linear ones are the last."""
    blocks: list[list[Layer]] = [[]]
    for layer in table.layers:
        if layer.kind in SHOWN:
            blocks[-1].append(layer)
        if layer.kind == "max pool":
            blocks.append([])
    return blocks


def _box(x: float, y: float, layer: Layer) -> str:
    words = {
        "conv": f"{layer.name}: {layer.kernel}x{layer.kernel}-{layer.output[0]}",
        "linear": f"{layer.name}: {layer.output[0]}",
        "max pool": f"max pool: {'x'.join(map(str, layer.output[1:]))}",
        "response norm": "LRN",
    }[layer.kind]
    return (
        f'<rect x="{x + 8}" y="{y}" width="{COLUMN - 16}" height="{ROW - 3}" rx="3" fill="{COLOURS[layer.kind]}">'
        f"<title>{escape(layer.name)}: {layer.parameters:,} parameters, {layer.multiply_adds:,} multiply-adds</title>"
        f"</rect>{_text(x, y + 14, words)}"
    )


def _text(x: float, y: float, words: str, *, bold: bool = False) -> str:
    weight = ' font-weight="bold"' if bold else ""
    return f'<text x="{x + COLUMN / 2}" y="{y}" text-anchor="middle"{weight}>{escape(words)}</text>'
