// Building and patching elements. Text from nodes and files only ever becomes a text node or a checked attribute: nothing here
// parses HTML.

/** h('a', {href, class, onclick}, 'text', child, [children]): strings become text nodes; null and false are left out. */
export function h(tag, props, ...children) {
  return fill(document.createElement(tag), props, children);
}

const SVG = 'http://www.w3.org/2000/svg';
export function svg(tag, props, ...children) {
  return fill(document.createElementNS(SVG, tag), props, children);
}

function fill(element, props, children) {
  for (const [name, value] of Object.entries(props || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
    else if (name === 'value' || name === 'checked') element[name] = value;
    else element.setAttribute(name, value === true ? '' : String(value));
  }
  add(element, children);
  return element;
}

function add(element, children) {
  for (const child of children) {
    if (Array.isArray(child)) add(element, child);
    else if (child !== null && child !== undefined && child !== false) element.append(child);
  }
}

/** Sets an element's text when it differs: what is the same costs no layout. */
export function text(element, value) {
  const string = String(value);
  if (element.textContent !== string) element.textContent = string;
}

export function attribute(element, name, value) {
  if (element.getAttribute(name) !== String(value)) element.setAttribute(name, String(value));
}

/** Rows by key: makes, updates, orders and removes the children of `parent`; make(item) gives {element, update(item)}. */
export class Rows {
  constructor(parent, key, make) {
    Object.assign(this, {parent, key, make, rows: new Map()});
  }

  show(items) {
    const seen = new Set();
    let at = this.parent.firstChild;
    for (const item of items) {
      const key = this.key(item);
      if (seen.has(key)) continue;
      seen.add(key);
      let row = this.rows.get(key);
      if (!row) this.rows.set(key, (row = this.make(item)));
      row.update(item);
      if (row.element === at) at = at.nextSibling;
      else this.parent.insertBefore(row.element, at);
    }
    for (const [key, row] of this.rows) {
      if (seen.has(key)) continue;
      row.element.remove();
      this.rows.delete(key);
    }
  }
}

/** A short message at the lower edge; problems stay until they are closed. */
export function notice(message, bad = false) {
  const box = h('div', {class: bad ? 'notice bad' : 'notice', role: bad ? 'alert' : 'status'}, h('span', {}, message),
    h('button', {type: 'button', class: 'plain', 'aria-label': 'Close this message', onclick: () => box.remove()}, '×'));
  const notices = document.getElementById('notices');
  while (notices.childElementCount > 3) notices.firstChild.remove();
  notices.append(box);
  if (!bad) setTimeout(() => box.remove(), 6000);
}

/** Runs what a button asks for: disabled meanwhile, and a failure is told in words. */
export function button(label, act, props = {}) {
  const element = h('button', {type: 'button', ...props, onclick: async () => {
    element.disabled = true;
    try {
      await act();
    } catch (error) {
      notice(error.message, true);
    }
    element.disabled = false;
  }}, label);
  return element;
}

export function copyButton(what, label = 'Copy') {
  return button(label, async () => {
    try {
      await navigator.clipboard.writeText(what);
    } catch {
      copyBySelection(what); // no clipboard interface: plain http on another address than loopback
    }
    notice('Copied.');
  });
}

function copyBySelection(what) {
  const area = h('textarea', {class: 'skip', readonly: true, value: what});
  document.body.append(area);
  area.select();
  const done = document.execCommand('copy');
  area.remove();
  if (!done) throw new Error('This browser did not let the page copy; select the text and copy it yourself.');
}

/** Asks in a dialog of the page's own; resolves to true or false. Escape means no. */
export function ask(question, yes) {
  return new Promise(resolve => {
    const dialog = h('dialog', {class: 'ask'}, h('p', {}, question), h('form', {method: 'dialog', class: 'row'},
      h('button', {value: 'no'}, 'Cancel'), h('button', {value: 'yes', class: 'primary'}, yes)));
    dialog.addEventListener('close', () => {
      resolve(dialog.returnValue === 'yes');
      dialog.remove();
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}

// ---- Numbers for people ----

export function bytes(n) {
  if (n === null || n === undefined) return '–';
  const units = ['bytes', 'KB', 'MB', 'GB', 'TB', 'PB'];
  let unit = 0;
  while (n >= 999.5 && unit < units.length - 1) {
    n /= 1000;
    unit++;
  }
  return unit === 0 ? `${n}\u00a0${n === 1 ? 'byte' : 'bytes'}` : `${n < 99.5 ? n.toFixed(1) : Math.round(n)}\u00a0${units[unit]}`;
}

export const rate = n => (n > 0 ? `${bytes(Math.round(n))}/s` : '0');
export const count = (n, one, many = `${one}s`) => `${Number(n).toLocaleString('en')} ${n === 1 ? one : many}`;

export function duration(seconds) {
  if (!Number.isFinite(seconds)) return '';
  const s = Math.max(0, Math.round(seconds));
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min ${s % 60} s`;
  if (s < 86400) return `${Math.floor(s / 3600)} h ${Math.floor(s / 60) % 60} min`;
  return `${Math.floor(s / 86400)} d ${Math.floor(s / 3600) % 24} h`;
}

export const percent = (done, total) => (total > 0 ? Math.min(100, Math.floor((100 * done) / total)) : 0);

/** A long id with its middle left out. */
export const short = id => (id && id.length > 18 ? `${id.slice(0, 8)}…${id.slice(-6)}` : id || '');

// ---- Links ----

export const LINK = /shoal:[a-z2-7]{63}[^\s"<>]*/;
export const ID = /^[a-z2-7]{63}$/;

/** {id, name, link} of a link or a bare id, or null. The node judges in the end; this only finds it in what was pasted. */
export function linkOf(pasted) {
  const trimmed = pasted.trim();
  const link = ID.test(trimmed) ? `shoal:${trimmed}` : (trimmed.match(LINK) || [null])[0];
  if (!link) return null;
  const [head, query = ''] = link.slice(6).split('?');
  return {id: head, name: new URLSearchParams(query).get('n') || '', link};
}

export const contentPage = (link, name) => `#/content/${encodeURIComponent(link)}${name ? `/${encodeURIComponent(name)}` : ''}`;

/** Path of the bytes of a file within a content. */
export const contentPath = (id, path = '') => `/content/${id}${path ? `/${path.split('/').map(encodeURIComponent).join('/')}` : ''}`;

// ---- Programs ----

/** A program's name as people know it; the whole of what it says of itself is in the title. */
const PROGRAMS = [[/Edg\/(\d+)/, 'Edge'], [/OPR\/(\d+)/, 'Opera'], [/Firefox\/(\d+)/, 'Firefox'], [/VLC\/([\d.]+)/, 'VLC'], [/(?:Headless)?Chrom(?:e|ium)\/(\d+)/, 'Chrome'],
  [/Version\/(\d+).*Safari/, 'Safari'], [/^Mozilla.*Headless/, 'Chrome'], [/^Mozilla/, 'a browser']];
export function program(client) {
  for (const [pattern, name] of PROGRAMS) {
    const found = client.match(pattern);
    if (found) return found[1] ? `${name} ${found[1]}` : name;
  }
  return client || '–';
}
