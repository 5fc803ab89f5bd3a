// The Label tab: marks on a few pictures, and where the landmarks are found on all.
const colourOf = (index) => `hsl(${(index * 222.5) % 360} 90% 60%)`;
const state = { names: [], pictures: [], picture: 0, name: 0, fit: null };
let busy = false, isStale = false;

function current() {
  return state.pictures[state.picture];
}

function draw() {
  const overlay = $(".overlay"), picture = current();
  overlay.replaceChildren();
  const [width, height] = picture ? [picture.width, picture.height] : [640, 480];
  overlay.setAttribute("viewBox", `0 0 ${width} ${height}`);
  if (picture) svg("image", { href: picture.picture, width, height }, overlay);
  const unit = Math.max(width, height) / 200;
  state.names.forEach((name, index) => {
    const mark = picture?.marks[index], found = state.fit?.landmarks[state.picture]?.[index];
    if (!mark && !found) return;
    const [x, y] = mark || found;
    const look = { cx: x * width, cy: y * height, r: unit * 3, class: mark ? "mark" : "found", stroke: mark ? "#000" : colourOf(index), fill: mark ? colourOf(index) : "none", "stroke-width": unit * 0.8 };
    svg("title", {}, svg("circle", look, overlay)).textContent = name;
  });
  $(".clear").disabled = !picture?.marks.some((mark) => mark);
  drawChips();
  drawStrip();
}

function drawChips() {
  $(".chips").replaceChildren(...state.names.map((name, index) => {
    const chip = document.createElement("button");
    chip.type = "button";
    chip.className = "chip choice";
    chip.style.setProperty("--colour", colourOf(index));
    chip.setAttribute("aria-pressed", String(index === state.name));
    const count = state.pictures.filter((picture) => picture.marks[index]).length;
    chip.textContent = `${name}, marked on ${count}`;
    chip.addEventListener("click", () => { state.name = index; draw(); });
    return chip;
  }));
}

function drawStrip() {
  $(".strip").replaceChildren(...state.pictures.map((picture, index) => {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "thumb";
    button.setAttribute("aria-pressed", String(index === state.picture));
    button.setAttribute("aria-label", `picture ${index + 1}`);
    const image = document.createElement("img");
    image.src = picture.picture;
    image.alt = "";
    button.append(image, `${picture.marks.filter((mark) => mark).length}/${state.names.length}`);
    button.addEventListener("click", () => { state.picture = index; draw(); });
    return button;
  }));
}

// The newest marks are sent when the last answer has come.
async function refit() {
  draw();
  isStale = true;
  if (busy) return;
  busy = true;
  while (isStale) {
    isStale = false;
    const hasMark = state.pictures.some((picture) => picture.marks.some((mark) => mark));
    const pictures = state.pictures.map(({ keypoints, marks, width, height }) => ({ keypoints, marks, aspect: height / width }));
    state.fit = hasMark ? await ask("fit", { names: state.names, pictures }) : null;
  }
  busy = false;
  show();
}

function show() {
  const fit = state.fit;
  $(".save").disabled = !fit;
  $(".command code").textContent = fit?.command || "";
  $(".score").textContent = !fit ? "" : fit.error_percent === null
    ? "Mark a second picture for an estimate of the error."
    : `Estimated error: ${fit.error_percent.toFixed(1)} % of the width, each of ${fit.num_pictures} pictures left out in turn.`;
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

async function use(file) {
  const found = await askAboutFile("find_points", file);
  if (!found) return;
  state.pictures.push({ ...found, marks: state.names.map(() => null) });
  state.picture = Math.min(state.picture, state.pictures.length - 1);
  refit();
}

$(".add").addEventListener("submit", (event) => {
  event.preventDefault();
  const name = $(".name").value.trim();
  if (!name || state.names.includes(name)) return;
  state.names.push(name);
  state.name = state.names.length - 1;
  for (const picture of state.pictures) picture.marks.push(null);
  $(".name").value = "";
  refit();
});
$(".overlay").addEventListener("click", mark);
$(".clear").addEventListener("click", () => { current().marks = state.names.map(() => null); refit(); });
$(".save").addEventListener("click", () => save("landmarks.json", "data:application/json," + encodeURIComponent(state.fit.file)));
copyOnClick($(".copy"), () => $(".command code").textContent);
takePictures($(".file"), $(".stage"), use);
draw();
