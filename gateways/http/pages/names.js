// Contacts: what nodes are called here, their sites, and this node's own name and site.
import * as api from './api.js';
import {button, copyButton, count, h, notice, Rows, short, text} from './dom.js';

const shown = n => n.petname || n.nickname || short(n.node);

function contactRow() {
  const name = h('a', {class: 'name'}), plain = h('span', {class: 'name'}), also = h('span', {class: 'dim'}), state = h('p', {class: 'dim'});
  const id = h('code', {class: 'dim'}), warning = h('strong', {role: 'note'});
  let now = null;
  const keep = button('Keep its site', async () => {
    await api.post('/api/site/keep', {name: now.node, keep: !now.site_kept});
    notice(now.site_kept ? 'No copy is kept any more.' : 'A copy is kept here from now on, and follows what the owner publishes.');
  });
  const remove = button('Remove', async () => {
    await api.remove('/api/names', {name: now.node});
    element.hidden = true;
  });
  const copy = h('span', {});
  const element = h('li', {}, h('div', {class: 'what'}, name, plain, also, state, id, h('p', {}, warning)), h('div', {class: 'acts'}, copy, keep, remove));
  return {element, update(n) {
    if (!now) copy.append(copyButton(n.node, 'Copy id'));
    now = n;
    element.hidden = false;
    text(name, shown(n));
    text(plain, shown(n));
    name.hidden = !n.url;
    plain.hidden = Boolean(n.url);
    if (n.url) name.href = n.url;
    text(also, n.petname ? (n.nickname && n.petname !== n.nickname ? ` calls itself ${n.nickname}` : '') : n.nickname ? ' is what it calls itself' : '');
    text(state, !n.known ? 'Not seen yet.' : n.expired ? 'Not heard of for two weeks or more.' : n.site ? (n.site_kept ? 'Its site is kept here.' : 'Has a site.') : 'Has no site.');
    text(id, short(n.node));
    id.title = n.node;
    text(warning, n.twin ? 'Careful: another contact is shown under the same name.' : 'Careful: letters of several scripts in its name.');
    warning.hidden = !n.mixed && !n.twin;
    keep.hidden = !n.site;
    text(keep, n.site_kept ? 'Drop the copy' : 'Keep its site');
  }};
}

function claimants(name, found, add) {
  if (found.is) {
    return [h('p', {}, `${shown(found.is)} is ${found.is.contact ? 'a contact of yours' : found.is.how === 'self' ? 'this node' : 'a node you may add'}.`),
      found.is.contact || found.is.how === 'self' ? null : button('Add', () => add('', found.is.node))];
  }
  if (!found.claimants.length) return [h('p', {}, 'No node that this one can find calls itself so.')];
  return [h('p', {}, `${count(found.claimants.length, 'node')} call${found.claimants.length === 1 ? 's itself' : ' themselves'} so. A nickname is only a claim: ask its owner for the id before you trust one.`),
    h('ul', {class: 'shares'}, found.claimants.map(c => h('li', {}, h('div', {class: 'what'}, h('span', {class: 'name'}, c.nickname), h('code', {class: 'dim claim'}, ` ${c.node}`)),
      h('div', {class: 'acts'}, c.contact ? h('span', {class: 'dim'}, 'a contact') : button(`Add as ${name}`, () => add(name, c.node))))))];
}

function finder(refresh) {
  const input = h('input', {type: 'text', 'aria-label': 'A name, or a node id', placeholder: 'A name, or a node id', autocomplete: 'off', spellcheck: 'false'});
  const answer = h('div', {role: 'status'});
  const add = async (name, node) => {
    const told = await api.post('/api/names', name ? {name, node} : {node});
    notice(told.warning || 'Added.', Boolean(told.warning));
    answer.replaceChildren();
    input.value = '';
    refresh();
  };
  const form = h('form', {class: 'row', onsubmit: async event => {
    event.preventDefault();
    const name = input.value.trim();
    if (!name) return;
    answer.replaceChildren(h('p', {class: 'dim'}, 'Looking …'));
    try {
      answer.replaceChildren(...claimants(name, await api.get(`/api/name?q=${encodeURIComponent(name)}`), add).filter(Boolean));
    } catch (error) {
      answer.replaceChildren(h('p', {class: 'bad'}, error.message));
    }
  }}, input, h('button', {type: 'submit'}, 'Look'));
  return h('div', {class: 'card'}, h('h2', {}, 'Who is …?'), form, answer);
}

function own(refresh) {
  const state = h('p', {}), site = h('p', {}), link = h('a', {}, 'Open it'), id = h('span', {});
  const input = h('input', {type: 'text', 'aria-label': 'What this node calls itself', placeholder: 'A nickname', maxlength: 40, autocomplete: 'off', spellcheck: 'false'});
  const path = h('input', {type: 'text', 'aria-label': 'Folder of the site', placeholder: '/home/me/site', autocomplete: 'off', spellcheck: 'false'});
  const say = async work => {
    try {
      await work();
      refresh();
    } catch (error) {
      notice(error.message, true);
    }
  };
  const nameForm = h('form', {class: 'row', onsubmit: event => {
    event.preventDefault();
    say(async () => {
      const told = await api.post('/api/nickname', {nickname: input.value.trim()});
      notice(told.warning || 'Told to the network.', Boolean(told.warning));
    });
  }}, input, h('button', {type: 'submit'}, 'Call it so'));
  const siteForm = h('form', {class: 'row', onsubmit: event => {
    event.preventDefault();
    say(async () => {
      await api.post('/api/site', {path: path.value.trim()});
      notice('Being published: those who look at it see it within seconds.');
      path.value = '';
    });
  }}, path, h('button', {type: 'submit'}, 'Publish'));
  const take = button('Take it back', () => say(() => api.remove('/api/site', {})), {class: 'plain'});
  let first = true;
  return {element: h('div', {class: 'card'}, h('h2', {}, 'This node'), state, nameForm, h('h3', {}, 'Its site'), site, siteForm, h('p', {class: 'acts'}, id)),
    update(self) {
      if (first) {
        input.value = self.nickname || '';
        id.append(copyButton(self.node, 'Copy this node’s id'));
        first = false;
      }
      text(state, self.nickname ? `It calls itself ${self.nickname}; ${count(self.stored, 'node')} hold that.` : 'It has no nickname: others know it by its id.');
      if (self.url) {
        link.href = self.url;
        site.replaceChildren(link, ` · ${count(self.watchers, 'node')} look at it now `, take);
      } else {
        site.replaceChildren('It has none. A folder with an index.html becomes one.');
      }
    }};
}

export default {title: 'Contacts', async show(parts, context) {
  const list = h('ul', {class: 'shares'}), none = h('p', {class: 'dim'}, 'No contacts yet. Look for a name here, or add a node by its id.');
  const rows = new Rows(list, n => n.node, contactRow);
  const load = async signal => {
    const {self, names} = await api.get('/api/names', signal);
    me.update(self);
    const same = new Map();
    for (const n of names) same.set(shown(n).toLowerCase(), (same.get(shown(n).toLowerCase()) || 0) + 1);
    rows.show(names.map(n => ({...n, twin: same.get(shown(n).toLowerCase()) > 1})));
    none.hidden = names.length > 0;
  };
  const refresh = () => load().catch(error => context.trouble(error.message));
  const me = own(refresh);
  context.watch('names', 3000, load);
  return h('div', {}, h('h1', {}, 'Contacts'), list, none, h('div', {class: 'two'}, finder(refresh), me.element));
}};
