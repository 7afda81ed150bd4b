// One content: what it is, looking at it while it arrives, picking files of a tree, fetching, who has it, which chunks are here.
import * as api from './api.js';
import {ask, button, bytes, contentPath, copyButton, count, h, linkOf, notice, percent, rate, Rows, short, text} from './dom.js';
import {jobRow} from './jobs.js';
import {chunkMap} from './map.js';
import {viewer, viewable} from './view.js';

const query = link => `?link=${encodeURIComponent(link)}`;

function sources(link) {
  const given = new URLSearchParams(link.split('?')[1] || '').getAll('s');
  return given.length ? `?${given.map(s => `s=${encodeURIComponent(s)}`).join('&')}` : '';
}

// ---- Fetching ----

function fetchCard(link, picked, context) {
  const where = h('input', {id: 'where', type: 'text', spellcheck: 'false', value: localStorage.getItem('shoal.folder') || '', placeholder: 'downloads, in the node’s home'});
  const share = h('input', {id: 'keep', type: 'checkbox', checked: true});
  const progress = h('ul', {class: 'jobs'});
  const go = h('button', {class: 'primary'}, 'Fetch all of it');
  const rows = new Rows(progress, job => job.id, jobRow);
  const form = h('form', {class: 'card'}, h('h2', {}, 'Fetch'), h('label', {for: 'where'}, 'Into which folder of the node’s computer'), where,
    h('label', {class: 'check'}, share, 'Share it on when it is here'), h('div', {class: 'row'}, go), progress);
  const abort = new AbortController();
  context.endings.push(() => abort.abort());
  form.addEventListener('submit', async event => {
    event.preventDefault();
    const body = {link, select: [...picked.set], no_share: !share.checked}, folder = where.value.trim();
    if (folder) body.output = folder;
    localStorage.setItem('shoal.folder', folder);
    try {
      const {job} = await api.post('/api/get', body);
      await api.follow(job, state => rows.show([state]), abort.signal);
    } catch (error) {
      if (error.name !== 'AbortError') notice(error.message, true);
    }
  });
  picked.changed = () => text(go, picked.set.size ? `Fetch ${count(picked.set.size, 'picked entry', 'picked entries')}` : 'Fetch all of it');
  return form;
}

// ---- A tree ----

function crumbs(path, go) {
  const parts = path ? path.split('/') : [];
  const step = (label, to) => h('button', {type: 'button', class: 'plain', onclick: () => go(to)}, label);
  return [step('All', ''), parts.map((part, i) => [' / ', step(part, parts.slice(0, i + 1).join('/'))])];
}

function tree(link, id, picked, look, context) {
  const trail = h('nav', {class: 'crumbs', 'aria-label': 'Folder'}), state = h('p', {class: 'dim', role: 'status'}), list = h('ul', {class: 'shares entries'});
  const more = h('button', {type: 'button', hidden: true}, 'Show more');
  const abort = new AbortController();
  let turn = 0;
  context.endings.push(() => abort.abort());

  function pick(path, on) {
    if (on) picked.set.add(path);
    else picked.set.delete(path);
    picked.changed();
  }

  function entry(e, siblings) {
    const name = e.path.split('/').at(-1), path = e.path;
    const box = h('input', {type: 'checkbox', 'aria-label': `Pick ${name}`, checked: picked.set.has(path), onchange: () => pick(path, box.checked)});
    const open = e.kind === 'tree' ? h('button', {type: 'button', class: 'plain name', onclick: () => go(path)}, `${name}/`)
      : viewable(name) ? h('button', {type: 'button', class: 'plain name', onclick: () => look(path, siblings)}, name)
        : h('a', {class: 'name', href: contentPath(id, path) + sources(link), target: '_blank', rel: 'noopener'}, name);
    return h('li', {}, box, h('div', {class: 'what'}, open, h('span', {class: 'dim'}, e.kind === 'tree' ? '' : ` ${bytes(e.content_size)}`)));
  }

  async function go(path) {
    const mine = ++turn;
    trail.replaceChildren();
    trail.append(...crumbs(path, go).flat(3));
    list.replaceChildren();
    more.hidden = true;
    text(state, 'Asking for the list…');
    try {
      const {job} = await api.post('/api/ls', {link, path});
      await api.follow(job, () => {}, abort.signal);
      let from = 0;
      const siblings = [];
      const page = async () => {
        const got = await api.get(`/api/jobs/${job}?from=${from}&limit=200`, abort.signal);
        if (mine !== turn) return;
        const entries = got.entries.map(e => ({...e, path: path && !e.path.startsWith(`${path}/`) ? `${path}/${e.path}` : e.path}));
        siblings.push(...entries.filter(e => e.kind === 'file' && viewable(e.path)).map(e => e.path));
        list.append(...entries.map(e => entry(e, siblings)));
        from = got.next;
        more.hidden = got.next === null;
        text(state, `${count(got.count, 'entry', 'entries')}. Tick what you want, or fetch all of it.`);
      };
      more.onclick = page;
      await page();
    } catch (error) {
      if (error.name !== 'AbortError' && mine === turn) text(state, error.message);
    }
  }
  go('');
  return h('section', {class: 'card'}, h('h2', {}, 'Files'), trail, state, list, more);
}

// ---- The page ----

function peerTable() {
  const body = h('tbody', {});
  const rows = new Rows(body, p => p.node, () => {
    const cells = [0, 1, 2, 3].map(() => h('td', {}));
    return {element: h('tr', {}, cells), update(p) {
      text(cells[0], short(p.node));
      cells[0].title = p.node;
      text(cells[1], p.address || '–');
      text(cells[2], rate(p.rate_down));
      text(cells[3], rate(p.rate_up));
    }};
  });
  const table = h('table', {}, h('thead', {}, h('tr', {}, ['Node', 'Address', '↓ from it', '↑ to it'].map(t => h('th', {}, t)))), body);
  return {element: table, rows};
}

function actions(link, id, name, info, path) {
  return h('div', {class: 'row acts'}, copyButton(link, 'Copy link'),
    h('a', {class: 'button', href: path, target: '_blank', rel: 'noopener'}, info.kind === 'tree' ? 'Browse as pages' : 'Open'),
    info.kind === 'file' && h('a', {class: 'button', href: `${path}${path.includes('?') ? '&' : '?'}download=1`}, 'Save from the browser'),
    button('Pin', async () => {
      await api.post('/api/pins', {link});
      notice('Pinned: it is never removed to make room.');
    }, {title: 'Never remove it to make room'}),
    button('Who has it?', async () => {
      const job = await api.follow((await api.post('/api/find', {link})).job);
      notice(`${job.target ? `${short(job.target)} was asked and ` : ''}found ${count(job.providers, 'node')} that ${job.providers === 1 ? 'has' : 'have'} it.`);
    }),
    info.local && button('Stop sharing', async () => {
      if (!(await ask(`Stop sharing “${name}”? The file itself stays.`, 'Stop sharing'))) return;
      await api.remove('/api/shares', {what: id});
      notice('Not shared any more.');
    }));
}

function wrong(given) {
  return h('section', {}, h('h1', {}, 'That link is not right'), h('p', {}, `“${given.slice(0, 200)}” `,
    'is not a link: one begins with “shoal:”, then come 63 letters and digits. Copy it again, with its end.'), h('a', {class: 'button', href: '#/'}, 'Back'));
}

export default {title: 'Content', async show([given = ''], context) {
  const found = linkOf(given);
  if (!found) return wrong(given);
  const {link, id} = found;
  const info = await api.get(`/api/content${query(link)}`);
  const name = info.name || found.name || short(id), base = contentPath(id) + sources(link);
  const picked = {set: new Set(), changed() {}};
  const stage = h('div', {class: 'stage'});
  const look = (path, siblings) => {
    stage.replaceChildren(viewer(p => contentPath(id, p) + sources(link), path, siblings, () => stage.replaceChildren()));
    stage.scrollIntoView({block: 'nearest'});
  };
  if (info.kind === 'file' && viewable(name)) stage.append(viewer(() => base, name, [name], null));

  const facts = h('p', {class: 'dim'}), here = h('p', {class: 'dim'}), map = chunkMap(), peers = peerTable();
  const nobody = h('p', {class: 'dim'}, 'No node sends or takes it now.');
  context.watch('job', 1500, async signal => {
    const now = await api.get(`/api/content${query(link)}`, signal);
    text(facts, [now.kind === 'tree' ? 'A folder' : 'A file', now.size ? bytes(now.size) : now.kind === 'file' ? bytes(now.content_size) : '',
      now.local ? 'all of it is here' : 'not here yet'].filter(Boolean).join(', '));
    text(here, now.chunks ? `${now.chunks_have.toLocaleString('en')} of ${count(now.chunks, 'chunk')} here (${percent(now.chunks_have, now.chunks)} %)`
      : now.local ? 'All of it is here.' : 'Nothing of it is here yet.');
    map.show(now);
    peers.rows.show(now.peers || []);
    peers.element.hidden = !(now.peers || []).length;
    nobody.hidden = !peers.element.hidden;
  });
  const left = [info.kind === 'tree' && tree(link, id, picked, look, context),
    fetchCard(link, picked, context)].filter(Boolean);
  const right = h('section', {class: 'card'}, h('h2', {}, 'Chunks'), here, map.element, h('h2', {}, 'Peers'), nobody, h('div', {class: 'wide', tabindex: 0, role: 'region', 'aria-label': 'Peers'}, peers.element),
    h('details', {}, h('summary', {}, 'Its id and link'), h('p', {class: 'code'}, link), h('p', {class: 'dim'}, `root ${info.root}`)));
  return h('div', {}, h('h1', {class: 'title'}, name), facts, actions(link, id, name, info, base), stage,
    left.length ? h('div', {class: 'two'}, h('div', {}, left), right) : right);
}};
