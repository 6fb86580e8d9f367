/** Homographies and distances, for CSS and for the pointer. */

/**
 * The CSS transform that warps one displayed image onto another.
 *
 * bovw puts pixel centres at whole numbers; CSS counts from the edge of the first pixel.
 * @param {number[][]} homography from pixels of one original to pixels of the other
 * @param {number} from CSS pixels per pixel of the first image, as laid out
 * @param {number} to CSS pixels per pixel of the second
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
 * The distance of a point from a line segment.
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
