// "inferno" by Stéfan van der Walt and Nathaniel Smith (CC0): evenly brighter, so that it is read rightly in grey and by
// people who see few colours. Every sixteenth of it; what lies between is mixed.

const STOPS = [
  [0, 0, 4], [11, 7, 36], [33, 12, 74], [61, 9, 101], [87, 16, 110],
  [113, 25, 110], [138, 34, 106], [163, 44, 97], [188, 55, 84], [208, 69, 69],
  [227, 89, 51], [241, 113, 31], [249, 140, 10], [252, 170, 15], [249, 201, 50],
  [242, 232, 101], [252, 255, 164],
];

/** Red, green and blue, of a strength from 0 to 1. */
export function colour(strength) {
  const at = Math.min(1, strength) * (STOPS.length - 1);
  const below = Math.min(STOPS.length - 2, Math.floor(at));
  return STOPS[below].map((value, index) => Math.round(value + (at - below) * (STOPS[below + 1][index] - value)));
}
