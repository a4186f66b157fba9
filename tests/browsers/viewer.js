// What the tests do in the agent's page: read the counter in the picture, and the time that the page tells.
(() => {
  const video = document.getElementById('video');

  const number = () => numberIn(video);

  const told = (id) => Date.parse(document.getElementById(id).dateTime) / 1000;
  const message = () => document.getElementById('message').textContent;
  const text = (id) => document.getElementById(id).textContent;

  const until = async (holds, seconds = 50) => {
    const end = Date.now() + seconds * 1000;
    while (!holds()) {
      if (Date.now() > end) throw Error(`${holds} did not come true; the page says "${message()}"`);
      await new Promise((done) => setTimeout(done, 100));
    }
  };

  // Where the middle of an element is, or an instant on its bar, in pixels of the window.
  const placeOf = (id) => {
    document.getElementById(id).scrollIntoView({block: 'nearest'});
    return document.getElementById(id).getBoundingClientRect();
  };
  const middle = (id) => {
    const {left, top, width, height} = placeOf(id);
    return [left + width / 2, top + height / 2];
  };
  const onBar = (seconds) => {
    const {left, top, width, height} = placeOf('timeline');
    return [left + width * (seconds - told('oldest')) / (told('newest') - told('oldest')), top + height / 2];
  };

  const pause = async () => {
    video.pause();
    await until(() => video.readyState >= 2 && !video.seeking);
  };

  let presented;
  const expectPicture = () => {
    presented = new Promise((done) => video.requestVideoFrameCallback(() => done()));
  };

  const seen = async () => {
    await Promise.race([presented, new Promise((_, failed) => setTimeout(
      () => failed(Error(`no picture at ${video.currentTime}; the page says "${message()}"`)), 50000))]);
    // The page may seek once more, and a picture is drawn a moment after that.
    let last;
    await until(() => {
      const now = video.seeking ? undefined : `${number()} ${video.currentTime}`;
      const settled = now !== undefined && now === last;
      last = now;
      return settled;
    });
    return {number: number(), at: told('shown'), place: video.currentTime};
  };

  // Play up to an instant; give what was told and seen with each picture.
  const playing = (rate, end) => new Promise((done) => {
    const found = [];
    const note = () => {
      video.dispatchEvent(new Event('timeupdate'));
      found.push([told('shown'), number()]);
      if (told('shown') < end) video.requestVideoFrameCallback(note);
      else done((video.pause(), found));
    };
    video.requestVideoFrameCallback(note);
    video.playbackRate = rate;
    video.play();
  });

  const stretches = () => [...document.getElementById('recorded').children].map(({style}) => [
    parseFloat(style.left), style.width]);

  Object.assign(window, {video, number, told, message, text, until, middle, onBar, pause, expectPicture, seen, playing, stretches});
})()
