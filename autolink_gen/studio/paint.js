// The Paint tab: a skeleton to drag, and the picture that is painted on it.
const { size_px: SIZE, num_layers: LAYERS, colours, edges, shown, poses } = props.value;
const STEP = 0.02, LONG_STEP = 0.1, DECIMALS = 10000;
const copy = (pose) => pose.map((point) => [...point]);
const state = { start: copy(poses[0]), keypoints: copy(poses[0]), past: [], future: [], answer: null };
let nodes = [], lines = [], busy = false, isStale = false;

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
  while (isStale) {
    isStale = false;
    const answer = await ask("paint", { keypoints: state.keypoints, style: style() });
    if (answer) show(answer);
  }
  busy = false;
}

function show(answer) {
  state.answer = answer;
  $(".painted").setAttribute("href", answer.picture);
  $(".command code").textContent = answer.command;
  element.dataset.painted = Number(element.dataset.painted || 0) + 1;
}

function style() {
  return {
    seed: Math.max(0, Math.trunc(Number($(".seed").value))), second_seed: Math.max(0, Math.trunc(Number($(".second").value))),
    fine_layers: Number($(".layers").value), truncation: Number($(".truncation").value),
  };
}

function move(k, x, y) {
  const inside = (value) => Math.round(Math.min(1, Math.max(-1, value)) * DECIMALS) / DECIMALS;
  state.keypoints[k] = [inside(x), inside(y)];
  repaint();
}

function remember() {
  state.past.push(copy(state.keypoints));
  state.future = [];
}

function drag(event, k, node) {
  event.preventDefault();
  node.focus();
  node.setPointerCapture(event.pointerId);
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
  to.push(copy(state.keypoints));
  state.keypoints = from.pop();
  repaint();
}

function begin(pose) {
  state.start = copy(pose);
  change(pose);
}

async function use(file) {
  const found = await askAboutFile("find_pose", file);
  if (!found) return;
  $(".pose").value = "";
  begin(found.keypoints);
}

$(".layers").max = LAYERS;
$(".layers-text").textContent = `0 of ${LAYERS} layers`;
poses.forEach((_, index) => $(".pose").add(new Option(`training pose ${index + 1}`, index)));
$(".pose").addEventListener("change", () => begin(poses[Number($(".pose").value)]));
$(".undo").addEventListener("click", () => travel(state.past, state.future));
$(".redo").addEventListener("click", () => travel(state.future, state.past));
$(".reset").addEventListener("click", () => change(state.start));
$(".bones").addEventListener("change", () => $(".skeleton").classList.toggle("unseen", !$(".bones").checked));
$(".dice").addEventListener("click", () => { $(".seed").value = Math.floor(Math.random() * 10000); repaint(); });
for (const name of [".seed", ".second", ".layers", ".truncation"]) $(name).addEventListener("input", () => {
  $(".layers-text").textContent = `${$(".layers").value} of ${LAYERS} layers`;
  $(".truncation-text").textContent = $(".truncation").value;
  repaint();
});
$(".save-picture").addEventListener("click", () => { if (state.answer) save("painted.png", state.answer.picture); });
$(".save-pose").addEventListener("click", () => {
  if (state.answer) save("keypoints.json", "data:application/json," + encodeURIComponent(state.answer.file));
});
copyOnClick($(".copy"), () => $(".command code").textContent);
takePictures($(".file"), $(".stage"), use);
build();
repaint();
