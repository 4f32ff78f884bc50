// Prints the probabilities by the bundle in a folder, by the same bundle at an address, and by folds that take turns.
import { readFile } from "node:fs/promises";
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
console.log(JSON.stringify({ folder: told[0], address: told[1], turns: told[2], unpinned, missing }));
