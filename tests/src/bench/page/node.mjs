// Runs a WASI command by Node's own engine: node node.mjs GUEST.wasm [ARGUMENT]...
// The guest gets the current folder as `.`, and its exit code is this process's.
import { readFileSync } from 'node:fs';
import { WASI } from 'node:wasi';

const [guest, ...words] = process.argv.slice(2);
const wasi = new WASI({ version: 'preview1', args: [guest, ...words], preopens: { '.': '.' }, returnOnExit: true });
const module = new WebAssembly.Module(readFileSync(guest));
process.exitCode = wasi.start(new WebAssembly.Instance(module, wasi.getImportObject()));
