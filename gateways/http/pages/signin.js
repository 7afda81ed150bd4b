// Signing in: by a link that `shoal open` prints, or with name and password.
import * as api from './api.js';
import {h, text} from './dom.js';

/** #/enter/SECRET: the secret leaves the address bar at once. */
export const enter = {title: 'Signing in', async show(parts) {
  history.replaceState(null, '', '#/');
  try {
    await api.signIn({secret: parts[0] || ''});
    location.reload();
    return h('p', {}, 'Signing in …');
  } catch (error) {
    return h('section', {class: 'card narrow'}, h('h1', {}, 'This link does not sign in'), h('p', {}, error.message), h('p', {}, h('a', {href: '#/', onclick: () => location.reload()}, 'To the start')));
  }
}};

export default {title: 'Sign in', async show(parts, context, session = {}) {
  const name = h('input', {id: 'name', autocomplete: 'username', required: true, autocapitalize: 'off', spellcheck: 'false'});
  const password = h('input', {id: 'password', type: 'password', autocomplete: 'current-password', required: true});
  const told = h('p', {class: 'wrong', role: 'alert'});
  const form = h('form', {class: 'card narrow'}, h('h1', {}, 'Sign in'),
    session.local && h('p', {}, 'If this node is yours, run ', h('code', {}, 'shoal open'), ' and open the address it prints.'),
    h('label', {for: 'name'}, 'Name'), name, h('label', {for: 'password'}, 'Password'), password,
    h('button', {class: 'primary'}, 'Sign in'), told,
    h('p', {class: 'dim'}, session.accounts ? 'The owner of this node makes accounts, with shoal account add NAME or under Settings.'
      : 'There are no accounts yet. The owner of this node makes them, with shoal account add NAME or under Settings.'),
    session.local && h('p', {}, h('a', {href: '/shared/'}, 'What is shared here'), ' can be seen without.'));
  form.addEventListener('submit', async event => {
    event.preventDefault();
    try {
      await api.signIn({name: name.value, password: password.value});
      location.reload();
    } catch (error) {
      text(told, error.status === 403 ? 'The name or the password is wrong.' : error.message);
      password.value = '';
      password.focus();
    }
  });
  return form;
}};
