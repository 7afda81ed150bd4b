// What somebody sees who has an account here but does not own the node: their folder, looking at a link's content, their password, signing out.
import * as api from './api.js';
import {button, bytes, contentPage, contentPath, duration, h, linkOf, notice, program, Rows, text} from './dom.js';
import {uploadCard} from './upload.js';
import {viewable, viewer} from './view.js';

function lookForm() {
  const input = h('input', {id: 'link', type: 'text', required: true, placeholder: 'shoal:…', autocomplete: 'off', spellcheck: 'false', autocapitalize: 'off'});
  const hint = h('p', {class: 'dim'}, 'You see what it is before anything is fetched.');
  const form = h('form', {class: 'card'}, h('h2', {}, 'Look at something'), h('label', {for: 'link'}, 'Paste a link'),
    h('div', {class: 'row'}, input, h('button', {class: 'primary'}, 'Look')), hint);
  form.addEventListener('submit', event => {
    event.preventDefault();
    const link = linkOf(input.value);
    if (link) location.hash = contentPage(link.link);
    else text(hint, 'That is not a link: one begins with “shoal:” and 63 letters and digits.');
  });
  return form;
}

/** One content: looked at and taken through this node; fetching into the node's own folders is its owner's. */
export const look = {title: 'Content', async show([given = '']) {
  const link = linkOf(given);
  if (!link) return h('section', {}, h('h1', {}, 'That link is not right'), h('p', {}, 'It begins with “shoal:” and 63 letters and digits. A character may be missing at its end.'));
  const info = await api.get(`/api/content?link=${encodeURIComponent(link.link)}`);
  const sources = new URLSearchParams(link.link.split('?')[1] || '').getAll('s').map(s => `s=${encodeURIComponent(s)}`);
  const name = info.name || link.name || 'without a name', file = info.kind === 'file';
  const address = more => `${contentPath(info.id)}${file ? '' : '/'}${[...sources, ...more].length ? `?${[...sources, ...more].join('&')}` : ''}`;
  return h('div', {}, h('h1', {}, name), h('p', {class: 'dim'}, file ? bytes(info.size) : 'a folder', info.local ? ', here' : ', on other computers'),
    h('p', {class: 'row'}, h('a', {class: 'button primary', href: address([]), target: '_blank', rel: 'noopener'}, 'Open it'), ' ', file && h('a', {class: 'button', href: address(['download=1'])}, 'Download')),
    file && viewable(name) && viewer(() => address([]), name, [name], null));
}};

function password(session) {
  const old = h('input', {id: 'old', type: 'password', autocomplete: 'current-password', required: true});
  const fresh = h('input', {id: 'fresh', type: 'password', autocomplete: 'new-password', required: true, minlength: 8});
  const form = h('form', {class: 'card'}, h('h2', {}, 'Password'), h('label', {for: 'old'}, 'The one you have'), old,
    h('label', {for: 'fresh'}, 'A new one, at least 8 characters'), fresh, h('button', {}, 'Change it'));
  form.addEventListener('submit', async event => {
    event.preventDefault();
    try {
      await api.post('/api/accounts/password', {name: session.user, old: old.value, password: fresh.value});
      form.reset();
      notice('Changed. Other browsers must sign in again.');
    } catch (error) {
      notice(error.message, true);
    }
  });
  return form;
}

function signins(context) {
  const list = h('ul', {class: 'shares'});
  const ago = s => duration(Math.max(0, Date.now() / 1000 - s));
  const rows = new Rows(list, s => s.id, first => {
    const label = h('span', {});
    return {element: h('li', {}, h('div', {class: 'what'}, label), button(first.current ? 'Sign out' : 'End it', async () => {
      if (first.current) {
        await api.signOut();
        location.reload();
      } else {
        await api.remove('/api/signins', {id: first.id});
      }
    }, {class: 'plain'})), update: s => text(label, `${s.token ? 'token ' : ''}${program(s.label)}, from ${s.from || '–'}, ${s.current ? 'this browser' : `last used ${ago(s.last)} ago`}`)};
  });
  context.watch('', 15000, async signal => rows.show((await api.get('/api/signins', signal)).signins.slice(0, 100)));
  return h('section', {class: 'card'}, h('h2', {}, 'Signed in'), list);
}

export default {title: 'Home', async show(parts, context, session) {
  return h('div', {}, h('h1', {}, session.user), uploadCard(context), h('div', {class: 'two'}, h('div', {}, h('section', {class: 'card'}, h('h2', {}, 'Your folder'),
    h('p', {}, 'Everything in it is shared by its link.'), h('p', {}, h('a', {class: 'button primary', href: `/home/${encodeURIComponent(session.user)}/`}, 'Open it'), ' ',
      h('a', {class: 'button', href: '/shared/'}, 'What this node shares'))), lookForm()), h('div', {}, signins(context), password(session))));
}};
