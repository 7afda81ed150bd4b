// What is under way: rows of jobs with progress, for the home page and the page of one content.
import * as api from './api.js';
import {attribute, button, bytes, count, duration, h, percent, rate, Rows, text} from './dom.js';

const WORDS = {share: 'Sharing', get: 'Fetching', list: 'Reading the list of', find: 'Looking for', gc: 'Tidying up', rotate: 'Changing the secret'};

// What somebody looks at through the gateway is kept in the cache of the home, under its id.
const isLook = job => job.kind === 'get' && /\/cache\/[a-z2-7]{63}$/.test(job.target || '');

function sentence(job) {
  if (job.state === 'failed') return job.message || 'It did not work.';
  if (job.state === 'done')
    return isLook(job) ? 'Done: kept in the cache.' : job.kind === 'get' ? `Done: ${job.target}` : `Done in ${duration(job.elapsed_ms / 1000)}. ${job.message || ''}`;
  const parts = [];
  if (job.bytes_total > 0) parts.push(`${bytes(job.bytes_done)} of ${bytes(job.bytes_total)}`);
  else if (job.bytes_done > 0) parts.push(bytes(job.bytes_done));
  if (job.files_total > 1) parts.push(`${job.files_done} of ${count(job.files_total, 'file')}`);
  if (job.kind === 'get') parts.push(rate(job.rate), count(job.peers, 'peer'));
  if (job.rate > 0 && job.bytes_total > job.bytes_done) parts.push(`${duration((job.bytes_total - job.bytes_done) / job.rate)} left`);
  if (job.message) parts.push(job.message);
  return parts.join(' · ');
}

/** A row for Rows: {element, update(job)}. */
export function jobRow() {
  const title = h('strong', {}), state = h('p', {class: 'dim'}), bar = h('progress', {max: 100});
  const problems = h('details', {class: 'dim'}, h('summary', {}), h('ul', {}));
  let id = 0;
  const cancel = button('Cancel', () => api.remove(`/api/jobs/${id}`));
  const element = h('li', {class: 'job'}, h('div', {class: 'row'}, title, cancel), bar, state, problems);
  problems.addEventListener('toggle', () => problems.open && showProblems(id, problems.lastChild));
  return {element, update(job) {
    id = job.id;
    text(title, isLook(job) ? `Passing on to a reader: ${job.name}` : `${WORDS[job.kind] || job.kind} ${job.name || ''}`);
    text(state, sentence(job));
    attribute(element, 'class', `job ${job.state}`);
    const running = job.state === 'running';
    cancel.hidden = !running || !['get', 'share', 'list'].includes(job.kind);
    bar.hidden = !running;
    if (job.bytes_total > 0) bar.value = percent(job.bytes_done, job.bytes_total);
    else bar.removeAttribute('value');
    attribute(bar, 'aria-label', `${title.textContent}: progress`);
    problems.hidden = !job.problems_total;
    if (job.problems_total) text(problems.firstChild, `${count(job.problems_total, 'file')} left out`);
  }};
}

async function showProblems(id, list) {
  const job = await api.get(`/api/jobs/${id}`);
  list.replaceChildren(...job.problems.map(p => h('li', {}, `${p.path}: ${p.message}`)));
}

/** The list of jobs that people started; what only served a page (lists, look-ups) is left out. */
export function jobList() {
  const list = h('ul', {class: 'jobs'});
  const rows = new Rows(list, job => job.id, jobRow);
  return {element: list, show(jobs, started = true) {
    const shown = jobs.filter(job => !started || job.kind === 'get' || job.kind === 'share' || job.kind === 'rotate');
    shown.sort((a, b) => (a.state === 'running' ? 0 : 1) - (b.state === 'running' ? 0 : 1) || b.id - a.id);
    rows.show(shown.slice(0, 20));
    return {shown: shown.length, running: shown.filter(job => job.state === 'running').length};
  }};
}
