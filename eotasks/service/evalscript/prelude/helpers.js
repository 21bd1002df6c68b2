// Functions on numbers, colours and dates.

function index(x, y) {
  const sum = x + y;
  return sum === 0 ? 0 : (x - y) / sum;
}

function inverse(x) {
  return x === 0 ? JAVA_DOUBLE_MAX_VAL : 1 / x;
}

function int2rgb(color) {
  return [(color >>> 16) & 255, (color >>> 8) & 255, color & 255];
}

function rgb2int(rgb) {
  return (rgb[0] << 16) + (rgb[1] << 8) + rgb[2];
}

function normalizeRGB(rgb) {
  return rgb.map((component) => component / 255);
}

// `alpha` is the share of the first colour; colours are arrays, or numbers as 0xRRGGBB.
function combine(color1, color2, alpha) {
  if (typeof color1 === "number") {
    const [first, second] = [int2rgb(color1), int2rgb(color2)];
    return rgb2int(first.map((component, i) => Math.round(component * alpha + second[i] * (1 - alpha))));
  }
  return color1.map((component, i) => component * alpha + color2[i] * (1 - alpha));
}

// Intervals are open below and closed above: (from, to]. Without them a value stays as it is.
function valueMap(value, intervals, values) {
  if (!Array.isArray(intervals) || !Array.isArray(values)) return value;
  for (let i = 0; i < intervals.length; ++i) {
    if (value <= intervals[i]) return values[i];
  }
  return values[values.length - 1];
}

// Values at the ends of the intervals go on beyond them; what is no number goes to the last.
function valueInterpolate(value, intervals, values) {
  if (!Array.isArray(intervals) || !Array.isArray(values)) return value;
  if (value <= intervals[0] || intervals.length === 0) return copied(values[0]);
  for (let i = 1; i < intervals.length; ++i) {
    if (value <= intervals[i]) {
      const ratio = (value - intervals[i - 1]) / (intervals[i] - intervals[i - 1]);
      return between(values[i - 1], values[i], ratio);
    }
  }
  return copied(values[values.length - 1]);
}

function between(low, high, ratio) {
  if (!Array.isArray(low)) return low * (1 - ratio) + high * ratio;
  const result = new Array(low.length);
  for (let i = 0; i < low.length; ++i) result[i] = low[i] * (1 - ratio) + high[i] * ratio;
  return result;
}

// Scripts push to what they get: the colours they gave stay theirs.
function copied(color) {
  return Array.isArray(color) ? color.slice() : color;
}

function colorMap(value, limits, colors) {
  if (!Array.isArray(limits) || !Array.isArray(colors)) return value;
  for (let i = 0; i < limits.length; ++i) {
    if (value < limits[i]) return copied(colors[i]);
  }
  return copied(colors[colors.length - 1]);
}

function toUTC(date) {
  const given = date instanceof Date ? date : new Date(date);
  return new Date(Date.UTC(
    given.getUTCFullYear(), given.getUTCMonth(), given.getUTCDate(),
    given.getUTCHours(), given.getUTCMinutes(), given.getUTCSeconds(),
  ));
}

// A sample with CLM, else with SCL (classes 8, 9 and 10), else with CLP (0..255, from 0.4 on).
function isClouded(sample) {
  if (sample.CLM !== undefined) return sample.CLM === 1;
  if (sample.SCL !== undefined) return sample.SCL >= 8 && sample.SCL <= 10;
  return sample.CLP !== undefined && sample.CLP / 255 >= 0.4;
}

function bits(value, first, count) {
  return (value >>> first) & ((1 << count) - 1);
}

// Landsat 8 Collection 2, QA_PIXEL.
function decodeL8C2Qa(value) {
  return {
    fill: bits(value, 0, 1), dilatedCloud: bits(value, 1, 1), cirrus: bits(value, 2, 1), cloud: bits(value, 3, 1),
    cloudShadow: bits(value, 4, 1), snow: bits(value, 5, 1), clear: bits(value, 6, 1), water: bits(value, 7, 1),
    cloudConfidence: bits(value, 8, 2), cloudShadowConfidence: bits(value, 10, 2),
    snowIceConfidence: bits(value, 12, 2), cirrusConfidence: bits(value, 14, 2),
  };
}

// Landsat 8 Collection 1, BQA.
function decodeLs8Qa(value) {
  return {
    designatedFill: bits(value, 0, 1), terrainOcclusion: bits(value, 1, 1), radiometricSaturation: bits(value, 2, 2),
    cloud: bits(value, 4, 1), cloudConfidence: bits(value, 5, 2), cloudShadowConfidence: bits(value, 7, 2),
    snowIceConfidence: bits(value, 9, 2), cirrusConfidence: bits(value, 11, 2),
  };
}

const OLCI_FLAGS = [
  "land", "coastline", "fresh_inland_water", "tidal_region", "bright", "straylight_risk", "invalid", "cosmetic",
  "duplicated", "sun_glint_risk", "dubious",
];

// The highest bit is land; the lowest 21 are the saturated bands, B01 the highest of them.
function decodeS3OLCIQualityFlags(value) {
  const flags = {};
  OLCI_FLAGS.forEach((name, i) => { flags[name] = bits(value, 31 - i, 1); });
  for (let band = 1; band <= 21; ++band) {
    flags["saturatedB" + String(band).padStart(2, "0")] = bits(value, 21 - band, 1);
  }
  return flags;
}

publish({
  index, inverse, int2rgb, rgb2int, hex2rgb: int2rgb, rgb2hex: rgb2int, normalizeRGB, combine, valueMap,
  valueInterpolate, colorBlend: valueInterpolate, colorMap, toUTC, isClouded, decodeL8C2Qa, decodeLs8Qa,
  decodeS3OLCIQualityFlags,
});
