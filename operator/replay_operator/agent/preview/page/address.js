// The signed address of a buffer's playlist. It lies behind the # of the page's: no log and no Referer has it.

const FORM = /^v1\/preview\/([0-9A-Za-z-]+)\/playlist\.m3u8\?expires=([0-9]+)&signature=([0-9A-Za-z_-]+)$/;

export class Address {
  #parts;

  constructor(text) {
    const found = FORM.exec(text);
    if (!found) throw Error('this page needs the address of a buffer behind the # of its own');
    this.#parts = found;
  }

  get buffer() {
    return this.#parts[1];
  }

  get expiresAt() {
    return Number(this.#parts[2]) * 1000;
  }

  get playlist() {
    return new URL(this.#parts[0], document.baseURI).href;
  }

  // Give an address of this buffer with what lets us in now: a playlist names segments under an older signature.
  opened(text) {
    const url = new URL(text);
    url.searchParams.set('expires', this.#parts[2]);
    url.searchParams.set('signature', this.#parts[3]);
    return url.href;
  }
}

// Take an address as the operator's API gives it: of the playlist or of this page.
export const addressFrom = (url) => new Address(url.slice(url.lastIndexOf('v1/preview/')));
