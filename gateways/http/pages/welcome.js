// The first page, and the help: what this is and what to do first.
import * as api from './api.js';
import {copyButton, h} from './dom.js';

const step = (title, ...text) => h('li', {class: 'card'}, h('h2', {}, title), text);

function network(status) {
  return status.reachable.state === 'alone' || status.peers === 0
    ? ['This node knows no other yet. ', h('a', {href: '#/invite'}, 'Send somebody your invite'), ', or paste the one you were given there. Nodes on the same local network find each other by themselves.']
    : [`This node knows ${status.peers} other${status.peers === 1 ? '' : 's'}. `, h('a', {href: '#/peers'}, 'See them'), ', or ', h('a', {href: '#/invite'}, 'invite somebody'), '.'];
}

export default {title: 'Welcome', async show() {
  const status = await api.get('/api/status');
  const keys = [['/', 'search, or paste a link'], ['g h', 'home'], ['g c', 'contacts'], ['g p', 'peers'], ['g s', 'sessions'], ['g i', 'invite'], ['g e', 'settings'], ['g w', 'this page'], ['← →', 'picture before and next']];
  return h('div', {}, h('h1', {}, 'Welcome to Shoal'), h('p', {class: 'lead'}, 'Shoal hands files from computer to computer, without a server between. '
    + 'What you share stays where it is; everybody who fetches it helps to pass it on.'),
  h('ol', {class: 'steps'}, step('1. Find the others', h('p', {}, network(status))),
    step('2. Share something', h('p', {}, h('a', {href: '#/'}, 'On the home page'), ', give a file or a folder of this computer. You get a link: a line that begins with “shoal:”. Send it to whoever should have it.'),
      h('p', {class: 'dim'}, 'The link is the key. Without it nobody can find what you share, not even the nodes that keep the record of it.')),
    step('3. Fetch something', h('p', {}, 'Paste a link into the box at the top. You see what it is before anything is fetched, can look at pictures and play video while they arrive, and pick files of a folder.'),
      h('p', {class: 'dim'}, 'Every piece is checked against the link: what arrives is what was shared, whoever it came from.'))),
  h('section', {class: 'card'}, h('h2', {}, 'By keyboard'), h('dl', {class: 'keys'}, keys.map(([key, does]) => [h('dt', {}, h('kbd', {}, key)), h('dd', {}, does)]))),
  h('section', {class: 'card'}, h('h2', {}, 'This node'), h('p', {class: 'code'}, status.node), copyButton(status.node, 'Copy its id'),
    h('p', {class: 'dim'}, 'All of this can be done with the command ', h('code', {}, 'shoal'), ' as well; ', h('code', {}, 'shoal --help'), ' begins there.')),
  h('p', {}, h('a', {class: 'button primary', href: '#/'}, 'To the home page')));
}};
