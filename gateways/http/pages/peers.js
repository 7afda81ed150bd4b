// Peers on the ring of positions, and the connections that move data.
import * as api from './api.js';
import {bytes, count, duration, h, rate, Rows, short, svg, text} from './dom.js';

const R = 130;
const RING_MAX = 300; // dots; more would only be a band

/** Angle of a position (hex): its first 32 bits as a share of the circle. */
export const angle = position => (parseInt(position.slice(0, 8), 16) / 2 ** 32) * 2 * Math.PI - Math.PI / 2;
const at = (position, radius) => [Math.cos(angle(position)) * radius, Math.sin(angle(position)) * radius];

function ring() {
  const lines = svg('g', {class: 'lines'}), dots = svg('g', {}), label = svg('title', {}, 'Nodes on the ring');
  const element = svg('svg', {viewBox: '-160 -160 320 320', class: 'ring', role: 'img'}, label, svg('circle', {r: R, class: 'circle'}), lines, dots);
  let me = null;
  const nodes = new Rows(dots, n => n.node, () => {
    const name = svg('title', {}), dot = svg('circle', {});
    dot.append(name);
    return {element: dot, update(n) {
      const [x, y] = at(n.position, R);
      for (const [k, v] of Object.entries({cx: x.toFixed(1), cy: y.toFixed(1), r: n.self ? 9 : n.session ? 6.5 : 4.5, class: n.self ? 'self' : n.session ? 'busy' : 'known'}))
        if (dot.getAttribute(k) !== String(v)) dot.setAttribute(k, v);
      text(name, n.self ? `this node: ${n.node}` : `${n.node}\n${n.address || ''}`);
    }};
  });
  const chords = new Rows(lines, n => n.node, () => {
    const line = svg('line', {});
    return {element: line, update(n) {
      const [x1, y1] = at(me.position, R), [x2, y2] = at(n.position, R);
      for (const [k, v] of Object.entries({x1, y1, x2, y2})) line.setAttribute(k, v.toFixed(1));
    }};
  });
  return {element, show(self, others) {
    me = self;
    const placed = others.filter(n => n.position).slice(0, RING_MAX);
    nodes.show([...placed, self]);
    chords.show(placed.filter(n => n.session));
    text(label, `This node and ${count(placed.length, 'other')} on the ring`);
  }};
}

function sessionTable() {
  const body = h('tbody', {}), heads = ['Node', 'Address', '↓', '↑', 'Round trip', 'Since', 'Software'];
  const rows = new Rows(body, s => s.node, () => {
    const cells = heads.map(() => h('td', {}));
    return {element: h('tr', {}, cells), update(s) {
      const rtt = s.rtt_us ? `${(s.rtt_us / 1000).toFixed(1)} ms` : '–';
      [short(s.node), `${s.address || '–'}${s.incoming ? ' (came in)' : ''}`, `${rate(s.rate_down)}, ${bytes(s.bytes_down)}`,
        `${rate(s.rate_up)}, ${bytes(s.bytes_up)}`, rtt, duration(s.since_s), s.agent || '–'].forEach((value, i) => text(cells[i], value));
      cells[0].title = s.node;
    }};
  });
  return {element: h('div', {class: 'wide', tabindex: 0, role: 'region', 'aria-label': 'Connections'}, h('table', {}, h('thead', {}, h('tr', {}, heads.map(t => h('th', {}, t)))), body)), rows};
}

export default {title: 'Peers', async show(parts, context) {
  const picture = ring(), table = sessionTable(), state = h('p', {}), known = h('p', {class: 'dim'}), reason = h('p', {class: 'dim'});
  const none = h('p', {class: 'dim', hidden: true}, 'None: a connection opens when data moves, and closes when it is idle.');
  context.watch('peers', 3000, async signal => {
    const [peers, status] = await Promise.all([api.get('/api/peers', signal), api.get('/api/status', signal)]);
    const open = new Set(peers.sessions.map(s => s.node)), nodes = new Map();
    for (const n of [...peers.sessions, ...peers.contacts]) if (n.node !== status.node) nodes.set(n.node, {...n, session: open.has(n.node)});
    picture.show({node: status.node, position: status.position, self: true}, [...nodes.values()].sort((a, b) => b.session - a.session));
    text(state, `${count(nodes.size, 'node')} known, ${count(open.size, 'connection')} open.`);
    text(known, status.dht.network_size ? `About ${count(status.dht.network_size, 'node')} in the network, as far as this one can tell.` : '');
    text(reason, `From outside: ${status.reachable.reason}`);
    table.rows.show(peers.sessions.slice(0, 200));
    table.element.hidden = !peers.sessions.length;
    none.hidden = peers.sessions.length > 0;
  });
  return h('div', {}, h('h1', {}, 'Peers'), h('div', {class: 'two'}, h('div', {class: 'card'}, picture.element,
    h('p', {class: 'legend'}, h('span', {class: 'key self'}), 'this node ', h('span', {class: 'key busy'}), 'connected ', h('span', {class: 'key known'}), 'known')),
  h('div', {class: 'card'}, state, known, reason, h('p', {class: 'dim'}, 'Each node has a place on a ring, made from its key. Records of who has what are kept by the nodes next to their place.'))),
  h('section', {}, h('h2', {}, 'Connections'), none, table.element));
}};
