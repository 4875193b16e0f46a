// Serves the examples' pages with the packages that they import: node examples/pages/serve.mjs 8080
// Any server of static files does; its root has to be that of the repository.
import { createReadStream, existsSync, realpathSync, statSync } from 'node:fs';
import { createServer } from 'node:http';
import { extname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = realpathSync(fileURLToPath(new URL('../..', import.meta.url)));
/** @type {Record<string, string>} */
const TYPES = { '.html': 'text/html; charset=utf-8', '.js': 'text/javascript; charset=utf-8', '.mjs': 'text/javascript; charset=utf-8' };

const server = createServer(({ url = '/' }, response) => {
  let path = join(ROOT, normalize(decodeURIComponent(new URL(url, 'http://page').pathname)));
  if (existsSync(path) && statSync(path).isDirectory()) path = join(path, 'index.html');
  const isServed = TYPES[extname(path)] && /^[/\\](examples|clients|node_modules)[/\\]/.test(path.slice(ROOT.length));
  if (!isServed || !existsSync(path)) {
    response.writeHead(404).end('not here');
    return;
  }
  response.writeHead(200, { 'content-type': TYPES[extname(path)] });
  createReadStream(path).pipe(response);
});
server.listen(Number(process.argv[2] ?? 8080), '127.0.0.1', () => {
  const { port } = /** @type {import('node:net').AddressInfo} */ (server.address());
  console.log(`the editor is at http://127.0.0.1:${port}/examples/editor/`);
  console.log(`the game is at http://127.0.0.1:${port}/examples/game/`);
});
