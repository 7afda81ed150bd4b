// The frame around the pages: which page is shown, the search box, and the line that says how the node is.
import * as api from './api.js';
import {attribute, contentPage, count, h, linkOf, notice, rate, text} from './dom.js';
import content from './content.js';
import home from './home.js';
import invite from './invite.js';
import mine, {look} from './mine.js';
import names from './names.js';
import peers from './peers.js';
import search from './search.js';
import sessions from './sessions.js';
import settings from './settings.js';
import signin, {enter} from './signin.js';
import welcome from './welcome.js';

// Each page: show(parts, context) builds its element and begins its watches with context.watch(topic, pace, work); they end with it.
const PAGES = {'': home, content, invite, names, peers, search, sessions, settings, signin, welcome};
const FOR_OWNER = ['names', 'peers', 'sessions', 'invite', 'settings'];
const main = document.getElementById('main');
const words = document.getElementById('find-words');
let current = null;

class Context {
  constructor() {
    this.watches = [];
    this.endings = [];
  }

  watch(topic, pace, work) {
    const failed = error => this.trouble(error.message);
    const watch = new api.Watch(topic, pace, async signal => {
      await work(signal);
      this.trouble('');
    }, failed);
    this.watches.push(watch);
    return watch;
  }

  trouble(message) {
    if (!message) {
      if (this.banner) this.banner.remove();
      this.banner = null;
      return;
    }
    if (!this.banner) main.prepend((this.banner = h('p', {class: 'banner', role: 'alert'})));
    text(this.banner, message);
  }

  end() {
    for (const watch of this.watches) watch.stop();
    for (const ending of this.endings) ending();
  }
}

function decoded(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

/** Who looks. Signing in starts the page anew, so asking once is enough. */
let session = null;
async function mayLook() {
  if (session === null) {
    session = await api.session();
    for (const link of document.querySelectorAll('#tabs a')) {
      const page = link.hash.replace(/^#\/?/, '');
      link.hidden = session.privilege === 'nobody' || (session.privilege !== 'owner' && FOR_OWNER.includes(page));
    }
    document.getElementById('find').hidden = session.privilege === 'nobody';
    if (session.privilege !== 'nobody') begins();
  }
  return session.privilege !== 'nobody';
}

async function route(focus) {
  const parts = location.hash.replace(/^#\/?/, '').split('/').map(decoded);
  let page = PAGES[parts[0]] || null;
  if (current) current.end();
  const context = (current = new Context());
  let element;
  try {
    if (parts[0] === 'enter') page = enter;
    else if (!(await mayLook())) page = signin;
    else if (session.privilege !== 'owner' && (parts[0] === '' || FOR_OWNER.includes(parts[0]))) page = mine;
    else if (session.privilege !== 'owner' && parts[0] === 'content') page = look;
    element = page ? await page.show(parts.slice(1), context, session) : missing(parts[0]);
  } catch (error) {
    element = h('section', {}, h('h1', {}, 'That did not work'), h('p', {}, error.message));
  }
  if (current !== context) return; // another page was asked for meanwhile
  document.title = `${page ? page.title : 'Not here'} – Shoal`;
  main.replaceChildren(element);
  for (const link of document.querySelectorAll('#tabs a'))
    if (link.hash.replace(/^#\/?/, '') === parts[0]) link.setAttribute('aria-current', 'page');
    else link.removeAttribute('aria-current');
  if (focus) main.focus({preventScroll: true});
  scrollTo(0, 0);
}

const missing = name => h('section', {}, h('h1', {}, 'There is no such page'), h('p', {}, `“${name}” is not one of the pages here. `,
  h('a', {href: '#/'}, 'Back to the start')));

/** Where the words of the search box lead: a link to its content, an invite to where it is joined. '': there are none. */
function pageOf(asked) {
  const link = linkOf(asked);
  if (link) return contentPage(link.link);
  if (/^shoal:/i.test(asked.trim())) return contentPage(asked.trim()); // which says where it is wrong
  if (/^shoal-?(invite|join)/i.test(asked.trim())) {
    notice('That is an invite: paste it under “Join a network” here.');
    return '#/invite';
  }
  return asked.trim() && `#/search/${encodeURIComponent(asked.trim())}`;
}

document.getElementById('find').addEventListener('submit', event => {
  event.preventDefault();
  const page = pageOf(words.value);
  if (!page) return;
  location.hash = page;
  if (!page.startsWith('#/search/')) words.value = '';
});

// Keys: / to the search box; g and a letter to a page.
const GO = {c: '#/names', h: '#/', p: '#/peers', s: '#/sessions', i: '#/invite', e: '#/settings', w: '#/welcome'};
let going = 0;
document.addEventListener('keydown', event => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest('input, textarea, select, dialog, video, audio')) return;
  if (event.key === '/') {
    event.preventDefault();
    words.focus();
  } else if (event.key === 'g') {
    going = event.timeStamp;
  } else if (GO[event.key] && event.timeStamp - going < 1000) {
    location.hash = GO[event.key];
  }
});

// ---- The node's pulse ----

const REACH = {yes: 'reachable', no: 'not reachable from outside', alone: 'alone', unknown: 'finding out'};
const pulse = document.getElementById('pulse');
const dot = h('span', {class: 'dot'}), line = h('span', {}), rates = h('span', {class: 'rates'});
pulse.append(dot, line, rates);

function beat(status) {
  const {state, reason} = status.reachable;
  attribute(dot, 'class', `dot ${state}`);
  attribute(pulse, 'title', reason || '');
  text(rates, status.rates.down + status.rates.up > 0 ? ` · ↓ ${rate(status.rates.down)} ↑ ${rate(status.rates.up)}` : '');
  text(line, `${REACH[state] || state} · ${count(status.peers, 'peer')}`);
}

function begins() {
  if (session.privilege === 'owner') api.events();
  api.on('message', told => notice(`The owner of this node says: ${told.text}`));
  api.on('status', beat);
  new api.Watch('', 3000, async signal => beat(await api.get('/api/status', signal)), error => {
    attribute(dot, 'class', 'dot no');
    attribute(pulse, 'title', error.message);
    text(line, 'the node does not answer');
    text(rates, '');
  });
}

async function begin() {
  const asked = new URLSearchParams(location.search).get('q'); // of the form on an error page, or of somebody's bookmark
  if (asked !== null) history.replaceState(null, '', `/${pageOf(asked) || '#/'}`);
  if (!location.hash && !localStorage.getItem('shoal.welcomed') && (await mayLook().catch(() => false)) && session.privilege === 'owner') {
    const status = await api.get('/api/status').catch(() => null);
    if (status && status.shares === 0) location.replace('#/welcome');
    localStorage.setItem('shoal.welcomed', '1');
  }
  await route(false);
  addEventListener('hashchange', () => route(true));
}

begin();
