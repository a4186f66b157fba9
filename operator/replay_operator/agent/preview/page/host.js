// Talks to the application that opened this page or shows it in a frame: it decides who may save.

const WAIT_MS = 30_000;

export class Host {
  #window = window.opener ?? (window.parent === window ? null : window.parent);
  #origins;
  #asked = new Map();
  #number = 0;

  // `origins` are those that the agent lets play; `*` is any.
  constructor(origins) {
    this.#origins = origins;
    if (origins.length === 0) this.#window = null;
    addEventListener('message', (event) => this.#take(event));
  }

  get known() {
    return this.#window !== null;
  }

  // Ask the application; gives its answer, or throws its reason.
  ask(type, content) {
    if (!this.known) return Promise.reject(Error('no application shows this page'));
    const id = ++this.#number;
    const answer = new Promise((done, failed) => {
      this.#asked.set(id, {done, failed});
      setTimeout(() => failed(Error('the application did not answer')), WAIT_MS);
    });
    // The browser hands it over only where the origin is that of the window.
    for (const origin of this.#origins) this.#window.postMessage({type: `replay:${type}`, id, ...content}, origin);
    return answer.finally(() => this.#asked.delete(id));
  }

  #take({source, origin, data}) {
    if (source !== this.#window || !(this.#origins.includes('*') || this.#origins.includes(origin))) return;
    const asked = data?.type === 'replay:answer' ? this.#asked.get(data.id) : undefined;
    if (!asked) return;
    if (typeof data.error === 'string') asked.failed(Error(data.error));
    else asked.done(data);
  }
}
