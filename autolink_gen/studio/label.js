// The Label tab: marks on a few pictures, and where the landmarks are found on all.
const MOST_PICTURES = 200, MOST_NAMES = 100; // as many as the server takes
const NAME = /^[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}]+([ -][\p{Alphabetic}\p{M}\p{Nd}\p{Pc}]+)*$/u;
const colourOf = (index) => `hsl(${(index * 222.5) % 360} 90% 60%)`;
const state = { names: [], pictures: [], picture: 0, name: 0, fit: null };
let busy = false, isStale = false, saved = "";

function current() {
  return state.pictures[state.picture];
}

const image = svg("image", {}, $(".overlay")), rings = svg("g", {}, $(".overlay"));

function draw() {
  const picture = current();
  $(".stage figcaption").hidden = Boolean(picture);
  const [width, height] = picture ? [picture.width, picture.height] : [640, 480];
  $(".overlay").setAttribute("viewBox", `0 0 ${width} ${height}`);
  if (picture && image.getAttribute("href") !== picture.picture) {
    for (const [key, value] of Object.entries({ href: picture.picture, width, height })) image.setAttribute(key, value);
  }
  rings.replaceChildren();
  const unit = Math.max(width, height) / 200;
  state.names.forEach((name, index) => {
    const mark = picture?.marks[index], found = state.fit?.landmarks[state.picture]?.[state.fit.names.indexOf(name)];
    if (!mark && !found) return;
    const [x, y] = mark || found;
    const look = { cx: x * width, cy: y * height, r: unit * 3, class: mark ? "mark" : "found", stroke: mark ? "#000" : colourOf(index), fill: mark ? colourOf(index) : "none", "stroke-width": unit * 0.8 };
    svg("title", {}, svg("circle", look, rings)).textContent = name;
  });
  $(".clear").disabled = !picture?.marks.some((mark) => mark);
  drawChips();
  drawStrip();
}

// Buttons stay while their texts change: a click may be under way when an answer comes.
function buttons(parent, count, name, choose) {
  while (parent.children.length < count) {
    const button = document.createElement("button"), index = parent.children.length;
    button.type = "button";
    button.className = name;
    button.addEventListener("click", () => { choose(index); draw(); });
    parent.append(button);
  }
  while (parent.children.length > count) parent.lastChild.remove();
  return [...parent.children];
}

const numMarked = (index) => state.pictures.filter((picture) => picture.marks[index]).length;

function drawChips() {
  $(".remove").hidden = !state.names.length;
  $(".remove").textContent = `Remove ${state.names[state.name]}`;
  buttons($(".chips"), state.names.length, "chip choice", (index) => { state.name = index; }).forEach((chip, index) => {
    chip.style.setProperty("--colour", colourOf(index));
    chip.setAttribute("aria-pressed", String(index === state.name));
    chip.textContent = `${state.names[index]}, marked on ${numMarked(index)}`;
  });
}

// A picture begins with the first landmark that it lacks.
function choose(index) {
  state.picture = index;
  const next = current().marks.findIndex((mark) => !mark);
  if (next >= 0) state.name = next;
}

function drawStrip() {
  buttons($(".strip"), state.pictures.length, "thumb", choose).forEach((thumb, index) => {
    const picture = state.pictures[index];
    if (!thumb.firstChild) {
      thumb.append(Object.assign(new Image(), { src: picture.picture, alt: "" }), document.createElement("span"));
    }
    thumb.setAttribute("aria-pressed", String(index === state.picture));
    thumb.setAttribute("aria-label", `picture ${index + 1}`);
    thumb.lastChild.textContent = `${picture.marks.filter((mark) => mark).length}/${state.names.length}`;
  });
}

// The newest marks are sent when the last answer has come.
async function refit() {
  draw();
  isStale = true;
  if (busy) return;
  busy = true;
  $(".score").toggleAttribute("data-busy", true);
  while (isStale) {
    isStale = false;
    const hasMark = state.pictures.some((picture) => picture.marks.some((mark) => mark));
    const pictures = state.pictures.map(({ keypoints, widths, marks, width, height }) => ({ keypoints, widths, marks, aspect: height / width }));
    const names = [...state.names], marks = allMarks();
    const fit = hasMark ? await ask("fit", { names, pictures }) : null;
    state.fit = fit && { ...fit, names, marks };
  }
  busy = false;
  $(".score").toggleAttribute("data-busy", false);
  show();
}

function show() {
  const fit = state.fit;
  $(".save").disabled = !fit;
  $(".command code").textContent = fit?.command || "";
  $(".score").textContent = !fit ? "" : fit.error_percent === null
    ? "Mark a second picture for an estimate of the error."
    : `Estimated error: ${fit.error_percent.toFixed(1)} % of the width, each of ${fit.num_left_out} pictures left out in turn.`;
  draw();
}

function mark(event) {
  const picture = current();
  if (!picture || !state.names.length) {
    say(picture ? "name a landmark first" : "choose a picture first");
    return;
  }
  const point = new DOMPoint(event.clientX, event.clientY).matrixTransform($(".overlay").getScreenCTM().inverse());
  const place = [point.x / picture.width, point.y / picture.height];
  if (place.some((value) => value < 0 || value > 1)) return;
  picture.marks[state.name] = place;
  const next = picture.marks.findIndex((one) => !one);
  if (next >= 0) state.name = next;
  refit();
}

const allMarks = () => JSON.stringify([state.names, state.pictures.map((picture) => picture.marks)]);

function isUnsaved() {
  return state.pictures.some((picture) => picture.marks.some((mark) => mark)) && allMarks() !== saved;
}

async function use(file) {
  if (state.pictures.length >= MOST_PICTURES) {
    say(`there are ${MOST_PICTURES} pictures already, and no more are taken: save the regressor, and use the command`);
    return;
  }
  const found = await askAboutFile("find_points", file);
  if (!found) return;
  state.pictures.push({ ...found, marks: state.names.map(() => null) });
  state.picture = Math.min(state.picture, state.pictures.length - 1);
  refit();
}

// Why a landmark cannot be called so; "" where it can.
function whyNot(name) {
  if (state.names.includes(name)) return `there is a landmark ${name} already; give another name`;
  if (state.names.length >= MOST_NAMES) return `there are ${MOST_NAMES} landmarks already, and no more are taken`;
  return NAME.test(name) ? "" : `${name}: a name has letters, digits and _, with single spaces or hyphens between; give another`;
}

function remove() {
  const count = numMarked(state.name), what = `${count} mark${count > 1 ? "s" : ""}`;
  if (count && !window.confirm(`Remove ${state.names[state.name]} and its ${what}?`)) return;
  state.names.splice(state.name, 1);
  for (const picture of state.pictures) picture.marks.splice(state.name, 1);
  state.name = Math.max(0, Math.min(state.name, state.names.length - 1));
  say("");
  refit();
}

$(".add").addEventListener("submit", (event) => {
  event.preventDefault();
  const name = $(".name").value.trim();
  if (!name) return;
  const why = whyNot(name);
  say(why);
  if (why) return;
  state.names.push(name);
  state.name = state.names.length - 1;
  for (const picture of state.pictures) picture.marks.push(null);
  $(".name").value = "";
  refit();
});
$(".overlay").addEventListener("click", mark);
$(".remove").addEventListener("click", remove);
$(".clear").addEventListener("click", () => { current().marks = state.names.map(() => null); refit(); });
$(".save").addEventListener("click", () => { saved = state.fit.marks; saveText("landmarks.json", state.fit.file); });
window.addEventListener("beforeunload", (event) => { if (isUnsaved()) event.preventDefault(); });
copyOnClick($(".copy"), () => $(".command code").textContent);
takePictures($(".file"), $(".stage"), use);
draw();
