// The Paint tab: a skeleton to drag, and the picture that is painted on it.
const { size_px: SIZE, num_layers: LAYERS, colours, edges, shown, poses } = props.value;
const STEP = 0.02, LONG_STEP = 0.1, DECIMALS = 10000;
const copy = (pose) => pose.map((point) => [...point]);
const FIRST_STYLE = { seed: 0, second_seed: 1, fine_layers: 0, truncation: 1, picture: null };
const state = {
  start: copy(poses[0]), keypoints: copy(poses[0]), name: "0", style: FIRST_STYLE, past: [], future: [], answer: null, video: null,
};
let nodes = [], lines = [], busy = false, isStale = false, isGesture = false;

function build() {
  const overlay = $(".overlay");
  overlay.setAttribute("viewBox", `0 0 ${SIZE} ${SIZE}`);
  const unit = SIZE / 128;
  svg("image", { class: "painted", width: SIZE, height: SIZE, preserveAspectRatio: "none" }, overlay);
  const bones = svg("g", { class: "skeleton" }, overlay);
  lines = [...edges].reverse().map(([i, j, share]) => ({
    i, j, node: svg("line", { class: "line", "stroke-width": unit * (0.4 + 1.2 * share), opacity: 0.15 + 0.75 * share }, bones),
  }));
  nodes = shown.map((k) => {
    const node = svg("g", { class: "handle", tabindex: 0, role: "slider", "aria-label": `keypoint ${k}`, "aria-valuemin": -1, "aria-valuemax": 1, "data-keypoint": k }, bones);
    svg("circle", { class: "reach", r: unit * 6 }, node);
    svg("circle", { class: "knob", r: unit * 2.2, fill: colours[k] }, node);
    svg("title", {}, node).textContent = `keypoint ${k}`;
    node.addEventListener("pointerdown", (event) => drag(event, k, node));
    node.addEventListener("keydown", (event) => nudge(event, k));
    return { k, node };
  });
}

function place() {
  const at = state.keypoints.map((point) => point.map((value) => toPixel(value, SIZE)));
  for (const { i, j, node } of lines) {
    node.setAttribute("x1", at[i][0]); node.setAttribute("y1", at[i][1]);
    node.setAttribute("x2", at[j][0]); node.setAttribute("y2", at[j][1]);
  }
  for (const { k, node } of nodes) {
    const [x, y] = state.keypoints[k];
    node.setAttribute("transform", `translate(${at[k][0]} ${at[k][1]})`);
    node.setAttribute("aria-valuenow", x);
    node.setAttribute("aria-valuetext", `x ${x.toFixed(2)}, y ${y.toFixed(2)}`);
  }
  $(".undo").disabled = state.past.length === 0;
  $(".redo").disabled = state.future.length === 0;
}

// At most one question is under way; when its answer comes, the newest pose is sent, if it is another.
async function repaint() {
  place();
  isStale = true;
  if (busy) return;
  busy = true;
  element.dataset.busy = "";
  while (isStale) {
    isStale = false;
    const answer = await ask("paint", { keypoints: state.keypoints, style: asked(state.style) });
    if (answer) show(answer);
  }
  busy = false;
  delete element.dataset.busy;
}

function show(answer) {
  state.answer = answer;
  $(".painted").setAttribute("href", answer.picture);
  $(".still code").textContent = answer.command;
  $(".moving code").textContent = state.video
    ? answer.command.replace("--from keypoints.json", `--from ${quoted(state.video)}`) : "";
  element.dataset.painted = Number(element.dataset.painted || 0) + 1;
}

// The style as the server takes it: that which was found for a picture, or that of the seed.
function asked({ picture, ...style }) {
  return picture ? { ...style, found: picture.found } : style;
}

function placeStyle() {
  const { seed, second_seed: second, fine_layers: layers, truncation, picture } = state.style;
  for (const [name, value] of [[".seed", seed], [".second", second], [".layers", layers], [".truncation", truncation]]) {
    if (!$(name).matches("[type=number]:focus")) $(name).value = value; // what is being typed stays
  }
  $(".layers-text").textContent = `${layers} of ${LAYERS} layers`;
  $(".truncation-text").textContent = truncation;
  $(".found").hidden = $(".save-style").hidden = !picture;
  if (picture) {
    $(".sample").src = picture.picture;
    $(".found-text").textContent = picture.text;
  }
  const files = picture ? "keypoints.json and style.json" : "keypoints.json";
  $(".command-hint").textContent = `Beside the saved ${files} this paints the same picture:`;
}

function restyle(style) {
  state.style = { ...state.style, ...style };
  placeStyle();
  repaint();
}

function move(k, x, y) {
  const inside = (value) => Math.round(Math.min(1, Math.max(-1, value)) * DECIMALS) / DECIMALS;
  state.keypoints[k] = [inside(x), inside(y)];
  repaint();
}

const snapshot = () => ({ start: state.start, keypoints: copy(state.keypoints), name: state.name, style: state.style });

function remember() {
  state.past.push(snapshot());
  state.future = [];
}

// A slider or a number that changes many times in a row is undone at once.
function rememberGesture() {
  if (!isGesture) remember();
  isGesture = true;
}

const endGesture = () => { isGesture = false; };

function drag(event, k, node) {
  event.preventDefault();
  node.focus();
  node.setPointerCapture(event.pointerId);
  player.pause();
  remember();
  const follow = (moved) => {
    const point = new DOMPoint(moved.clientX, moved.clientY).matrixTransform($(".overlay").getScreenCTM().inverse());
    move(k, fromPixel(point.x, SIZE), fromPixel(point.y, SIZE));
  };
  node.addEventListener("pointermove", follow);
  const end = () => node.removeEventListener("pointermove", follow);
  for (const name of ["pointerup", "pointercancel"]) node.addEventListener(name, end, { once: true });
}

function nudge(event, k) {
  const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
  if (!way) return;
  event.preventDefault();
  player.pause();
  if (!event.repeat) remember();
  const step = event.shiftKey ? LONG_STEP : STEP;
  move(k, state.keypoints[k][0] + step * way[0], state.keypoints[k][1] + step * way[1]);
}

function change(pose) {
  remember();
  state.keypoints = copy(pose);
  repaint();
}

function travel(from, to) {
  if (!from.length) return;
  player.pause();
  endGesture();
  to.push(snapshot());
  Object.assign(state, from.pop());
  placeName();
  placeStyle();
  repaint();
}

function begin(pose, name) {
  change(pose);
  state.start = copy(pose);
  state.name = name;
  placeName();
}

// The name of the pose: the number of one in training, or that of a file.
function placeName() {
  const isNumber = state.name in poses;
  if (!isNumber) $(".pose").options[0].text = state.name;
  $(".pose").value = isNumber ? state.name : "";
}

function beginWithoutVideo(pose, name) {
  state.video = null;
  $(".video-hint").hidden = true;
  $(".remark").textContent = "";
  player.close();
  begin(pose, name);
}

async function use(file) {
  if (isVideo(file)) {
    await useVideo(file);
    return;
  }
  const found = await askAboutFile("find_pose", file);
  if (!found) return;
  beginWithoutVideo(found.keypoints, `that of ${file.name}`);
}

async function useVideo(file) {
  const token = await sendFile(file);
  const walk = token && (await runJob("find_in_video", { token }));
  if (!walk) return;
  remember();
  Object.assign(state, { video: file.name, name: `those of ${file.name}` });
  $(".video-hint").hidden = false;
  $(".remark").textContent = walk.remark;
  placeName();
  player.open(walk.times_s, (frame) => {
    state.start = copy(walk.keypoints[frame]);
    state.keypoints = copy(walk.keypoints[frame]);
    return repaint();
  });
}

async function useStyle(file) {
  const found = await askAboutJob("find_style", file);
  if (!found) return;
  const steps = found.done < found.total ? `, stopped after ${found.done} of ${found.total} steps` : "";
  player.pause();
  remember();
  state.style = { ...state.style, fine_layers: 0, truncation: 1, picture: { ...found, text: `Style of ${file.name}${steps}` } };
  Object.assign(state, { start: copy(found.keypoints), keypoints: copy(found.keypoints), name: `that of ${file.name}` });
  placeStyle();
  placeName();
  repaint();
}

const player = makePlayer(remember);
const whole = (name) => Math.min(Number.MAX_SAFE_INTEGER, Math.max(0, Math.trunc(Number($(name).value) || 0)));
const CHANGES = {
  ".seed": () => ({ seed: whole(".seed"), picture: null }), ".second": () => ({ second_seed: whole(".second") }),
  ".layers": () => ({ fine_layers: whole(".layers") }), ".truncation": () => ({ truncation: Number($(".truncation").value) }),
};

$(".layers").max = LAYERS;
$(".pose").add(new Option("", "")); // the name of a file
$(".pose").options[0].hidden = true;
poses.forEach((_, index) => $(".pose").add(new Option(`training pose ${index + 1}`, index)));
$(".pose").addEventListener("change", () => beginWithoutVideo(poses[$(".pose").value], $(".pose").value));
$(".undo").addEventListener("click", () => travel(state.past, state.future));
$(".redo").addEventListener("click", () => travel(state.future, state.past));
$(".reset").addEventListener("click", () => { player.pause(); change(state.start); });
$(".bones").addEventListener("change", () => $(".skeleton").classList.toggle("unseen", !$(".bones").checked));
$(".dice").addEventListener("click", () => { remember(); restyle({ seed: Math.floor(Math.random() * 10000), picture: null }); });
$(".forget").addEventListener("click", () => { remember(); restyle({ picture: null }); });
for (const [name, changed] of Object.entries(CHANGES)) {
  $(name).addEventListener("input", () => { rememberGesture(); restyle(changed()); });
  $(name).addEventListener("change", endGesture);
}
$(".save-picture").addEventListener("click", () => { if (state.answer) save("painted.png", state.answer.picture); });
$(".save-pose").addEventListener("click", () => { if (state.answer) saveText("keypoints.json", state.answer.file); });
$(".save-style").addEventListener("click", async () => {
  const answer = await ask("style_file", asked(state.style));
  if (answer) saveText("style.json", answer.file);
});
for (const kind of [".still", ".moving"]) copyOnClick($(`${kind} .copy`), () => $(`${kind} code`).textContent);
takePictures($(".file"), $(".stage"), use);
takePictures($(".style-file"), null, useStyle);
build();
placeName();
placeStyle();
repaint();
