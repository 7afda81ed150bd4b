// Home: fetch, share, what is under way, what this node shares.
import * as api from './api.js';
import {ask, attribute, button, bytes, contentPage, copyButton, count, h, linkOf, notice, Rows, text} from './dom.js';
import {jobList} from './jobs.js';
import {uploadCard} from './upload.js';

const PAGE = 50; // shares on screen: one change touches one row, however many there are

function fetchForm() {
  const input = h('input', {id: 'link', type: 'text', required: true, placeholder: 'shoal:…', autocomplete: 'off', spellcheck: 'false',
    autocapitalize: 'off'});
  const hint = h('p', {class: 'dim', id: 'link-hint'}, 'You see what it is before anything is fetched.');
  const torrent = h('input', {id: 'torrent', type: 'file', accept: '.torrent,application/x-bittorrent'});
  const form = h('form', {class: 'card'}, h('h2', {}, 'Fetch'), h('label', {for: 'link'}, 'Paste a link, or a magnet link'),
    h('div', {class: 'row'}, input, h('button', {class: 'primary'}, 'Look')), hint,
    h('details', {}, h('summary', {}, 'Or take a torrent file'), h('label', {for: 'torrent'}, 'A .torrent of version 2, or hybrid'), torrent));
  const resolve = async body => {
    try {
      location.hash = contentPage((await api.post('/api/torrent', body)).link);
    } catch (error) {
      notice(error.message, true);
    }
  };
  torrent.addEventListener('change', async () => {
    const [file] = torrent.files;
    torrent.value = '';
    if (!file) return;
    const whole = new Uint8Array(await file.arrayBuffer()), parts = [];
    for (let at = 0; at < whole.length; at += 32768) parts.push(String.fromCharCode(...whole.subarray(at, at + 32768)));
    resolve({torrent: btoa(parts.join(''))});
  });
  form.addEventListener('submit', event => {
    event.preventDefault();
    const link = linkOf(input.value);
    if (input.value.trim().startsWith('magnet:?')) {
      resolve({magnet: input.value.trim()});
      return;
    }
    if (link) location.hash = contentPage(link.link);
    else text(hint, 'That is not a link: one begins with “shoal:” and 63 letters and digits. A character may be missing at its end.');
    attribute(hint, 'class', link ? 'dim' : 'wrong');
  });
  return form;
}

function shareForm() {
  const input = h('input', {id: 'path', type: 'text', required: true, placeholder: '/home/you/Pictures', autocomplete: 'off', spellcheck: 'false'});
  const form = h('form', {class: 'card'}, h('h2', {}, 'Share'), h('label', {for: 'path'}, 'A file or folder on the computer of this node'),
    h('div', {class: 'row'}, input, h('button', {class: 'primary'}, 'Share')),
    h('p', {class: 'dim'}, 'It stays where it is. Whoever has its link can fetch it; nobody can find it without.'));
  form.addEventListener('submit', async event => {
    event.preventDefault();
    try {
      if (!input.value.startsWith('/')) throw new Error('Give the whole path, from “/” on.');
      const {job} = await api.post('/api/shares', {paths: [input.value]});
      input.value = '';
      const done = await api.follow(job);
      if (done.problems_total) notice(`${count(done.problems_total, 'file')} could not be shared: ${done.problems[0].path}: ${done.problems[0].message}`, true);
      else notice('Shared.');
    } catch (error) {
      notice(error.message, true);
    }
  });
  return form;
}

const STATE = {ok: '', changed: 'changed since it was shared', missing: 'not there any more'};

function shareRow(share) {
  const name = h('a', {class: 'name'}), facts = h('span', {class: 'dim'}), trouble = h('span', {class: 'wrong'});
  let shown = share;
  const element = h('li', {}, h('div', {class: 'what'}, name, facts, trouble), h('div', {class: 'acts'}, copyButtonOf(() => shown.link),
    button('Stop', async () => {
      if (await ask(`Stop sharing “${shown.name}”? The file itself stays.`, 'Stop sharing')) await api.remove('/api/shares', {what: shown.path});
    }, {class: 'plain', 'aria-label': `Stop sharing ${share.name}`})));
  return {element, update(next) {
    shown = next;
    text(name, next.name || next.path);
    attribute(name, 'href', contentPage(next.link));
    attribute(name, 'title', next.path);
    text(facts, ` ${next.kind === 'file' ? '' : `${count(next.files, 'file')}, `}${bytes(next.size)}${next.fetched ? ', fetched' : ''} `);
    text(trouble, STATE[next.state] ?? next.state);
  }};
}

const copyButtonOf = link => button('Copy link', () => copyButton(link()).click(), {class: 'plain'});

function shareList(context) {
  const list = h('ul', {class: 'shares'}), heading = h('h2', {}, 'Shared'), state = h('p', {class: 'dim'});
  const rows = new Rows(list, share => share.path, shareRow);
  const starts = [0]; // first row of this page and of those before it
  let next = null;
  const turn = (label, act) => h('button', {type: 'button', class: 'plain', onclick: () => { act(); watch.told(); }}, label);
  const back = turn('← Before', () => starts.length > 1 && starts.pop());
  const on = turn('Next →', () => next !== null && starts.push(next));
  const watch = context.watch('share', 5000, async signal => {
    const page = await api.get(`/api/shares?from=${starts.at(-1)}&limit=${PAGE}`, signal);
    next = page.next ?? null;
    rows.show(page.shares);
    back.hidden = starts.length === 1;
    on.hidden = next === null;
    const first = (starts.length - 1) * PAGE + 1;
    text(state, page.shares.length ? (starts.length > 1 || next !== null ? `${first} to ${first + page.shares.length - 1}. The search box finds any of them.` : '')
      : 'Nothing yet. What you share or fetch is listed here with its link.');
  });
  return h('section', {}, heading, state, list, h('div', {class: 'row'}, back, on));
}

export default {title: 'Home', async show(parts, context) {
  const jobs = jobList();
  const heading = h('h2', {});
  const working = h('section', {hidden: true}, heading, jobs.element);
  context.watch('job', 2000, async signal => {
    const page = await api.get('/api/jobs?limit=500', signal);
    const {shown, running} = jobs.show(page.jobs);
    text(heading, running ? 'Under way' : 'Just done');
    working.hidden = shown === 0;
  });
  return h('div', {}, h('h1', {class: 'skip'}, 'Home'), h('div', {class: 'two'}, fetchForm(), shareForm()), uploadCard(context), working, shareList(context));
}};
