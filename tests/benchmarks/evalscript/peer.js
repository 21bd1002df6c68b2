// The peer: what somebody would write for node. A fresh isolate (a worker thread) for each call, a loop that makes an
// object of samples a pixel (an array of them where there are dates), rounding and clamping, planes and results as raw
// bytes. The work comes as one line of JSON each. The answer is what it took in milliseconds: copy in, script, loop,
// copy out; the processor's time for it; and that of the call with the start of the thread.

const fs = require("fs");
const { Worker, isMainThread, parentPort, workerData } = require("worker_threads");

const types = { u1: Uint8Array, u2: Uint16Array, f4: Float32Array };

function run({ bytes, work }) {
  const begin = process.hrtime.bigint();
  const before = process.cpuUsage();
  const memory = new ArrayBuffer(bytes.length);
  new Uint8Array(memory).set(bytes);
  const planes = {};
  for (const { name, type, offset, length, divisor } of work.planes) {
    planes[name] = { values: new types[type](memory, offset, length), divisor };
  }
  const evaluatePixel = new Function(work.script + "\nreturn evaluatePixel;")();
  const loop = new Function("return " + work.loop)();
  const image = loop(evaluatePixel, planes, work.size, work.bands);
  const copy = new Uint8Array(image.buffer).slice();
  const { user, system } = process.cpuUsage(before);
  return { took: Number(process.hrtime.bigint() - begin) / 1e6, computed: (user + system) / 1e3, copy };
}

function called(work) {
  const bytes = fs.readFileSync(work.file);
  const begin = process.hrtime.bigint();
  const worker = new Worker(__filename, { workerData: { bytes, work } });
  worker.once("message", ({ took, computed, copy }) => {
    const whole = Number(process.hrtime.bigint() - begin) / 1e6;
    worker.once("exit", () => {
      fs.writeFileSync(work.result, copy);
      process.stdout.write(JSON.stringify([took, computed, whole]) + "\n");
    });
  });
}

if (isMainThread) {
  require("readline").createInterface({ input: process.stdin }).on("line", line => called(JSON.parse(line)));
} else {
  parentPort.postMessage(run(workerData));
}
