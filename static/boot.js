// Starts the page's WebAssembly module and the service worker. Trunk writes the hashed names into
// this script's own tag, so that no inline script is needed.
const tag = document.querySelector("script[data-wasm]");
try {
  const module = await import(tag.dataset.js);
  await module.default({ module_or_path: tag.dataset.wasm });
} catch (error) {
  console.error(error);
  const status = document.querySelector(".boot");
  if (status) status.textContent = "Letterlock could not be loaded. Please reload the page.";
}

if ("serviceWorker" in navigator) {
  try {
    await navigator.serviceWorker.register("/sw.js", { scope: "/" });
    const { active } = await navigator.serviceWorker.ready;
    const linked = [...document.querySelectorAll("link[href]")].map((link) => link.href);
    const shell = new Set([
      "/", "/boot.js", "/worker.js", "/worker_bg.wasm", "/worker_loader.js",
      tag.dataset.js, tag.dataset.wasm,
      ...linked.map((href) => new URL(href)).filter((url) => url.origin === location.origin)
        .map((url) => url.pathname),
    ]);
    // The name of the page's module carries a hash of it: it names the version.
    active.postMessage({ version: tag.dataset.wasm, shell: [...shell] });
  } catch (error) {
    // Private windows and plain HTTP have no service worker: mail works, offline reload does not.
    console.info("no service worker:", error.message);
  }
}
