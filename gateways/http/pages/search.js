// Search among what is shared here.
import * as api from './api.js';
import {bytes, contentPage, copyButton, count, h} from './dom.js';

export default {title: 'Search', async show([words = ''], context) {
  document.getElementById('find-words').value = words;
  const {results} = await api.get(`/api/search?q=${encodeURIComponent(words)}`);
  const list = h('ul', {class: 'shares'}, results.slice(0, 500).map(found => h('li', {}, h('div', {class: 'what'},
    h('a', {class: 'name', href: contentPage(found.link)}, found.name), h('span', {class: 'dim'}, ` ${bytes(found.size)}`)),
    h('div', {class: 'acts'}, copyButton(found.link, 'Copy link')))));
  context.endings.push(() => { document.getElementById('find-words').value = ''; });
  return h('section', {}, h('h1', {}, `“${words}”`), h('p', {class: 'dim'}, results.length
    ? `${count(results.length, 'name')} of what this node shares${results.length > 500 ? '; the first 500 are shown' : ''}.`
    : 'Nothing that this node shares has such a name. What others share cannot be searched without its link: ask for the link and paste it above.'), list);
}};
