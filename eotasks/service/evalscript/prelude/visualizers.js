// Visualizers that bring bands to 0..1. Browsers that use the service set gainOverride, offsetOverride, gammaOverride
// and rangeOverrides before a script; where they do not, the script's own numbers count.

publish({ gainOverride: undefined, offsetOverride: undefined, gammaOverride: undefined, rangeOverrides: undefined });

function clamped(value) {
  return value <= 0 ? 0 : value >= 1 ? 1 : value;
}

class DefaultVisualizer {
  constructor(minValue = 0, maxValue = 1, gain = 1, offset = 0, gamma = 1) {
    this.minValue = minValue;
    this.factor = 1 / (maxValue - minValue);
    this.gain = gainOverride || gain;
    this.offset = offsetOverride || offset;
    this.gamma = gammaOverride || gamma;
    this.ranges = Array.isArray(rangeOverrides) ? rangeOverrides : null;
  }

  stretched(value, i) {
    let v = this.gain * (value - this.minValue) * this.factor + this.offset;
    if (this.ranges !== null && this.ranges[i] !== undefined) v = valueInterpolate(v, this.ranges[i], [0, 1]);
    return this.gamma === 1 ? v : Math.pow(v < 0 ? 0 : v, this.gamma);
  }

  process(value, i) {
    if (Array.isArray(value)) return this.processList(value);
    return clamped(this.stretched(value, i));
  }

  processList(values) {
    const result = new Array(values.length);
    for (let i = 0; i < values.length; ++i) result[i] = this.process(values[i], i);
    return result;
  }
}

const HIGHLIGHT = 0.92;
const HIGHLIGHT_SLOPE = (1 - HIGHLIGHT) / (2 - HIGHLIGHT);

// Straight up to 0.92; from there on so slowly that twice the range ends at 1, where maxValue is in (0, 1).
class HighlightCompressVisualizer extends DefaultVisualizer {
  constructor(minValue = 0, maxValue = 1, gain = 1, offset = 0, gamma = 1) {
    super(minValue, maxValue, gain, offset, gamma);
    this.compresses = maxValue > 0 && maxValue < 1;
  }

  process(value, i) {
    if (Array.isArray(value)) return this.processList(value);
    const v = this.stretched(value, i);
    return clamped(this.compresses && v > HIGHLIGHT ? HIGHLIGHT + (v - HIGHLIGHT) * HIGHLIGHT_SLOPE : v);
  }
}

// For one value, given as an array.
class HighlightCompressVisualizerSingle extends HighlightCompressVisualizer {
  process(value) {
    return Array.isArray(value) ? this.processList(value) : [super.process(value)];
  }

  processList(values) {
    return values.map((value, i) => super.process(value, i));
  }
}

class Identity {
  process(value) {
    return Array.isArray(value) ? value : [value];
  }

  processList(values) {
    return values;
  }
}

publish({
  DefaultVisualizer, HighlightCompressVisualizer, HighlightCompressVisualizerSingle, Identity,
  IdentityVisualizer: Identity,
});
