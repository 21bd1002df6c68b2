"""One request for pixels, whatever interface it came by: script, scenes, pixels, script again, images."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from numpy.typing import NDArray

from eotasks.models.sentinel2 import BANDS, QUANTIFICATION
from eotasks.service.contract.area import OutputArea
from eotasks.service.contract.data import DataRequest
from eotasks.service.errors import RequestError, TooLargeError
from eotasks.service.evalscript.engine import Engine
from eotasks.service.evalscript.planes import Pixels, SourcePixels
from eotasks.service.evalscript.setup import Input, InputBand, Output, SampleType, Setup
from eotasks.service.pixels.order import with_bounds
from eotasks.service.pixels.reader import Found, PixelReader

SERVICE_VERSION = "1.0.0"
"""`inputMetadata.serviceVersion` of scripts."""


_OUTPUT_BYTES = {
    SampleType.INT8: 1,
    SampleType.UINT8: 1,
    SampleType.AUTO: 1,
    SampleType.INT16: 2,
    SampleType.UINT16: 2,
    SampleType.FLOAT32: 4,
}


@dataclass(frozen=True)
class RenderRequest:
    """What is to be drawn."""

    script: str
    area: OutputArea
    data: tuple[DataRequest, ...]
    check: Callable[[Setup], None] | None = None
    """Looks at what the script declares, and raises, before anything is searched."""
    auto: SampleType = SampleType.AUTO
    """What outputs give that declare no sample type: as `Engine.evaluate` has it."""


@dataclass(frozen=True)
class Rendered:
    """What a script has drawn."""

    images: Mapping[str, NDArray[Any]]
    """By output: (h, w, bands)."""

    setup: Setup
    user_data: Any | None
    products: int
    """Products that were found."""


@dataclass(frozen=True)
class Renderer:
    """Draws requests. May be used by several threads."""

    engine: Engine
    reader: PixelReader
    max_bytes: int
    """Of the bands of one request, as the script gets them, and of its outputs, together."""

    def render(self, request: RenderRequest) -> Rendered:
        """Draw.

        :raises RequestError: when the script asks for what the request does not name, or for what does not exist.
        :raises TooLargeError: when bands and outputs would take more memory than one request is given; nothing is read.
        :raises ScriptError: when the script fails.
        :raises BusyError: when no worker is free in time.
        """
        setup = self.engine.describe(request.script).setup
        outputs = setup.outputs
        if request.check is not None:
            request.check(setup)
        pairs = pair(setup.inputs, request.data)
        for declared, data in pairs:
            self.reader.check(data, declared.bands)
        found = [_told(self.reader.find(data, request.area, declared.mosaicking), declared) for declared, data in pairs]
        sources = [_source(each, declared, data) for (declared, data), each in zip(pairs, found, strict=True)]
        if setup.hooks:
            description = self.engine.describe(request.script, sources)
            outputs = description.setup.outputs
            sources = [replace(each, considered=each.scenes) for each in sources]
            found = [_kept(each, kept) for each, kept in zip(found, description.kept, strict=True)]
        outputs = tuple(_typed(output, request.auto) for output in outputs)
        self._check_size(request.area, pairs, found, outputs)
        pixels = Pixels(
            request.area.height,
            request.area.width,
            tuple(
                replace(source, scenes=each.scenes, planes=self.reader.read(data, request.area, each, declared.bands))
                for source, (declared, data), each in zip(sources, pairs, found, strict=True)
            ),
        )
        result = self.engine.evaluate(request.script, pixels, auto=request.auto)
        products = sum(len(scene.tiles) for each in found for scene in each.scenes)
        return Rendered(result.images, result.setup or setup, result.user_data, products)

    def _check_size(
        self,
        area: OutputArea,
        pairs: Sequence[tuple[Input, DataRequest]],
        found: Sequence[Found],
        outputs: Sequence[Output],
    ) -> None:
        read = sum(
            len(each.scenes) * _bytes_of(band, data)
            for (declared, data), each in zip(pairs, found, strict=True)
            for band in declared.bands
        )
        drawn = sum(len(output.bands) * _OUTPUT_BYTES[output.sample_type] for output in outputs)
        size = area.height * area.width * (read + drawn)
        if size > self.max_bytes:
            bands = sum(
                len(declared.bands) * len(each.scenes) for (declared, _), each in zip(pairs, found, strict=True)
            )
            results = sum(len(output.bands) for output in outputs)
            raise TooLargeError(
                f"{area.width} x {area.height} pixels of {bands} bands and scenes and {results} bands of outputs take"
                f" {size:,} bytes, more than the {self.max_bytes:,} of one request. Ask for fewer pixels or bands, a"
                " shorter time, SIMPLE mosaicking, or smaller sample types."
            )


def _typed(output: Output, auto: SampleType) -> Output:
    return replace(output, sample_type=auto) if output.sample_type is SampleType.AUTO else output


def _bytes_of(band: InputBand, data: DataRequest) -> int:
    """Of a value as the script gets it, or more: bands that are not resampled stay whole numbers."""
    return 2 if band.name in BANDS and {data.upsampling, data.downsampling} == {"NEAREST"} else 4


def pair(inputs: Sequence[Input], data: Sequence[DataRequest]) -> list[tuple[Input, DataRequest]]:
    """The inputs of a script, each with the data that it reads: by id, or by their order where no input names one.

    :raises RequestError: when a script names data that the request does not have, or does not say which of several.
    """
    by_id = {each.id: each for each in data}
    if len(inputs) == len(data) and all(each.datasource is None for each in inputs):
        return list(zip(inputs, data, strict=True))
    pairs = []
    for declared in inputs:
        if declared.datasource is None and len(data) == 1:
            pairs.append((declared, data[0]))
        elif declared.datasource in by_id and declared.datasource is not None:
            pairs.append((declared, by_id[declared.datasource]))
        else:
            known = ", ".join(repr(each.id) for each in data)
            name = "no datasource" if declared.datasource is None else f"datasource {declared.datasource!r}"
            raise RequestError(
                f"The evalscript names {name}, the request has data of id {known}: give each input of the script the"
                " id of one."
            )
    return pairs


def _told(found: Found, declared: Input) -> Found:
    """With the metadata of scenes that a script asks for."""
    if "bounds" not in declared.metadata:
        return found
    return found._replace(scenes=with_bounds(found.scenes))


def _source(found: Found, declared: Input, data: DataRequest) -> SourcePixels:
    metadata: dict[str, object] = {"serviceVersion": SERVICE_VERSION, "normalizationFactor": 1 / QUANTIFICATION}
    return SourcePixels(found.scenes, datasource=declared.datasource, metadata=metadata, period=(data.start, data.end))


def _kept(found: Found, positions: Sequence[int]) -> Found:
    return Found(
        tuple(found.scenes[position] for position in positions),
        tuple(found.products[position] for position in positions),
    )
