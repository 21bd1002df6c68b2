// Constants that scripts use, and how names reach them: as configurable properties of the global object, so that a
// script may declare the same name with let, const, function or class. All files of this folder are one strict
// function (see ../prelude.py); nothing of it but what is published is within reach of a script.

function publish(names) {
  for (const name of Object.keys(names)) {
    Object.defineProperty(globalThis, name, { value: names[name], configurable: true, writable: true });
  }
}

const JAVA_DOUBLE_MAX_VAL = 1.7976931348623157e308;

const SampleType = Object.freeze({
  INT8: "INT8", UINT8: "UINT8", INT16: "INT16", UINT16: "UINT16", FLOAT32: "FLOAT32", AUTO: "AUTO",
});

const Mosaicking = Object.freeze({ SIMPLE: "SIMPLE", ORBIT: "ORBIT", TILE: "TILE" });

const blueRed = [
  [1.0, 0x000080], [0.875, 0x0000ff], [0.625, 0x00ffff], [0.375, 0xffff00], [0.125, 0xff0000], [0.0, 0x800000],
];

const redTemperature = [[1.0, 0x000000], [0.525, 0xae0000], [0.3, 0xff6e00], [0.25, 0xff8600], [0.0, 0xffffff]];

const greenWhite = [[1.0, 0x000000], [0.6, 0x006600], [0.3, 0x80b300], [0.0, 0xffffff]];

const oceanColor = [
  [0.0, 147, 0, 108], [0.0471, 111, 0, 144], [0.098, 72, 0, 183], [0.149, 33, 0, 222], [0.2, 0, 10, 255],
  [0.2471, 0, 74, 255], [0.298, 0, 144, 255], [0.349, 0, 213, 255], [0.4, 0, 255, 215], [0.4471, 0, 255, 119],
  [0.498, 0, 255, 15], [0.549, 96, 255, 0], [0.6, 200, 255, 0], [0.6471, 255, 235, 0], [0.698, 255, 183, 0],
  [0.749, 255, 131, 0], [0.8, 255, 79, 0], [0.8471, 255, 31, 0], [0.898, 230, 0, 0], [0.949, 165, 0, 0],
  [1.0, 105, 0, 0],
].map(([position, red, green, blue]) => [position, [red / 255, green / 255, blue / 255]]);

publish({ JAVA_DOUBLE_MAX_VAL, SampleType, Mosaicking, blueRed, redTemperature, greenWhite, oceanColor });
