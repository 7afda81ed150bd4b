// The node's JSON API (docs/api.md), and being told of changes.

export class ApiError extends Error {
  constructor(status, code, message) {
    super(message);
    Object.assign(this, {status, code});
  }
}

// What changes something needs a token in a header of its own, which no other site can send. A browser that signed in keeps it; the owner's own
// programs are told it by /api/session.
let token = localStorage.getItem('shoal.token');

async function raw(method, path, body, signal) {
  const headers = {Accept: 'application/json'};
  if (body !== undefined) headers['Content-Type'] = 'application/json';
  if (token) headers['X-Shoal-Token'] = token;
  let response;
  try {
    response = await fetch(path, {method, headers, signal, cache: 'no-store', credentials: 'same-origin',
      body: body === undefined ? undefined : JSON.stringify(body)});
  } catch (error) {
    if (error.name === 'AbortError') throw error;
    throw new ApiError(0, 'ERR_CLOSED', 'The node does not answer. Is it running? `shoal up` starts it.');
  }
  const answer = await response.json().catch(() => null);
  if (response.ok && answer !== null) return answer;
  const told = answer && answer.error;
  throw new ApiError(response.status, told ? told.code : 'ERR_IO', told ? told.message : `The node answered ${response.status}.`);
}

/** Who we are: {user, privilege, local, accounts}. A token that is not good any more (the node started anew, the sign-in ended) is dropped. */
export async function session() {
  let now = await raw('GET', '/api/session');
  if (now.privilege === 'nobody' && token) {
    token = null;
    localStorage.removeItem('shoal.token');
    now = await raw('GET', '/api/session');
  }
  if (now.token) token = now.token;
  return now;
}

/** {name, password} or {secret}. */
export async function signIn(how) {
  const now = await raw('POST', '/api/signin', how);
  token = now.token;
  localStorage.setItem('shoal.token', token);
  return now;
}

export async function signOut() {
  await change('POST', '/api/signout', {});
  token = null;
  localStorage.removeItem('shoal.token');
}

/** The bytes of an answer that is not JSON, as an address for img: a picture cannot send the token. */
export async function picture(path) {
  const response = await fetch(path, {headers: token ? {'X-Shoal-Token': token} : {}, cache: 'no-store'});
  if (!response.ok) throw new ApiError(response.status, 'ERR_IO', 'The picture cannot be shown.');
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result);
    reader.onerror = () => reject(new Error('The picture cannot be shown.'));
    response.blob().then(blob => reader.readAsDataURL(blob), reject);
  });
}

export const get = (path, signal) => raw('GET', path, undefined, signal);

async function change(method, path, body) {
  if (!token) await session();
  try {
    return await raw(method, path, body);
  } catch (error) {
    if (error.status !== 403 && error.status !== 401) throw error;
    const before = token;
    await session(); // the node was started anew
    if (token === before) throw error;
    return raw(method, path, body);
  }
}

export const post = (path, body = {}) => change('POST', path, body);
export const put = (path, body) => change('PUT', path, body);
export const remove = (path, body = {}) => change('DELETE', path, body);

/** Puts a file of this browser into the home of who is signed in: {id, name}. part(sent, size) as it goes; abort by signal. 412: it is there already
 * and replace was not said. */
export async function upload(path, file, {replace = false, part = () => {}, signal} = {}) {
  await session(); // the node may have been started anew
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest(); // fetch does not tell how much was sent
    const fail = (status, code, message) => reject(new ApiError(status, code, message));
    request.open('PUT', path.split('/').map(encodeURIComponent).join('/'));
    request.setRequestHeader('X-Shoal-Token', token);
    request.setRequestHeader('Accept', 'application/json');
    if (!replace) request.setRequestHeader('If-None-Match', '*');
    request.upload.onprogress = event => part(event.loaded, file.size);
    request.onabort = () => fail(0, 'ERR_CANCELLED', 'Given up.');
    request.onerror = () => fail(0, 'ERR_CLOSED', 'The connection broke: nothing of this file was kept.');
    request.onload = () => {
      if (request.status === 201 || request.status === 204) {
        resolve({id: (request.getResponseHeader('ETag') || '').replaceAll('"', ''), name: path.split('/').at(-1)});
        return;
      }
      let told = null;
      try {
        told = JSON.parse(request.responseText).error;
      } catch { /* not ours: the status says enough */ }
      fail(request.status, (told && told.code) || 'ERR_IO', (told && told.message) || `The node answered ${request.status}.`);
    };
    if (signal) signal.addEventListener('abort', () => request.abort());
    request.send(file);
  });
}

/** null where this node has no such endpoint. */
export async function maybe(path, signal) {
  try {
    return await get(path, signal);
  } catch (error) {
    if (error.status === 404 || error.status === 501) return null;
    throw error;
  }
}

/** Follows a job to its end; each(job) as it goes on. Throws the job's own message when it failed. */
export async function follow(id, each = () => {}, signal = undefined) {
  for (;;) {
    const job = await get(`/api/jobs/${id}?wait=700`, signal);
    each(job);
    if (job.state === 'done') return job;
    if (job.state === 'failed') throw new ApiError(0, job.error, job.message || 'It did not work.');
  }
}

/** All pages of a list, one after another, at most `most` items; each(items) per page, false stops. */
export async function pages(path, field, each, most = Infinity, signal = undefined) {
  let from = 0, seen = 0;
  for (;;) {
    const page = await get(`${path}${path.includes('?') ? '&' : '?'}from=${from}&limit=500`, signal);
    seen += page[field].length;
    if (each(page[field]) === false || page.next === null || page.next === undefined || seen >= most) return;
    from = page.next;
  }
}

// ---- Changes ----
// The node's events say what changed, and what shows it is asked for again, at most twice a second. Without the stream (it broke, or many
// tabs hold the browser's connections) each part is asked for at its own pace, and more slowly while nobody looks at the page.

const watchers = new Set();
const listeners = new Set();
let source = null, live = false;

/** each(data) for every event of a kind: status, job, share, peers, gateway, message, bye. The function that is returned ends it. */
export function on(kind, each) {
  const listener = {kind, each};
  listeners.add(listener);
  return () => listeners.delete(listener);
}

function heard(kind, text) {
  const data = JSON.parse(text);
  for (const w of watchers) if (w.topic === kind) w.told();
  for (const l of listeners) if (l.kind === kind) l.each(data);
}

/** The node's events, by fetch: an EventSource cannot send the token. While nobody looks at the page its connection is given back: a browser has
 *  six for each address. */
export async function events() {
  if (source || document.hidden) return;
  source = new AbortController();
  let pause = 2000;
  try {
    const response = await fetch('/api/events', {headers: {Accept: 'text/event-stream', ...(token ? {'X-Shoal-Token': token} : {})}, signal: source.signal, cache: 'no-store'});
    if (!response.ok) pause = 60000;
    else await readEvents(response.body.getReader());
  } catch {
    // it broke off: the parts are asked for at their own pace until it is back
  }
  source = null;
  live = false;
  setTimeout(events, pause);
}

async function readEvents(reader) {
  const decoder = new TextDecoder();
  let text = '';
  for (;;) {
    const {done, value} = await reader.read();
    if (done) return;
    text += decoder.decode(value, {stream: true});
    for (let end; (end = text.indexOf('\n\n')) >= 0; text = text.slice(end + 2)) {
      const fields = Object.fromEntries(text.slice(0, end).split('\n').filter(line => !line.startsWith(':')).map(line => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1).trimStart()]));
      if (fields.event) heard(fields.event, fields.data);
    }
    if (!live) {
      live = true;
      for (const w of watchers) w.told(); // what happened meanwhile
    }
  }
}

/** Runs work(signal) now and then: told by events or by pace. stop() ends it and what is under way. */
export class Watch {
  constructor(topic, pace, work, failed = () => {}) {
    Object.assign(this, {topic, pace, work, failed, timer: 0, running: false, again: false, ended: false});
    this.abort = new AbortController();
    watchers.add(this);
    this.told();
  }

  told() {
    if (this.ended) return;
    if (this.running) {
      this.again = true;
      return;
    }
    clearTimeout(this.timer);
    const wait = this.last === undefined ? 0 : Math.max(0, this.last + Math.min(this.pace, 500) - performance.now());
    this.timer = setTimeout(() => this.run(), wait);
  }

  async run() {
    this.running = true;
    this.again = false;
    let bad = false;
    try {
      await this.work(this.abort.signal);
    } catch (error) {
      bad = true;
      if (!this.ended && error.name !== 'AbortError') this.failed(error);
    }
    this.running = false;
    this.last = performance.now();
    if (this.ended) return;
    if (this.again && !bad) this.told();
    else this.timer = setTimeout(() => this.run(), (document.hidden || (live && !bad) ? 5 : bad ? 2 : 1) * this.pace);
  }

  stop() {
    this.ended = true;
    clearTimeout(this.timer);
    this.abort.abort();
    watchers.delete(this);
  }
}

document.addEventListener('visibilitychange', () => {
  if (document.hidden && source) source.abort();
  if (document.hidden) return;
  events();
  for (const w of watchers) w.told();
});
