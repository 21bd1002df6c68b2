// What the driver needs of the language, taken before a script of a stranger can change it.

const uncurried = Function.prototype.bind.bind(Function.prototype.call);
const {
  Array: ArrayOf, ArrayBuffer: BufferOf, Date: DateOf, Error: ErrorOf, Function: FunctionOf, Map: MapOf,
  Object: ObjectOf, Proxy: ProxyOf, String: StringOf,
} = globalThis;
const isArray = Array.isArray;
const isView = ArrayBuffer.isView;
const round = Math.round;
const apply = Reflect.apply;
const numberOf = Number;
const parse = JSON.parse;
const stringify = JSON.stringify;
const fromCharCode = String.fromCharCode;
const defineProperty = Object.defineProperty;
const wellFormed = uncurried(String.prototype.toWellFormed);
const sliced = uncurried(String.prototype.slice);
const placeOf = uncurried(Map.prototype.get);
const remember = uncurried(Map.prototype.set);
const TYPES = {
  __proto__: null, UINT8: Uint8Array, AUTO: Uint8Array, INT8: Int8Array, UINT16: Uint16Array, INT16: Int16Array,
  FLOAT32: Float32Array,
};
const BytesOf = Uint8Array;

// An own property, whatever the script has put into prototypes: an assignment could hand it what is ours.
function own(object, key, value, enumerable = true) {
  defineProperty(object, key, { __proto__: null, value, enumerable, configurable: true, writable: true });
}

function append(list, value) {
  own(list, list.length, value);
}
