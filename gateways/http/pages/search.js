// Search: what is shared here, and what other nodes list; each of them was asked itself.
import * as api from './api.js';
import {bytes, contentPage, copyButton, count, h} from './dom.js';

const where = found => found.local ? (found.holders > 1 ? `here and on ${count(found.holders - 1, 'other node')}` : 'here') : `on ${count(found.holders, 'node')}`;

export default {title: 'Search', async show([words = ''], context) {
  document.getElementById('find-words').value = words;
  const {results, more, answered, indexed} = await api.get(`/api/search?q=${encodeURIComponent(words)}`);
  const list = h('ul', {class: 'shares'}, results.map(found => h('li', {}, h('div', {class: 'what'},
    h('a', {class: 'name', href: contentPage(found.link)}, found.name), h('span', {class: 'dim'}, ` ${found.size === null ? '' : `${bytes(found.size)}, `}${where(found)}`)),
    h('div', {class: 'acts'}, copyButton(found.link, 'Copy link')))));
  context.endings.push(() => { document.getElementById('find-words').value = ''; });
  const silent = indexed > answered ? ` ${count(indexed - answered, 'node')} in the index did not answer.` : '';
  return h('section', {}, h('h1', {}, `“${words}”`), h('p', {class: 'dim'}, results.length
    ? `${count(results.length, 'name')}${more ? ', and more: add a word' : ''}.${silent}`
    : `Nothing of these words is shared here or listed by a node that answered.${silent} What its owner does not list is found by its link only.`), list);
}};
