// Prints the probabilities by the bundle in a folder, by the same bundle at an address, and by folds that take turns. Then how calls
// end whose ensemble, connection or caller goes.
import { readFile } from "node:fs/promises";
import { setImmediate as nextTurn } from "node:timers/promises";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { load } from "quintet";
import { answers } from "../tell.js";

const [folder, address, integrity] = process.argv.slice(2);
const texts = JSON.parse(await readFile(new URL("../texts.json", import.meta.url)));
const told = [];
for (const [url, options] of [[folder, {}], [address, { integrity }], [folder, { memory: 1 }]]) {
  const ensemble = await load(url, options);
  told.push(await answers(ensemble, texts));
  ensemble.dispose();
}
const unpinned = await load(address).catch((error) => error.code);
const missing = await load(`${folder}/nowhere`).catch((error) => error.code);

// An ensemble that is collected as garbage while it is asked.
setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc");
const many = Array(100).fill(texts).flat();
async function ask() {
  const ensemble = await load(folder);
  return { seen: new WeakRef(ensemble), asked: ensemble.classify(many).then(({ length }) => length, ({ code }) => code) };
}
const { seen, asked } = await ask();
while (seen.deref()) {
  await nextTurn();
  collect();
}
const collected = (await asked) === many.length;

// One that its callback disposes of within the call.
const ensemble = await load(folder);
const ended = await ensemble.classify([], { onAnswer: () => ensemble.dispose() }).catch(({ code }) => code);
ensemble.dispose(); // again, which changes nothing

// A connection that breaks after the caller has enough.
const control = new AbortController();
globalThis.fetch = async () => {
  control.abort("enough");
  throw new TypeError("no connection");
};
const aborted = await load(address, { integrity, signal: control.signal }).catch((reason) => reason);
console.log(
  JSON.stringify({ folder: told[0], address: told[1], turns: told[2], unpinned, missing, collected, ended, aborted }),
);
