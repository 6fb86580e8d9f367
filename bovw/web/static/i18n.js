/** Every text of the page, in English and in Vietnamese. */

const STORED = "bovw-language";

/** What each language calls itself. */
export const LANGUAGES = { en: "English", vi: "Tiếng Việt" };

const en = {
  "title": "bovw – the same thing in other photographs",
  "close": "Close",
  "busy": "The server is busy, trying again …",
  "error.connection": "The server cannot be reached: check that it runs, then try again.",
  "error.status": "The server answered with error {status}.",
  "error.large": "{name} is too large: {size} MB, and {limit} MB is the most. "
    + "Make it smaller first.",
  "error.nofile": "That was no file: save the picture first, then drop it here.",
  "page.search": "Search",
  "page.evaluation": "Evaluation",
  "page.pages": "Pages",
  "page.language": "Language",
  "page.skip": "Skip to content",
  "page.footer": {
    one: "{n} image indexed. Your pictures stay on this server. bovw {version}",
    other: "{n} images indexed. Your pictures stay on this server. bovw {version}",
  },
  "page.api": "For programs",
  "start.title": "Find the same thing in other photographs",
  "start.lead": "Give a photograph of a building, a painting, a label, a place. You see which "
    + "images of the collection show the same thing, and the points that prove it.",
  "pick.choose": "Choose a photograph",
  "pick.hint": "or drop it anywhere on this page, or paste it",
  "pick.note": "JPEG, PNG, WebP, TIFF or BMP",
  "pick.drop": "Drop the photograph anywhere",
  "browse.title": "Or start from the collection",
  "browse.field": "Search by name",
  "browse.placeholder": "Part of a name",
  "browse.count": { one: "{n} image", other: "{n} images" },
  "browse.found": { one: "{n} image has this name", other: "{n} images have this in their name" },
  "browse.pages": "Pages of images",
  "browse.previous": "Previous",
  "browse.next": "Next",
  "query.section": "What is searched for",
  "query.picture": "The picture that is searched for",
  "query.yours": "Your photograph",
  "query.hint": "To look for one thing alone, draw a box around it or press “Mark a part”.",
  "query.mark": "Mark a part",
  "query.whole": "Whole picture",
  "query.another": "Another picture",
  "query.expired": "This picture is no longer kept: drop it again.",
  "region.role": "movable box",
  "region.label": "The part that is searched for, from {x1}, {y1} to {x2}, {y2}. Arrow keys move "
    + "it, Shift with arrow keys resizes it, Escape removes it.",
  "option.title": "Options",
  "option.scoring": "Scoring",
  "option.scoring.help": "how shared details are counted",
  "option.rerank": "Images checked",
  "option.rerank.help": "how many of the best have their geometry checked",
  "option.expand": "Images added to the query",
  "option.expand.help": "confirmed ones that help to find more; 0 for none",
  "option.topk": "Results",
  "option.topk.help": "how many to show at most",
  "search.reading": "Reading the picture …",
  "search.running": "Searching …",
  "search.time": {
    one: "{n} image searched in {seconds} s",
    other: "{n} images searched in {seconds} s",
  },
  "search.more": "Show more",
  "verdict.empty": "Nothing was found.",
  "verdict.none": "Nothing here is confirmed: the images below only look alike.",
  "verdict.weak": {
    one: "{n} image is confirmed, but weakly: look for yourself.",
    other: "{n} images are confirmed, but all weakly: look for yourself.",
  },
  "verdict.some": { one: "{n} image is confirmed.", other: "{n} images are confirmed." },
  "verdict.more": "{n} more only weakly: look for yourself.",
  "verdict.none.besides": "No other image is confirmed: they only look alike.",
  "verdict.weak.besides": {
    one: "{n} other image is confirmed, but weakly: look for yourself.",
    other: "{n} other images are confirmed, but all weakly: look for yourself.",
  },
  "verdict.some.besides": {
    one: "{n} other image is confirmed.",
    other: "{n} other images are confirmed.",
  },
  "results.confirmed": "Confirmed",
  "results.alike": "Not confirmed",
  "hit.agree": { one: "{n} point agrees", other: "{n} points agree" },
  "hit.alike": "looks alike, not confirmed",
  "hit.weak": "weak: look for yourself",
  "hit.itself": "the picture itself",
  "hit.open": "Look closer at {name}",
  "hit.compare": "Compare",
  "hit.search": "Search with this",
  "compare.title": "Comparison",
  "compare.running": "Comparing …",
  "compare.previous": "Previous",
  "compare.next": "Next",
  "compare.points": "Points only",
  "compare.hint": "Point at a line or a dot to follow it.",
  "compare.nothing": "No points agree, so there is nothing to draw.",
  "compare.label": {
    one: "Two pictures with {n} line between what agrees; the second is {name}",
    other: "Two pictures with {n} lines between what agrees; the second is {name}",
  },
  "compare-kind": "How to compare",
  "compare-kind.pairs": "Side by side",
  "compare-kind.overlay": "One over the other",
  "overlay-kind": "How to change over",
  "overlay-kind.fade": "Fade",
  "overlay-kind.curtain": "Curtain",
  "overlay.hit": "Found image",
  "overlay.query": "Your picture",
  "evaluation.title": "Evaluation",
  "evaluation.lead": "How well the search does on a data set whose right answers are known.",
  "evaluation.set": "Data set",
  "evaluation.setting": "Setting",
  "evaluation.sizes": "{images} images, {queries} queries.",
  "evaluation.between": "(95% between {low} and {high})",
  "evaluation.moved": "A against B: {better} better, {worse} worse, {same} the same.",
  "run.title": "Runs",
  "run.name": "{scoring}, {rerank} checked, {expand} added",
  "run.start": "Start a run",
  "run.empty": "There is no run yet: start one.",
  "run.options": "Options",
  "run.map": "mAP",
  "run.interval": "95% interval",
  "run.recall": "R@1",
  "run.look": "Look at",
  "run.show": "Show",
  "run.compare": "Compare",
  "run.progress": "{done} of {of} queries",
  "run.failed": "The run failed.",
  "query.table": "Queries",
  "query.id": "Query",
  "query.ap": "AP",
  "query.first": "AP of A",
  "query.other": "AP of B",
  "query.difference": "A − B",
  "ranking.choose": "Choose a query to see its ranking and its curve.",
  "ranking.title": "Ranking",
  "ranking.figures": {
    one: "AP {ap}, {n} right answer in the collection",
    other: "AP {ap}, {n} right answers in the collection",
  },
  "ranking.none": "No AP: there is no right answer in this setting.",
  "label.good": "good",
  "label.ok": "ok",
  "label.easy": "easy",
  "label.hard": "hard",
  "label.junk": "junk",
  "label.wrong": "wrong",
  "chart.label": "Precision over recall of {names}",
  "chart.recall": "Recall",
  "chart.precision": "Precision",
};

const vi = {
  "title": "bovw – tìm cùng một vật trong những ảnh khác",
  "close": "Đóng",
  "busy": "Máy chủ đang bận, đang thử lại …",
  "error.connection": "Không kết nối được với máy chủ: hãy kiểm tra máy chủ có đang chạy, rồi thử lại.",
  "error.status": "Máy chủ báo lỗi {status}.",
  "error.large": "{name} quá lớn: {size} MB, trong khi tối đa là {limit} MB. Hãy thu nhỏ ảnh trước.",
  "error.nofile": "Đó không phải là tệp: hãy lưu ảnh về máy rồi thả vào đây.",
  "page.search": "Tìm kiếm",
  "page.evaluation": "Đánh giá",
  "page.pages": "Các trang",
  "page.language": "Ngôn ngữ",
  "page.skip": "Đến phần nội dung",
  "page.footer": "Đã lập chỉ mục {n} ảnh. Ảnh của bạn chỉ nằm trên máy chủ này. bovw {version}",
  "page.api": "Dành cho lập trình viên",
  "start.title": "Tìm cùng một vật trong những ảnh khác",
  "start.lead": "Hãy đưa vào ảnh chụp một tòa nhà, một bức tranh, một nhãn hàng hay một địa điểm. "
    + "Bạn sẽ thấy những ảnh nào trong bộ sưu tập có cùng vật ấy, cùng các điểm làm bằng chứng.",
  "pick.choose": "Chọn ảnh",
  "pick.hint": "hoặc thả hay dán ảnh vào bất cứ đâu trên trang",
  "pick.note": "JPEG, PNG, WebP, TIFF hoặc BMP",
  "pick.drop": "Thả ảnh vào bất cứ đâu",
  "browse.title": "Hoặc bắt đầu từ bộ sưu tập",
  "browse.field": "Tìm theo tên",
  "browse.placeholder": "Một phần của tên",
  "browse.count": "{n} ảnh",
  "browse.found": "{n} ảnh có tên như vậy",
  "browse.pages": "Các trang ảnh",
  "browse.previous": "Trước",
  "browse.next": "Sau",
  "query.section": "Thứ cần tìm",
  "query.picture": "Ảnh cần tìm",
  "query.yours": "Ảnh của bạn",
  "query.hint": "Để chỉ tìm một vật, hãy vẽ khung quanh vật đó hoặc nhấn “Khoanh một phần”.",
  "query.mark": "Khoanh một phần",
  "query.whole": "Toàn bộ ảnh",
  "query.another": "Ảnh khác",
  "query.expired": "Ảnh này không còn được lưu: hãy thả ảnh vào lần nữa.",
  "region.role": "khung di chuyển được",
  "region.label": "Phần cần tìm, từ {x1}, {y1} đến {x2}, {y2}. Phím mũi tên để di chuyển, "
    + "Shift cùng phím mũi tên để đổi kích thước, Escape để bỏ khung.",
  "option.title": "Tùy chọn",
  "option.scoring": "Cách tính điểm",
  "option.scoring.help": "cách đếm những chi tiết chung",
  "option.rerank": "Số ảnh được kiểm tra",
  "option.rerank.help": "bao nhiêu ảnh đứng đầu được kiểm tra hình học",
  "option.expand": "Số ảnh bổ sung vào truy vấn",
  "option.expand.help": "ảnh đã xác nhận giúp tìm thêm; 0 là không dùng",
  "option.topk": "Số kết quả",
  "option.topk.help": "hiện nhiều nhất bao nhiêu ảnh",
  "search.reading": "Đang đọc ảnh …",
  "search.running": "Đang tìm …",
  "search.time": "Đã tìm trong {n} ảnh, mất {seconds} giây",
  "search.more": "Xem thêm",
  "verdict.empty": "Không tìm thấy gì.",
  "verdict.none": "Chưa ảnh nào được xác nhận: các ảnh dưới đây chỉ trông giống thôi.",
  "verdict.weak": "{n} ảnh được xác nhận nhưng còn yếu: bạn hãy tự xem lại.",
  "verdict.some": "{n} ảnh được xác nhận.",
  "verdict.more": "Thêm {n} ảnh còn yếu: bạn hãy tự xem lại.",
  "verdict.none.besides": "Không có ảnh nào khác được xác nhận: chúng chỉ trông giống thôi.",
  "verdict.weak.besides": "{n} ảnh khác được xác nhận nhưng còn yếu: bạn hãy tự xem lại.",
  "verdict.some.besides": "{n} ảnh khác được xác nhận.",
  "results.confirmed": "Đã xác nhận",
  "results.alike": "Chưa xác nhận",
  "hit.agree": "{n} điểm trùng khớp",
  "hit.alike": "trông giống, chưa xác nhận",
  "hit.weak": "yếu: hãy tự xem lại",
  "hit.itself": "chính là ảnh này",
  "hit.open": "Xem kỹ {name}",
  "hit.compare": "So sánh",
  "hit.search": "Tìm bằng ảnh này",
  "compare.title": "So sánh",
  "compare.running": "Đang so sánh …",
  "compare.previous": "Trước",
  "compare.next": "Sau",
  "compare.points": "Chỉ hiện điểm",
  "compare.hint": "Trỏ vào một đường hay một điểm để dõi theo.",
  "compare.nothing": "Không có điểm nào trùng khớp nên không có gì để vẽ.",
  "compare.label": "Hai ảnh với {n} đường nối những điểm trùng khớp; ảnh thứ hai là {name}",
  "compare-kind": "Cách so sánh",
  "compare-kind.pairs": "Cạnh nhau",
  "compare-kind.overlay": "Chồng lên nhau",
  "overlay-kind": "Cách chuyển",
  "overlay-kind.fade": "Mờ dần",
  "overlay-kind.curtain": "Kéo màn",
  "overlay.hit": "Ảnh tìm được",
  "overlay.query": "Ảnh của bạn",
  "evaluation.title": "Đánh giá",
  "evaluation.lead": "Chất lượng tìm kiếm trên một bộ dữ liệu đã biết trước đáp án.",
  "evaluation.set": "Bộ dữ liệu",
  "evaluation.setting": "Mức độ",
  "evaluation.sizes": "{images} ảnh, {queries} truy vấn.",
  "evaluation.between": "(95% nằm giữa {low} và {high})",
  "evaluation.moved": "A so với B: {better} truy vấn tốt hơn, {worse} kém hơn, {same} như nhau.",
  "run.title": "Các lần chạy",
  "run.name": "{scoring}, kiểm tra {rerank}, bổ sung {expand}",
  "run.start": "Chạy",
  "run.empty": "Chưa có lần chạy nào: hãy bắt đầu một lần.",
  "run.options": "Tùy chọn",
  "run.map": "mAP",
  "run.interval": "Khoảng tin cậy 95%",
  "run.recall": "R@1",
  "run.look": "Xem",
  "run.show": "Hiện",
  "run.compare": "So sánh",
  "run.progress": "{done} trên {of} truy vấn",
  "run.failed": "Lần chạy này bị lỗi.",
  "query.table": "Các truy vấn",
  "query.id": "Truy vấn",
  "query.ap": "AP",
  "query.first": "AP của A",
  "query.other": "AP của B",
  "query.difference": "A − B",
  "ranking.choose": "Chọn một truy vấn để xem thứ hạng và đường cong của nó.",
  "ranking.title": "Thứ hạng",
  "ranking.figures": "AP {ap}, có {n} đáp án đúng trong bộ sưu tập",
  "ranking.none": "Không có AP: ở mức độ này không có đáp án đúng nào.",
  "label.good": "tốt",
  "label.ok": "được",
  "label.easy": "dễ",
  "label.hard": "khó",
  "label.junk": "không tính",
  "label.wrong": "sai",
  "chart.label": "Độ chính xác theo độ phủ của {names}",
  "chart.recall": "Độ phủ",
  "chart.precision": "Độ chính xác",
};

/** All texts by language; the keys are the same in each. */
export const TEXTS = { en, vi };

let current = firstLanguage();

function firstLanguage() {
  let stored = null;
  try {
    stored = localStorage.getItem(STORED);
  } catch {
    // A browser may forbid it; then the language is the browser's each time.
  }
  if (stored in TEXTS) return stored;
  const codes = navigator.languages.map((code) => code.slice(0, 2).toLowerCase());
  return codes.find((code) => code in TEXTS) ?? "en";
}

/**
 * The language that is spoken.
 * @returns {"en"|"vi"}
 */
export function language() {
  return current;
}

/**
 * Speaks another language from now on, and in this browser's next visits.
 * @param {"en"|"vi"} code
 */
export function setLanguage(code) {
  current = code;
  try {
    localStorage.setItem(STORED, code);
  } catch {
    // It is forgotten with this page then.
  }
}

/**
 * The text of a key.
 * @param {string} key
 * @param {Object} values for the names in braces; `n` also decides between singular and plural
 * @returns {string}
 */
export function t(key, values = {}) {
  const entry = TEXTS[current][key];
  const text = typeof entry === "string" ? entry
    : entry[new Intl.PluralRules(current).select(values.n)] ?? entry.other;
  return text.replace(/\{(\w+)\}/g, (_, name) => {
    const value = values[name];
    return typeof value === "number" ? number(value) : String(value);
  });
}

/**
 * A number as the language writes it.
 * @param {number} value
 * @param {number} digits after the point
 * @returns {string}
 */
export function number(value, digits = 0) {
  const places = { minimumFractionDigits: digits, maximumFractionDigits: digits };
  return new Intl.NumberFormat(current, places).format(value);
}
