// Node's `fetch` with files: an address that begins with `file:` is answered as a server would answer.
import { open } from "node:fs/promises";
import { fileURLToPath } from "node:url";

const CHUNK = 1 << 20;

export async function fetchFile(request, others = fetch) {
  if (!request.url.startsWith("file:")) return others(request);
  const start = Number(/^bytes=(\d+)-$/.exec(request.headers.get("range"))?.[1] ?? 0);
  let file;
  try {
    file = await open(fileURLToPath(request.url));
    const { size } = await file.stat();
    const headers = start > 0 ? { "content-range": `bytes ${start}-${size - 1}/${size}` } : {};
    const response = new Response(content(file, start), { status: start > 0 ? 206 : 200, headers });
    return Object.defineProperty(response, "url", { value: request.url });
  } catch (error) {
    await file?.close();
    if (error.code === "ENOENT" || error.code === "ENOTDIR") return new Response(null, { status: 404 });
    throw error;
  }
}

function content(file, start) {
  let position = start;
  return new ReadableStream({
    async pull(controller) {
      const { bytesRead, buffer } = await file.read(new Uint8Array(CHUNK), 0, CHUNK, position);
      position += bytesRead;
      if (bytesRead > 0) return controller.enqueue(buffer.subarray(0, bytesRead));
      await file.close();
      controller.close();
    },
    cancel: () => file.close(),
  });
}
