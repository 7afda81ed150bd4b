// Signing in from another computer.
import * as api from './api.js';
import {h, text} from './dom.js';

export default {title: 'Sign in', async show() {
  const name = h('input', {id: 'name', autocomplete: 'username', required: true, autocapitalize: 'off', spellcheck: 'false'});
  const password = h('input', {id: 'password', type: 'password', autocomplete: 'current-password', required: true});
  const told = h('p', {class: 'wrong', role: 'alert'});
  const form = h('form', {class: 'card narrow'}, h('h1', {}, 'Sign in'), h('label', {for: 'name'}, 'Name'), name, h('label', {for: 'password'}, 'Password'), password,
    h('button', {class: 'primary'}, 'Sign in'), told,
    h('p', {class: 'dim'}, 'The owner of this node makes accounts, with shoal account add NAME or under Settings.'));
  form.addEventListener('submit', async event => {
    event.preventDefault();
    try {
      await api.post('/api/signin', {name: name.value, password: password.value});
      location.reload();
    } catch (error) {
      text(told, error.status === 403 ? 'The name or the password is wrong.' : error.message);
      password.value = '';
      password.focus();
    }
  });
  return form;
}};
