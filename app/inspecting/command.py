"""The command behind ``scripts/inspect_model.py``."""

import argparse
import csv
import json
import sys
from dataclasses import asdict, fields
from io import StringIO
from pathlib import Path

from app.errors import ModelError, UnknownModel
from app.inspecting.drawing import draw
from app.inspecting.layers import Layer, Table, inspect
from app.model.architectures import NET_OF, VGGS
from app.model.library import Library
from app.settings import read_settings

MB = 1e6


def main(text: str, arguments: list[str] | None = None) -> int:
    """What the door runs; ``text`` is its help. Returns the exit status."""
    given = parse_arguments(text, arguments)
    try:
        architecture, classes = find(given.model)
        table = inspect(architecture, given.classes or classes, given.size, given.batch_size)
        if given.svg:
            given.svg.write_text(draw(_columns(table), architecture), encoding="utf-8")
    except (ModelError, OSError) as error:
        print(f"Cannot inspect {given.model}: {error}", file=sys.stderr)
        return 1
    write = as_json if given.json else as_csv if given.csv else as_text
    print(write(table), end="")
    return 0


def parse_arguments(text: str, arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=text, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("model", nargs="?", default="vgg16", metavar="ARCHITECTURE", help=f"{', '.join(VGGS)}, or a model's name")
    add("--classes", type=positive, metavar="N", help="classes of the last layer (default: the model's, or 1000)")
    add("--size", type=positive, default=224, metavar="PIXELS", help="side of the picture (default: %(default)s)")
    add("--batch-size", type=positive, default=1, metavar="N", help="pictures, for the memory (default: %(default)s)")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print it for programs")
    form.add_argument("--csv", action="store_true", help="print it for spreadsheets")
    add("--svg", type=Path, metavar="FILE", help="draw it among the nets of the paper's table 1")
    given = parser.parse_args(arguments)
    if given.size < 32:
        parser.error("--size must be at least 32: five times halved, something must be left")
    return given


def positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return value


def find(name: str) -> tuple[str, int]:
    """Architecture and number of classes of a model, or of an architecture itself. Raises ``ModelError``."""
    if name in VGGS:
        return name, 1000
    library = Library.from_settings(read_settings())
    try:
        manifest = library.manifest(name)
    except UnknownModel as error:
        raise ModelError(f"there is no such model, and it is none of {', '.join(VGGS)}.") from error
    return manifest.architecture, len(library.labels(manifest))


def _columns(table: Table) -> list[tuple[str, Table]]:
    """The paper's nets, and the chosen one where it is none of them."""
    columns = [
        (net, table if name == table.architecture else inspect(name, table.classes, table.size))
        for name, net in NET_OF.items()
    ]
    return columns if table.architecture in NET_OF else [*columns, ("", table)]


def as_json(table: Table) -> str:
    totals = {
        "parameters": table.parameters,
        "multiply_adds": table.multiply_adds,
        "weight_layers": table.weight_layers,
        "forward_bytes": table.forward_bytes,
        "kept_bytes": table.kept_bytes,
    }
    return json.dumps(asdict(table) | {"totals": totals}, indent=1) + "\n"


def as_csv(table: Table) -> str:
    out = StringIO()
    writer = csv.writer(out, lineterminator="\n")
    names = [field.name for field in fields(Layer)]
    writer.writerow(names)
    for layer in table.layers:
        values = asdict(layer) | {"output": "x".join(map(str, layer.output))}
        writer.writerow(["" if values[name] is None else values[name] for name in names])
    return out.getvalue()


def as_text(table: Table) -> str:
    head = ("layer", "output", "parameters", "multiply-adds", "field", "stride", "output MB", "kept MB")
    rows = [head, *(_row(layer) for layer in table.layers)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    lines = [
        "  ".join(
            cell.ljust(width) if column < 2 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
    return "\n".join([*lines, "", *_totals(table), *_stacks()]) + "\n"


def _row(layer: Layer) -> tuple[str, ...]:
    def number(value: int | None) -> str:
        return f"{value:,}" if value else ""

    output = "x".join(map(str, layer.output))
    field = "all" if layer.receptive_field is None else str(layer.receptive_field)
    memory = (f"{size / MB:.2f}" if size else "" for size in (layer.output_bytes, layer.kept_bytes))
    return (
        layer.name,
        output,
        number(layer.parameters),
        number(layer.multiply_adds),
        field,
        number(layer.stride),
        *memory,
    )


def _totals(table: Table) -> list[str]:
    net = NET_OF.get(table.architecture)
    title = f"{table.architecture}, net {net} of the paper" if net else table.architecture
    pictures = "1 picture" if table.batch_size == 1 else f"{table.batch_size} pictures"
    return [
        f"{title}: {table.weight_layers} layers with weights, {table.classes} classes",
        f"{table.parameters:,} parameters, {4 * table.parameters / MB:.1f} MB in fp32",
        f"{table.multiply_adds:,} multiply-adds for a picture of {table.size}x{table.size} pixels",
        f"{table.forward_bytes / MB:.1f} MB for the largest input and output together, {pictures} in fp32",
        f"{table.kept_bytes / MB:.1f} MB kept for the backward pass, {pictures} in fp32",
    ]


def _stacks(channels: int = 512) -> list[str]:
    """Why the paper stacks small convolutions."""
    stack, one = 3 * 3 * 3, 7 * 7
    return [
        "",
        f"Three 3x3 convolutions of C channels see 7x7 pixels, as one 7x7 does, with {stack} C² weights instead of "
        f"{one} C²:",
        f"for C = {channels} {stack * channels**2:,} instead of {one * channels**2:,}, {one / stack - 1:.0%} more; and "
        "with three nonlinearities instead of one.",
    ]
