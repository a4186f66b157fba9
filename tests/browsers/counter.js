// The number in the picture of a video, as tests/media/segment_maker.py draws it: 32 blocks in the top sixteenth, most
// significant bit first.
(() => {
  const canvas = document.createElement('canvas');

  globalThis.numberIn = (video) => {
    canvas.width = video.videoWidth;
    canvas.height = video.videoHeight;
    const picture = canvas.getContext('2d', {willReadFrequently: true});
    picture.drawImage(video, 0, 0);
    const block = Math.floor(canvas.width / 32);
    const row = Math.floor(canvas.height / 32);
    let value = 0;
    for (let bit = 0; bit < 32; bit++) {
      const [red] = picture.getImageData(Math.floor((bit + 0.5) * block), row, 1, 1).data;
      value = value * 2 + (red > 126 ? 1 : 0);
    }
    return value;
  };
})()
