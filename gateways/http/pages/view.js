// Looking at pictures, playing video and audio while they arrive (the browser asks for ranges; a seek asks elsewhere), short texts.
import {h, notice} from './dom.js';

const KINDS = {
  picture: /\.(png|jpe?g|gif|webp|avif|bmp|ico|svg)$/i,
  video: /\.(mp4|m4v|webm|ogv|mov|mkv)$/i,
  audio: /\.(mp3|m4a|aac|ogg|oga|opus|flac|wav)$/i,
};
const kindOf = name => Object.keys(KINDS).find(kind => KINDS[kind].test(name)) || null;
export const viewable = name => kindOf(name) !== null;

function element(kind, url, name) {
  if (kind === 'picture') return h('img', {src: url, alt: name, class: 'view'});
  return h(kind, {src: url, controls: true, preload: 'metadata', class: 'view', 'aria-label': name, playsinline: true});
}

/** url(path) of what is looked at; siblings: what “before” and “next” go through; closed: null = no close button. */
export function viewer(url, path, siblings, closed) {
  const caption = h('figcaption', {}), place = h('div', {}), figure = h('figure', {class: 'viewer', tabindex: -1}, place, caption);
  function show(next) {
    const name = next.split('/').at(-1), kind = kindOf(name), media = element(kind, url(next), name);
    media.addEventListener('error', () => {
      if (figure.isConnected) notice(`“${name}” does not play or show here: either nobody has sent it in time, or this browser does not know its format. “Open” or “Fetch” still work.`, true);
    });
    for (const old of place.querySelectorAll('video, audio')) old.removeAttribute('src'); // ends its request
    place.replaceChildren(media);
    const at = siblings.indexOf(next);
    const step = (label, by) => siblings.length > 1 && siblings[at + by] !== undefined
      && h('button', {type: 'button', class: 'plain', onclick: () => show(siblings[at + by])}, label);
    caption.replaceChildren(...[step('← Before', -1), h('span', {}, name), step('Next →', 1),
      closed && h('button', {type: 'button', class: 'plain', onclick: closed}, 'Close')].filter(Boolean));
    figure.onkeydown = event => {
      if (event.target.matches('video, audio')) return;
      const by = event.key === 'ArrowRight' ? 1 : event.key === 'ArrowLeft' ? -1 : 0;
      if (by && siblings[at + by] !== undefined) show(siblings[at + by]);
      if (event.key === 'Escape' && closed) closed();
    };
  }
  show(path);
  if (closed) requestAnimationFrame(() => figure.focus());
  return figure;
}
