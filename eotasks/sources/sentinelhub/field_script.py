"""The evalscript of field statistics: of each band or index what clear pixels show and what all do, and what hides."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from typing import Literal

from eotasks.errors import ConfigurationError
from eotasks.models.clouds.scene_classification import SCL_CLOUD
from eotasks.models.sentinel2 import SceneClass
from eotasks.zonal.quantities import Quantity
from eotasks.zonal.vocabulary import Over

Clouds = Literal["CLM", "CLM+SHADOW", "SCL", "none"]
"""Bands that say clouds and shadows; "none" calls all clear."""

CLOUD, SHADOW = "cloud", "shadow"
"""Outputs whose mean is the share of the pixels that are seen."""

_INPUTS: dict[Clouds, tuple[str, ...]] = {"CLM": ("CLM",), "CLM+SHADOW": ("CLM", "SHADOW"), "SCL": ("SCL",), "none": ()}
_SCL_CLOUD = ", ".join(str(int(SceneClass[name])) for name in SCL_CLOUD)
_VERDICTS: dict[Clouds, tuple[str, str, str]] = {
    "CLM": ("s.CLM !== 255", "s.CLM === 1", "false"),
    "CLM+SHADOW": ("s.CLM !== 255", "s.CLM === 1", "s.SHADOW === 1"),
    "SCL": (
        f"s.SCL !== {int(SceneClass.NO_DATA)}",
        f"[{_SCL_CLOUD}].includes(s.SCL)",
        f"s.SCL === {int(SceneClass.CLOUD_SHADOW)}",
    ),
    "none": ("true", "false", "false"),
}
"""Whether there is a verdict, cloud, shadow."""

_OPERATORS: dict[type[ast.AST], str] = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/"}


def output_name(over: Over, number: int) -> str:
    """Of the statistics of a quantity: an output each, since a mask is of an output and not of its bands."""
    return f"{over}_{number}"


def field_script(quantities: Sequence[Quantity], clouds: Clouds) -> str:
    """An evalscript of version 3 whose outputs are those of `output_name`, `CLOUD` and `SHADOW`, each of one band.

    A pixel is seen where there is data and a verdict on clouds; a value counts where it is a finite number.
    """
    bands = list(dict.fromkeys(band for quantity in quantities for band in quantity.bands))
    inputs = [*bands, *_INPUTS[clouds], "dataMask"]
    units = ["REFLECTANCE"] * len(bands) + ["DN"] * (len(inputs) - len(bands))
    names = [output_name(over, number) for over in (Over.CLEAR, Over.ALL) for number in range(len(quantities))]
    known, cloud, shadow = _VERDICTS[clouds]
    outputs = ", ".join(f'{{id: "{name}", bands: 1, sampleType: "FLOAT32"}}' for name in (*names, CLOUD, SHADOW))
    masks = ", ".join(f'"{name}"' for name in (*names, CLOUD, SHADOW))
    values = ", ".join(_expression(each) for each in quantities)
    results = ", ".join(f"{name}: [v[{number % len(quantities)}]]" for number, name in enumerate(names))
    counted = ", ".join(
        f"{'clear' if number < len(quantities) else 'seen'} && isFinite(v[{number % len(quantities)}]) ? 1 : 0"
        for number in range(len(names))
    )
    return f"""//VERSION=3
function setup() {{
  return {{
    input: [{{bands: [{_quoted(inputs)}], units: [{_quoted(units)}]}}],
    output: [{outputs}, {{id: "dataMask", bands: [{masks}], sampleType: "UINT8"}}]
  }};
}}
function ratio(a, b) {{
  return a >= 0 && b >= 0 && a + b !== 0 ? (a - b) / (a + b) : NaN;
}}
function evaluatePixel(s) {{
  const seen = s.dataMask === 1 && {known};
  const cloud = {cloud};
  const shadow = !cloud && {shadow};
  const clear = seen && !cloud && !shadow;
  const v = [{values}];
  return {{
    {results},
    {CLOUD}: [cloud ? 1 : 0],
    {SHADOW}: [shadow ? 1 : 0],
    dataMask: [{counted}, seen ? 1 : 0, seen ? 1 : 0]
  }};
}}
"""


def _quoted(names: Sequence[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)


def _expression(quantity: Quantity) -> str:
    """A quantity of a sample, in the language of scripts."""
    if quantity.formula:
        return _of_node(ast.parse(quantity.formula, mode="eval").body)
    if len(quantity.bands) == 2:
        first, second = quantity.bands
        return f"ratio(s.{first}, s.{second})"
    return f"s.{quantity.bands[0]}"


def _of_node(node: ast.AST) -> str:
    """In brackets, since two signs that meet are another operator there."""
    if isinstance(node, ast.BinOp):
        return f"({_of_node(node.left)} {_OPERATORS[type(node.op)]} {_of_node(node.right)})"
    if isinstance(node, ast.UnaryOp):
        return f"({'-' if isinstance(node.op, ast.USub) else '+'}{_of_node(node.operand)})"
    if isinstance(node, ast.Name):
        return f"s.{node.id}"
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float):
        return repr(float(node.value)).replace("inf", "Infinity")
    raise ConfigurationError(f"{ast.unparse(node)} is no part of a formula of bands.")
