/** Homographies, and what CSS makes of them. */

/**
 * The CSS transform that lays one shown picture onto another.
 *
 * Pixel centres are at whole numbers, as everywhere in bovw, and CSS counts from the pixels' edges.
 * @param {number[][]} homography pixels of the one original to those of the other
 * @param {number} from CSS pixels per pixel of the one, as it is laid out
 * @param {number} to CSS pixels per pixel of the other
 * @returns {string} matrix3d(...), for `transform-origin: 0 0`
 */
export function cssTransform(homography, from, to) {
  const m = multiply(multiply(shown(to), homography), inverseOfShown(from));
  const columns = [
    [m[0][0], m[1][0], 0, m[2][0]],
    [m[0][1], m[1][1], 0, m[2][1]],
    [0, 0, 1, 0],
    [m[0][2], m[1][2], 0, m[2][2]],
  ];
  return `matrix3d(${columns.flat().map((value) => value.toFixed(12)).join(",")})`;
}

/**
 * The distance of a point from a stretch of a line.
 * @returns {number}
 */
export function distanceToLine([x, y], [x1, y1], [x2, y2]) {
  const [dx, dy] = [x2 - x1, y2 - y1];
  const along = ((x - x1) * dx + (y - y1) * dy) / (dx * dx + dy * dy || 1);
  const share = Math.min(1, Math.max(0, along));
  return Math.hypot(x - x1 - share * dx, y - y1 - share * dy);
}

function shown(scale) {
  return [[scale, 0, scale / 2], [0, scale, scale / 2], [0, 0, 1]];
}

function inverseOfShown(scale) {
  return [[1 / scale, 0, -0.5], [0, 1 / scale, -0.5], [0, 0, 1]];
}

function multiply(a, b) {
  return a.map((row) => [0, 1, 2].map((j) => row.reduce((sum, v, k) => sum + v * b[k][j], 0)));
}
