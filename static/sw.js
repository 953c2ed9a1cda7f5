// Keeps the application shell (HTML, CSS, WebAssembly) so that the page opens without a network.
//
// Mail never passes through here: /api/ is left alone, and what the worker stores is sealed in
// IndexedDB. Network first, so that a new version is seen at once; the kept copy answers when the
// network does not, or takes longer than PATIENCE_MS. The page tells which files belong to it;
// they are fetched into a cache of their own and the older caches go when all of them are there.
const PREFIX = "letterlock-shell-";
const PATIENCE_MS = 4000;

self.addEventListener("install", () => self.skipWaiting());
self.addEventListener("activate", (event) => event.waitUntil(self.clients.claim()));

self.addEventListener("message", (event) => {
  if (event.origin !== self.location.origin || !event.data?.version) return;
  event.waitUntil(keep(PREFIX + event.data.version, event.data.shell));
});

async function keep(name, shell) {
  const cache = await caches.open(name);
  await cache.addAll(shell.map((path) => new Request(path, { cache: "no-cache" })));
  for (const other of await caches.keys()) {
    if (other.startsWith(PREFIX) && other !== name) await caches.delete(other);
  }
}

self.addEventListener("fetch", (event) => {
  const url = new URL(event.request.url);
  const ours = url.origin === self.location.origin && !url.pathname.startsWith("/api/");
  if (ours && event.request.method === "GET") event.respondWith(answer(event.request));
});

async function answer(request) {
  const kept = () => caches.match(request.mode === "navigate" ? "/" : request, { ignoreSearch: true });
  const fresh = fetch(request);
  fresh.catch(() => {});
  try {
    const response = await Promise.race([fresh, impatience()]);
    if (response) return response;
    return (await kept()) ?? (await fresh);
  } catch (error) {
    const copy = await kept();
    if (copy) return copy;
    throw error;
  }
}

function impatience() {
  return new Promise((resolve) => setTimeout(resolve, PATIENCE_MS, null));
}
