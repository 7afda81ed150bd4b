// Files of this browser, put into the own home and shared: by a button, or dropped onto the card, folders too.
import * as api from './api.js';
import {ask, attribute, button, bytes, contentPage, copyButton, count, h, notice, percent, text} from './dom.js';

const AT_ONCE = 2; // files on their way at the same time

/** All files below what was dropped or picked: {path, file}. */
async function filesOf(transfer) {
  const entries = [...transfer.items].map(item => item.webkitGetAsEntry && item.webkitGetAsEntry()).filter(Boolean);
  if (!entries.length) return [...transfer.files].map(file => ({path: file.name, file}));
  const found = [];
  const walk = async (entry, before) => {
    if (entry.isFile) {
      found.push({path: before + entry.name, file: await new Promise((good, bad) => entry.file(good, bad))});
      return;
    }
    const reader = entry.createReader();
    for (;;) {
      const some = await new Promise((good, bad) => reader.readEntries(good, bad));
      if (!some.length) return;
      for (const inner of some) await walk(inner, `${before}${entry.name}/`);
    }
  };
  for (const entry of entries) await walk(entry, '');
  return found;
}

function uploadRow(name, file) {
  const bar = h('progress', {max: 100, value: 0, 'aria-label': `Upload of ${name}`}), facts = h('span', {class: 'dim'}, ` ${bytes(file.size)}`);
  const what = h('span', {class: 'name'}, name), acts = h('div', {class: 'acts'}), abort = new AbortController();
  acts.append(button('Cancel', async () => abort.abort(), {class: 'plain', 'aria-label': `Cancel the upload of ${name}`}));
  const element = h('li', {class: 'job'}, h('div', {class: 'row'}, h('div', {class: 'what'}, what, facts), acts), bar);
  return {element, abort, part(sent, size) {
    bar.value = percent(sent, size || 1);
    text(facts, ` ${bytes(sent)} of ${bytes(size)}${sent === size ? ', being stored' : ''}`);
  }, done({id}) {
    const link = `shoal:${id}?n=${encodeURIComponent(name.split('/').at(-1))}`;
    bar.remove();
    text(facts, ` ${bytes(file.size)}, shared`);
    what.replaceWith(h('a', {class: 'name', href: contentPage(link)}, name));
    acts.replaceChildren(copyButton(link, 'Copy link'));
  }, failed(message) {
    bar.remove();
    attribute(element, 'class', 'job failed');
    element.append(h('p', {}, message));
    acts.replaceChildren();
  }};
}

async function one(home, {path, file}, row) {
  const to = `${home}/${path}`, options = {part: row.part, signal: row.abort.signal};
  try {
    row.done(await api.upload(to, file, options));
  } catch (error) {
    if (error.status !== 412) {
      row.failed(error.message);
    } else if (await ask(`“${path}” is there already. Replace it?`, 'Replace')) {
      await api.upload(to, file, {...options, replace: true}).then(row.done, again => row.failed(again.message));
    } else {
      row.failed('It is there already, and was left as it is.');
    }
  }
}

export function uploadCard(context) {
  const input = h('input', {type: 'file', id: 'files', multiple: true}), list = h('ul', {class: 'jobs'});
  const hint = h('p', {class: 'dim'}, 'Or drop files and folders here. They are stored by this node and shared; whoever has a link can fetch.');
  const card = h('section', {class: 'card drop'}, h('h2', {}, 'Upload'), h('label', {for: 'files'}, 'Files of this device'), input, hint, list);
  const waiting = [];
  let working = 0;
  context.endings.push(() => waiting.splice(0));

  async function work(home) {
    working++;
    for (let next = waiting.shift(); next; next = waiting.shift()) await one(home, next, next.row);
    working--;
  }

  async function take(files) {
    if (!files.length) return;
    const {user} = await api.get('/api/session');
    for (const item of files) {
      item.row = uploadRow(item.path, item.file);
      list.prepend(item.row.element);
      waiting.push(item);
    }
    if (files.length > 1) notice(`${count(files.length, 'file')} to upload.`);
    while (working < AT_ONCE && waiting.length) work(`/home/${user || 'owner'}`);
  }

  const guarded = act => act.catch(error => notice(error.message, true));
  input.addEventListener('change', () => {
    guarded(take([...input.files].map(file => ({path: file.name, file}))));
    input.value = '';
  });
  const over = on => event => {
    if (!event.dataTransfer || ![...event.dataTransfer.types].includes('Files')) return;
    event.preventDefault();
    card.classList.toggle('over', on);
  };
  card.addEventListener('dragover', over(true));
  card.addEventListener('dragleave', over(false));
  card.addEventListener('drop', event => {
    over(false)(event);
    if (event.dataTransfer) guarded(filesOf(event.dataTransfer).then(take));
  });
  return card;
}
