// Visualizers that give a colour for a value. Colours are whole 255ths, as the service gives them; what is no number
// gets the last colour.

function components(color) {
  return typeof color === "number" ? int2rgb(color) : color.map((component) => component * 255);
}

// Positions in ascending order, in flat arrays: `process` is called for every pixel.
function flat(pairs) {
  const sorted = pairs.slice().sort((a, b) => a[0] - b[0]);
  const positions = Float64Array.from(sorted, (pair) => pair[0]);
  const colors = new Float64Array(3 * sorted.length);
  sorted.forEach((pair, i) => colors.set(components(pair[1]).slice(0, 3), 3 * i));
  return { positions, colors };
}

// The first position that is not below the value; as many as there are where all are.
function place(positions, value) {
  const n = positions.length;
  let i = 0;
  while (i < n && !(value <= positions[i])) ++i;
  return i;
}

function whole(colors, i) {
  return [
    Math.floor(colors[3 * i]) / 255, Math.floor(colors[3 * i + 1]) / 255, Math.floor(colors[3 * i + 2]) / 255,
  ];
}

class ColorMapVisualizer {
  constructor(valColPairs) {
    this.valColPairs = valColPairs.slice().sort((a, b) => a[0] - b[0]);
    this.rgb = this.valColPairs.map((pair) => components(pair[1]).map((component) => component / 255));
  }

  place(value) {
    const pairs = this.valColPairs;
    let i = 1;
    while (i < pairs.length && !(value < pairs[i][0])) ++i;
    return i - 1;
  }

  process(value) {
    return this.rgb[this.place(value)].slice();
  }

  processList(values) {
    return values.map((value) => this.process(value));
  }

  getColorFromValue(value) {
    return this.valColPairs[this.place(value)][1];
  }

  static createDefaultColorMap() {
    return new ColorMapVisualizer([
      [-1.0, 0x000000], [-0.2, 0xff0000], [-0.1, 0x9a0000], [0.0, 0x660000], [0.1, 0xffff33], [0.2, 0xcccc33],
      [0.3, 0x666600], [0.4, 0x33ffff], [0.5, 0x33cccc], [0.6, 0x006666], [0.7, 0x33ff33], [0.8, 0x33cc33],
      [0.9, 0x006600],
    ]);
  }
}

// Between two colours it rounds down.
class ColorRampVisualizer {
  constructor(ramps, minVal, maxVal) {
    const { positions, colors } = flat(ramps);
    const first = positions[0];
    const last = positions[positions.length - 1];
    const low = minVal === undefined ? first : minVal;
    const high = maxVal === undefined ? last : maxVal;
    if (last > first && (low !== first || high !== last)) {
      const factor = (high - low) / (last - first);
      for (let i = 0; i < positions.length; ++i) positions[i] = low + (positions[i] - first) * factor;
    }
    this.positions = positions;
    this.colors = colors;
  }

  process(value) {
    const { positions, colors } = this;
    const i = place(positions, value);
    if (i === 0) return whole(colors, 0);
    if (i === positions.length) return whole(colors, i - 1);
    const ratio = (value - positions[i - 1]) / (positions[i] - positions[i - 1]);
    const low = 3 * (i - 1);
    const high = 3 * i;
    return [
      Math.floor(colors[low] + (colors[high] - colors[low]) * ratio) / 255,
      Math.floor(colors[low + 1] + (colors[high + 1] - colors[low + 1]) * ratio) / 255,
      Math.floor(colors[low + 2] + (colors[high + 2] - colors[low + 2]) * ratio) / 255,
    ];
  }

  processList(values) {
    return values.map((value) => this.process(value));
  }

  inverse() {
    const n = this.positions.length;
    const pairs = Array.from(this.positions, (position, i) => {
      const at = 3 * (n - 1 - i);
      return [position, [this.colors[at] / 255, this.colors[at + 1] / 255, this.colors[at + 2] / 255]];
    });
    return new ColorRampVisualizer(pairs);
  }

  // The colours in the order in which a constant lists them, over its positions in ascending order.
  static listed(constant, minVal = 0, maxVal = 1) {
    const positions = constant.map((pair) => pair[0]).sort((a, b) => a - b);
    return new ColorRampVisualizer(constant.map((pair, i) => [positions[i], pair[1]]), minVal, maxVal);
  }

  static createRedTemperature(minVal, maxVal) {
    return ColorRampVisualizer.listed(redTemperature, minVal, maxVal);
  }

  static createWhiteGreen(minVal, maxVal) {
    return ColorRampVisualizer.listed(greenWhite, minVal, maxVal);
  }

  static createBlueRed(minVal, maxVal) {
    return ColorRampVisualizer.listed(blueRed, minVal, maxVal);
  }

  static createOceanColor(minVal, maxVal) {
    return ColorRampVisualizer.listed(oceanColor, minVal, maxVal);
  }
}

// Positions are shares of minVal, so that 1 is the lowest; between two colours it rounds to the nearest.
class ColorGradientVisualizer {
  constructor(valColPairs, minVal = 0, maxVal = 1) {
    const { positions, colors } = flat(
      valColPairs.map((pair) => [minVal * pair[0] + maxVal * (1 - pair[0]), pair[1]]),
    );
    this.positions = positions;
    this.colors = colors;
  }

  process(value) {
    const { positions, colors } = this;
    const i = place(positions, value);
    if (i === 0) return whole(colors, 0);
    if (i === positions.length) return whole(colors, i - 1);
    const ratio = (value - positions[i - 1]) / (positions[i] - positions[i - 1]);
    const low = 3 * (i - 1);
    const high = 3 * i;
    return [
      Math.round(colors[high] * ratio + colors[low] * (1 - ratio)) / 255,
      Math.round(colors[high + 1] * ratio + colors[low + 1] * (1 - ratio)) / 255,
      Math.round(colors[high + 2] * ratio + colors[low + 2] * (1 - ratio)) / 255,
    ];
  }

  processList(values) {
    return values.map((value) => this.process(value));
  }

  static createRedTemperature(minVal, maxVal) {
    return new ColorGradientVisualizer(redTemperature, minVal, maxVal);
  }

  static createWhiteGreen(minVal, maxVal) {
    return new ColorGradientVisualizer(greenWhite, minVal, maxVal);
  }

  static createBlueRed(minVal, maxVal) {
    return new ColorGradientVisualizer(blueRed, minVal, maxVal);
  }
}

publish({ ColorMapVisualizer, ColorRampVisualizer, ColorGradientVisualizer });
