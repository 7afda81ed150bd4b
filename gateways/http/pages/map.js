// The chunk map: one square for each chunk, or for several where there are more chunks than squares.
import {h} from './dom.js';

const CELLS = 4096;

/** Share of chunks here for each cell, 0 to 1. */
export function cellsOf(bits, chunks) {
  const n = Math.min(chunks, CELLS), cells = new Float32Array(n);
  for (let i = 0; i < n; i++) {
    const first = Math.floor((i * chunks) / n), end = Math.max(first + 1, Math.floor(((i + 1) * chunks) / n));
    let have = 0;
    for (let c = first; c < end; c++) have += (bits[c >> 3] >> (c & 7)) & 1;
    cells[i] = have / (end - first);
  }
  return cells;
}

function bitsOf(info) {
  if (info.map) return Uint8Array.from(atob(info.map), c => c.charCodeAt(0));
  return new Uint8Array((info.chunks + 7) >> 3).fill(info.local ? 255 : 0);
}

export function chunkMap() {
  const canvas = h('canvas', {class: 'map', role: 'img', width: 1, height: 1});
  let last = '', frame = 0;
  const dark = matchMedia('(prefers-color-scheme: dark)');
  dark.addEventListener('change', () => { last = ''; });

  function draw(cells) {
    const style = getComputedStyle(canvas), width = canvas.clientWidth || 300, scale = devicePixelRatio || 1;
    const side = Math.max(4, Math.min(16, Math.floor(Math.sqrt((width * 220) / cells.length))));
    const columns = Math.max(1, Math.floor(width / side)), rows = Math.ceil(cells.length / columns);
    canvas.width = width * scale;
    canvas.height = rows * side * scale;
    canvas.style.height = `${rows * side}px`;
    const g = canvas.getContext('2d');
    g.scale(scale, scale);
    const full = style.getPropertyValue('--accent'), empty = style.getPropertyValue('--line');
    for (let i = 0; i < cells.length; i++) {
      const x = (i % columns) * side, y = Math.floor(i / columns) * side;
      g.globalAlpha = 1;
      g.fillStyle = empty;
      g.fillRect(x, y, side - 1, side - 1);
      if (cells[i] === 0) continue;
      g.globalAlpha = 0.3 + 0.7 * cells[i];
      g.fillStyle = full;
      g.fillRect(x, y, side - 1, side - 1);
    }
  }

  return {element: canvas, show(info) {
    const key = `${info.chunks}/${info.chunks_have}/${info.map || ''}/${canvas.clientWidth}`;
    canvas.hidden = !info.chunks;
    if (!info.chunks || key === last) return;
    last = key;
    canvas.setAttribute('aria-label', `${info.chunks_have} of ${info.chunks} chunks are here`);
    const cells = cellsOf(bitsOf(info), info.chunks);
    let tries = 0;
    const drawn = () => (canvas.isConnected ? draw(cells) : tries++ < 600 && (frame = requestAnimationFrame(drawn))); // the page may not be in place yet
    cancelAnimationFrame(frame);
    frame = requestAnimationFrame(drawn);
  }};
}
