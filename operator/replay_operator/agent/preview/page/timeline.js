// Where the recorded instants of a playlist lie: on the clock, in the player, and on a bar. No DOM.
// A piece is one segment: {at, seconds, start, part}: capture time in ms since 1970, length, place in the player in s,
// and the number of the part without a break that it belongs to.

const JOINED_MS = 250; // More than the jitter of a loaded worker, less than a hole that anybody would see.

export const piecesOf = (fragments) => fragments
  .filter((fragment) => fragment.programDateTime !== null)
  .map(({programDateTime, duration, start, cc}) => ({at: programDateTime, seconds: duration, start, part: cc}));

const endOf = (piece) => piece.at + piece.seconds * 1000;

// Stretches without a hole, as [from, to] in ms since 1970. Runs may overlap where one follows another.
export const stretchesOf = (pieces) => {
  const found = [];
  for (const piece of [...pieces].sort((a, b) => a.at - b.at)) {
    const last = found.at(-1);
    if (last && piece.at <= last[1] + JOINED_MS) last[1] = Math.max(last[1], endOf(piece));
    else found.push([piece.at, endOf(piece)]);
  }
  return found;
};

const pieceAt = (pieces, place) => pieces.findLast(({start}) => start <= place) ?? pieces[0];

// The part that a place in the player is in.
export const partAt = (pieces, place) => pieceAt(pieces, place)?.part ?? null;

// The capture time of a place in the player, null when there is none.
export const timeAt = (pieces, place) => {
  const piece = pieceAt(pieces, place);
  if (!piece) return null;
  return piece.at + Math.min(Math.max(place - piece.start, 0), piece.seconds) * 1000;
};

const INSIDE_MS = 250; // The sound of a segment begins up to 60 ms before its picture, and places are guesses at first.

const pieceOf = (pieces, at) => pieces.find((piece) => piece.at <= at && at < endOf(piece));

// The capture time of a picture near this one: in a hole the first behind it, behind the newest one of the last segment.
export const nearest = (pieces, at) => {
  if (pieceOf(pieces, at)) return at;
  const later = pieces.filter((piece) => piece.at > at).sort((a, b) => a.at - b.at)[0] ?? pieces.at(-1);
  return later ? later.at + INSIDE_MS : null;
};

// The place of a capture time, null when nothing was recorded then.
export const placeOf = (pieces, at) => {
  const piece = pieceOf(pieces, at);
  return piece ? piece.start + (at - piece.at) / 1000 : null;
};
