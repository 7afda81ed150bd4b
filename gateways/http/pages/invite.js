// Invite others as text and QR, or join the network of an invite.
import * as api from './api.js';
import {ask, button, copyButton, count, h, notice} from './dom.js';

function joinForm() {
  const input = h('textarea', {id: 'join', rows: 3, required: true, spellcheck: 'false', autocapitalize: 'off', placeholder: 'Paste the whole line'});
  const form = h('form', {class: 'card'}, h('h2', {}, 'Join a network'), h('label', {for: 'join'}, 'An invite that you were given'), input,
    h('p', {class: 'dim'}, 'One home belongs to one network; an invite to another needs a home of its own (shoal --home).'),
    h('button', {class: 'primary'}, 'Join'));
  form.addEventListener('submit', async event => {
    event.preventDefault();
    try {
      const joined = await api.post('/api/join', {invite: input.value.trim()});
      input.value = '';
      notice(joined.restarting ? 'Joined. The node starts again in the new network; this takes a moment.' : `Joined: ${count(joined.nodes, 'node')} of it known.`);
    } catch (error) {
      notice(error.message, true);
    }
  });
  return form;
}

function rotateCard() {
  return h('div', {class: 'card'}, h('h2', {}, 'An invite got into the wrong hands?'),
    h('p', {}, 'An invite cannot be unsent. The network can get a new secret, which the members that are there now are told.'),
    button('Change the secret', async () => {
      if (!(await ask('Change the secret of this network? Members that are away need a new invite.', 'Change it'))) return;
      const job = await api.follow((await api.post('/api/network/rotate')).job);
      notice(`Done: ${job.told} of ${count(job.tried, 'member')} told.`);
    }));
}

export default {title: 'Invite', async show() {
  const invite = await api.get('/api/invite');
  const picture = h('img', {class: 'qr', alt: 'The invite as a QR code', width: 300, height: 300});
  api.picture('/api/invite.svg').then(data => { picture.src = data; }, () => picture.dispatchEvent(new Event('error')));
  picture.addEventListener('error', () => picture.replaceWith(h('p', {class: 'dim'}, 'The QR code could not be drawn; `shoal invite` shows it in a terminal.')));
  return h('div', {}, h('h1', {}, 'Invite'), h('div', {class: 'two'}, h('div', {class: 'card'},
    h('p', {}, invite.private ? 'Whoever has this line is in your private network. Send it only to people you want there.'
      : 'This line leads to the open network, in which everybody may be.'),
    h('textarea', {class: 'code', readonly: true, rows: 8, 'aria-label': 'The invite', value: invite.invite, onfocus: event => event.target.select()}),
    h('div', {class: 'row'}, copyButton(invite.invite, 'Copy the invite')),
    h('p', {class: 'dim'}, invite.nodes ? `It names ${count(invite.nodes, 'node')} to begin with. ` : 'No node that can be reached is known yet; it leads only to the same local network. ',
      'On the other computer: shoal join, then the line.'), picture),
  h('div', {}, joinForm(), invite.private && rotateCard())));
}};
