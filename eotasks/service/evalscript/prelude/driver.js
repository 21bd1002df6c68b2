// Runs a script over pixels. Python calls these functions without arguments, because a script could catch arguments
// on their way; texts come by the mailbox, a buffer that no script gets hold of. Answers are ASCII or well-formed
// JSON, or a buffer.

const MAILBOX_BYTES = 2097152;
const ANSWER_CHARACTERS = 4194304;
const MESSAGE_CHARACTERS = 500;
const STACK_CHARACTERS = 4000;

const NO_MEMORY = { __proto__: null };

// The first eight bytes are the number of pixels that are done, for Python to look at while a script runs.
const mailbox = new BufferOf(MAILBOX_BYTES);
const progress = new Float64Array(mailbox, 0, 1);
const letters = new BytesOf(mailbox, 8);

const state = {
  __proto__: null, sources: [], chosen: [], metadata: {}, outputMetadata: {}, buffer: null, results: null,
  outputs: [], loop: null, declared: null, body: null, stage: "setup",
};

// The first line is as many digits as the text has characters.
function letter() {
  let i = 0;
  let length = 0;
  for (; letters[i] !== 10; ++i) length = 10 * length + letters[i] - 48;
  let text = "";
  for (let at = i + 1, end = at + length; at < end; ++at) text += fromCharCode(letters[at]);
  return text;
}

function answer(value) {
  const text = stringify(value);
  if (text === undefined) return '{"ok":null}';
  if (text.length > ANSWER_CHARACTERS) return '{"error":{"message":"","stack":"","kind":"large"}}';
  return wellFormed(text);
}

function words(value, limit) {
  try {
    return sliced(StringOf(value), 0, limit);
  } catch {
    return "";
  }
}

function failure(error) {
  const isObject = error !== null && (typeof error === "object" || typeof error === "function");
  let message = "";
  let stack = "";
  try {
    message = isObject && error.message !== undefined
      ? words(error.name, MESSAGE_CHARACTERS) + ": " + words(error.message, MESSAGE_CHARACTERS)
      : words(error, MESSAGE_CHARACTERS);
    if (isObject) stack = words(error.stack, STACK_CHARACTERS);
  } catch {
    message = "an error that cannot be read";
  }
  const kind = error === NO_MEMORY ? "memory" : "script";
  return answer({ __proto__: null, error: { __proto__: null, message, stack, kind, stage: state.stage } });
}

function memory(bytes) {
  try {
    return new BufferOf(bytes);
  } catch {
    throw NO_MEMORY;
  }
}

function guarded(work) {
  return () => {
    try {
      return answer({ __proto__: null, ok: work() });
    } catch (error) {
      return failure(error);
    }
  };
}

// Numbers that JSON does not know come as texts.
function spelled(key, value) {
  if (typeof value === "number" && !(value - value === 0)) return StringOf(value);
  return typeof value === "bigint" ? numberOf(value) : value;
}

// V1: a set-up says by calls what it reads and gives.
publish({
  setInputComponents(components) { state.declared = { __proto__: null, ...state.declared, components }; },
  setOutputComponentCount(count) { state.declared = { __proto__: null, ...state.declared, count }; },
  evaluateBody(body) { state.body = body; },
});

const hooks = {
  __proto__: null,
  preProcessScenes: () => (typeof preProcessScenes === "function" ? preProcessScenes : undefined),
  filterScenes: () => (typeof filterScenes === "function" ? filterScenes : undefined),
  updateOutput: () => (typeof updateOutput === "function" ? updateOutput : undefined),
  updateOutputMetadata: () => (typeof updateOutputMetadata === "function" ? updateOutputMetadata : undefined),
};

function evaluator() {
  if (state.body !== null) return state.body;
  return typeof evaluatePixel === "function" ? evaluatePixel : undefined;
}

const bandsOfSource = { get: (target, name) => (typeof name === "string" ? name : undefined) };

function declare() {
  const evaluate = evaluator();
  const found = { __proto__: null };
  for (const name in hooks) found[name] = hooks[name]() !== undefined;
  state.declared = null;
  let value;
  const has = state.body === null && typeof setup === "function";
  if (has) value = setup(new ProxyOf({}, bandsOfSource));
  const length = evaluate === undefined ? -1 : evaluate.length;
  return parse(stringify({ __proto__: null, setup: has, value, calls: state.declared, hooks: found, length }, spelled));
}

function open(given) {
  state.sources = given.sources;
  state.metadata = given.metadata;
  state.chosen = [];
  for (let i = 0; i < state.sources.length; ++i) append(state.chosen, state.sources[i].chosen);
}

function choose() {
  const first = hooks.preProcessScenes();
  if (first !== undefined) return preProcessed(state.sources, first);
  const second = hooks.filterScenes();
  if (second !== undefined) return filtered(state.sources, second, stringify(state.metadata));
  return state.chosen;
}

// Asks the hooks which scenes they keep, and for the bands of each output. Where pixels are (`decided`) what is kept
// has been asked before; the hooks are called for what they remember.
function arrange() {
  const given = parse(letter());
  open(given);
  const kept = choose();
  if (!given.decided) state.chosen = kept;
  const hook = hooks.updateOutput();
  if (hook === undefined) return { __proto__: null, kept, output: null };
  const output = given.output;
  hook(output, dated(state.sources, state.chosen));
  return { __proto__: null, kept, output: parse(stringify(output, spelled)) };
}

// A body's own idea of how many bands it gives: the most that it returns for some samples.
function probe() {
  const { bands, values } = parse(letter());
  let most = 0;
  for (let i = 0; i < values.length; ++i) {
    const samples = [];
    for (let k = 0; k < bands; ++k) append(samples, values[i] * (1 + 0.1 * k));
    try {
      const result = apply(state.body, undefined, samples);
      const length = isArray(result) ? spread(result, []).length : result === undefined ? 0 : 1;
      if (length > most) most = length;
    } catch {
      // what it cannot do with these numbers it may do with those of the image
    }
  }
  return most;
}

function allocate() {
  state.buffer = memory(numberOf(letter()));
  return state.buffer;
}

// Nested arrays are read in order, as if they were one.
function spread(value, result, depth = 0) {
  if (depth > 16) throw new ErrorOf("evaluatePixel returns arrays more than 16 deep in one another");
  for (let i = 0; i < value.length && result.length < 4096; ++i) {
    if (isArray(value[i]) || isView(value[i])) spread(value[i], result, depth + 1);
    else append(result, value[i]);
  }
  return result;
}

// One number of a return: undefined where it is none.
function number(value) {
  switch (typeof value) {
    case "number": return value;
    case "boolean": return value ? 1 : 0;
    case "bigint": return numberOf(value);
    case "string": {
      const read = value === "" ? NaN : numberOf(value);
      return read !== read ? undefined : read;
    }
    default: return undefined;
  }
}

function converted(output, x) {
  if (output.type === "FLOAT32") return x;
  if (x !== x) return output.fill;
  const scaled = output.type === "AUTO" ? x * 255 : x;
  return scaled <= output.low ? output.low : scaled >= output.high ? output.high : round(scaled);
}

// What is no array of numbers of the right length: slower than what the loop does itself.
function put(k, value, at) {
  const output = state.outputs[k];
  let list = value;
  if (isArray(value) || isView(value)) list = spread(value, []);
  else if (value !== null && (typeof value === "object" || typeof value === "function")) {
    throw new ErrorOf("evaluatePixel returns for output '" + output.id + "' an object where an array is expected");
  } else list = [value];
  for (let band = 0; band < output.bands; ++band) {
    const x = band < list.length ? number(list[band]) : undefined;
    output.values[at + band] = x === undefined ? output.fill : converted(output, x);
  }
}

function mistaken(result) {
  let ids = "";
  for (let k = 0; k < state.outputs.length; ++k) ids += (k === 0 ? "'" : ", '") + state.outputs[k].id + "'";
  if (result !== null && typeof result === "object") {
    throw new ErrorOf("evaluatePixel returns an object with none of the outputs that setup declares: " + ids);
  }
  throw new ErrorOf("evaluatePixel returns no object: with several outputs it has to return one with the keys " + ids);
}

function compile({ code, views, outputs, bytes }) {
  state.results = memory(bytes);
  const inputs = [];
  for (let i = 0; i < views.length; ++i) {
    append(inputs, new TYPES[views[i].type](state.buffer, views[i].offset, views[i].length));
  }
  const written = [];
  state.outputs = [];
  for (let k = 0; k < outputs.length; ++k) {
    const { id, type, bands, low, high, offset, length } = outputs[k];
    const fill = outputs[k].fill === null ? NaN : outputs[k].fill;
    const values = new TYPES[type](state.results, offset, length);
    append(written, values);
    append(state.outputs, { __proto__: null, id, type, bands, low, high, length, fill, values });
  }
  const loop = new FunctionOf(
    "evaluate", "scenes", "metadata", "custom", "outputMetadata", "v", "o", "put", "mistaken", "isArray", "isView",
    "round", "progress", code,
  );
  const scenes = allScenes(state.sources, state.chosen);
  const metadata = parse(stringify(state.metadata));
  const evaluate = evaluator();
  state.loop = () => loop(
    evaluate, scenes, metadata, {}, state.outputMetadata, inputs, written, put, mistaken, isArray, isView, round,
    progress,
  );
}

function withoutScenes() {
  for (let i = 0; i < state.chosen.length; ++i) {
    if (state.chosen[i].length === 0) return true;
  }
  return false;
}

function run() {
  try {
    state.loop();
  } catch (error) {
    if (!withoutScenes()) throw error;
    // a script that cannot do without scenes: there is no data
    for (let k = 0; k < state.outputs.length; ++k) {
      const { values, length, fill } = state.outputs[k];
      for (let i = 0; i < length; ++i) values[i] = fill;
    }
  }
}

function finish() {
  const hook = hooks.updateOutputMetadata();
  if (hook !== undefined) {
    hook(allScenes(state.sources, state.chosen), parse(stringify(state.metadata)), state.outputMetadata);
  }
  const told = state.outputMetadata.userData;
  return told === undefined ? null : told;
}

// Runs the loop; gives what the script tells besides pixels.
function execute() {
  const given = parse(letter());
  open(given);
  compile(given);
  state.stage = "pixels";
  run();
  state.stage = "metadata";
  return finish();
}

return {
  __proto__: null,
  mailbox: () => mailbox,
  allocate: () => { try { return allocate(); } catch (error) { return failure(error); } },
  results: () => state.results,
  declare: guarded(declare),
  arrange: guarded(arrange),
  probe: guarded(probe),
  execute: guarded(execute),
};
