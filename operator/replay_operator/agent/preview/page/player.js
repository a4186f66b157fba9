// Plays the playlist with hls.js and keeps hold of the capture time, whatever becomes of the places in the player.

import {nearest, partAt, piecesOf, placeOf, timeAt} from './timeline.js';

const KEPT_BEHIND_SECONDS = 60;
const CLOSE_MS = 10;
const JUMP_SECONDS = 1;

export class Player {
  #video;
  #hls;
  #details = null;
  #wanted = null;
  #aim = null;
  #last = null;
  #address;
  #changed;
  #failed;

  // `changed` is called when there are other pieces, `failed` with a sentence when nothing goes on.
  constructor(video, address, {changed, failed}) {
    this.#video = video;
    this.#address = address;
    this.#changed = changed;
    this.#failed = failed;
    video.addEventListener('seeking', () => this.#seeking());
    video.addEventListener('seeked', () => this.#seeked());
    video.addEventListener('timeupdate', () => video.seeking || this.#remember());
    this.#load(null);
  }

  // The capture time of the picture in ms since 1970, null when there is none.
  get shownAt() {
    return this.#wanted ?? timeAt(this.#pieces(), this.#video.currentTime);
  }

  show(at) {
    this.#aim = nearest(this.#pieces(), at);
    this.#seek();
  }

  #seek() {
    const place = placeOf(this.#pieces(), this.#aim);
    if (place !== null) this.#video.currentTime = place;
  }

  // hls.js guesses how far parts lie from each other, and may put the end of one over the begin of a later one that
  // was read before: browsers then throw that away up to its next key frame. So only one of them is kept.
  #seeking() {
    const [before, part] = [this.#last, partAt(this.#pieces(), this.#video.currentTime)];
    const jumped = before !== null && Math.abs(this.#video.currentTime - before.place) > JUMP_SECONDS;
    if (jumped && part !== before.part) this.#empty();
    this.#remember();
  }

  #empty() {
    this.#hls.currentLevel = this.#hls.loadLevel;
    // Chromium does not always end a seek that was begun before its buffer was emptied.
    this.#hls.once(Hls.Events.FRAG_BUFFERED, () => {
      if (this.#video.seeking) this.#video.currentTime += 0;
    });
  }

  #remember() {
    const place = this.#video.currentTime;
    this.#last = {place, part: partAt(this.#pieces(), place)};
  }

  // A place is a guess until hls.js has read the segment: then it is right, and sought once more.
  #seeked() {
    const [aim, shown] = [this.#aim, this.shownAt];
    if (aim === null) return;
    if (Math.abs(shown - aim) > CLOSE_MS) this.#seek();
    this.#aim = null;
  }

  // Another address of the same buffer.
  renew(address) {
    this.#address = address;
  }

  // Begin anew, at the live end or at a capture time.
  #load(at) {
    this.#hls?.destroy();
    this.#details = null;
    this.#last = null;
    this.#wanted = at;
    this.#hls = new Hls({
      backBufferLength: KEPT_BEHIND_SECONDS,
      xhrSetup: (request, url) => request.open('GET', this.#address.opened(url), true),
    });
    this.#hls.on(Hls.Events.LEVEL_UPDATED, (_, {details}) => this.#take(details));
    this.#hls.on(Hls.Events.ERROR, (_, error) => this.#judge(error));
    if (at !== null) {
      this.#video.autoplay = !this.#video.paused;
      this.#video.addEventListener('loadeddata', () => {
        this.#wanted = null;
        this.show(at);
      }, {once: true});
    }
    this.#hls.loadSource(this.#address.playlist);
    this.#hls.attachMedia(this.#video);
  }

  #judge(error) {
    // Numbers that name other segments than before.
    const mixedUp = error.details === Hls.ErrorDetails.LEVEL_PARSING_ERROR && this.#details !== null;
    if (mixedUp) this.#load(this.shownAt);
    else if (error.fatal) this.#failed(reasonOf(error));
  }

  #take(details) {
    // After a restart of the agent the numbers may jump ahead, and hls.js would go to the live end.
    const jumped = this.#details !== null && details.startSN > this.#details.endSN + 1;
    if (jumped) {
      this.#load(this.shownAt);
      return;
    }
    this.#details = details;
    this.#changed(this.#pieces());
  }

  // Looked at each time: hls.js corrects places when it has read a segment.
  #pieces() {
    return piecesOf(this.#details?.fragments ?? []);
  }
}

const reasonOf = (error) => {
  const status = error.response?.code;
  if (status === 403) return 'This address has expired or does not open this buffer: ask for a new one.';
  if (status === 404) return 'Nothing of this buffer is there: it has not recorded yet, or is gone.';
  return `The player gave up: ${error.details}.`;
};
