// Calls of the API, and the upload straight into the bucket.

/** Problem is an RFC 9457 answer, or a connection that failed (code "offline"). */
export class Problem extends Error {
  constructor(status, body) {
    super(body.code || String(status));
    this.status = status;
    this.code = body.code || '';
    this.fields = body.fields || [];
  }
}

async function call(method, path, { body, secret, headers = {} } = {}) {
  const init = { method, headers: { Accept: 'application/json', ...headers }, cache: 'no-store', credentials: 'omit' };
  if (secret) init.headers.Authorization = `Bearer ${secret}`;
  if (body !== undefined) {
    init.headers['Content-Type'] = 'application/json';
    init.body = JSON.stringify(body);
  }
  let answer;
  try {
    answer = await fetch(path, init);
  } catch {
    throw new Problem(0, { code: 'offline' });
  }
  if (!answer.ok) throw new Problem(answer.status, await answer.json().catch(() => ({})));
  const type = answer.headers.get('Content-Type') || '';
  return type.includes('json') ? answer.json() : answer.text();
}

export const terms = () => call('GET', 'terms');

export function create(facts, consent, key) {
  return call('POST', 'applications', { body: consent ? { facts, consent } : { facts }, headers: { 'Idempotency-Key': key } });
}

/** Case is one case with its secret. */
export class Case {
  constructor(id, secret) {
    this.id = id;
    this.secret = secret;
  }

  #call(method, part, body) {
    return call(method, `applications/${encodeURIComponent(this.id)}${part}`, { secret: this.secret, body });
  }

  /** status asks how the case stands, after photo n was sent if that is given. */
  status(n) { return this.#call('GET', n ? `?photo=${n}` : ''); }
  photo(type, size) { return this.#call('POST', '/photos', { type, size }); }
  age(stated) { return this.#call('POST', '/age', stated); }
  facts(facts, consent) { return this.#call('POST', '/facts', consent ? { facts, consent } : { facts }); }
  person() { return this.#call('POST', '/person', {}); }
  complain(text) { return this.#call('POST', '/complaints', { text }); }
  letter(lang) { return this.#call('GET', `/letter?lang=${lang}`); }
  remove() { return this.#call('DELETE', ''); }
}

/**
 * upload sends the picture by its presigned form and tells the share that is
 * sent. fetch cannot tell that, so it is an XMLHttpRequest.
 */
export function upload(form, picture, progress) {
  const data = new FormData();
  for (const [name, value] of Object.entries(form.fields)) data.append(name, value);
  data.append('file', picture, 'photo'); // S3 wants the file last; no name of the customer's
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open('POST', form.url);
    request.upload.addEventListener('progress', (e) => { if (e.lengthComputable) progress(e.loaded / e.total); });
    request.addEventListener('load', () => {
      if (request.status >= 200 && request.status < 300) resolve();
      else reject(new Problem(request.status, { code: request.status === 403 ? 'upload_expired' : 'upload_refused' }));
    });
    request.addEventListener('error', () => reject(new Problem(0, { code: 'offline' })));
    request.send(data);
  });
}
