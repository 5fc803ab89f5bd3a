// The Graph tab: keypoints and edges over a picture.
const WITHOUT_PICTURE_PX = 640;
const state = {
  keypoints: props.value.pose, width: WITHOUT_PICTURE_PX, height: WITHOUT_PICTURE_PX, picture: null,
  facts: null, hidden: new Set(), dropped: new Set(),
};

function draw() {
  const overlay = $(".overlay");
  overlay.replaceChildren();
  overlay.setAttribute("viewBox", `0 0 ${state.width} ${state.height}`);
  if (state.picture) {
    svg("image", { href: state.picture, width: state.width, height: state.height }, overlay);
  }
  if (!state.facts) return;
  const unit = Math.max(state.width, state.height) / 200;
  const places = state.keypoints.map(([x, y]) => [toPixel(x, state.width), toPixel(y, state.height)]);
  const threshold = $(".threshold").value / 100;
  const seen = state.facts.edges.filter(([i, j, share]) => share >= threshold && !state.hidden.has(`${i}-${j}`));
  for (const edge of seen.reverse()) drawEdge(overlay, edge, places, unit); // the heaviest last, on top
  for (const k of state.facts.shown) drawPoint(overlay, k, places[k], unit);
  $(".restore").disabled = state.hidden.size === 0;
  $(".command code").textContent = state.facts.command + (threshold === 0.1 ? "" : ` --threshold ${threshold}`);
}

function drawEdge(overlay, [i, j, share], places, unit) {
  const ends = { x1: places[i][0], y1: places[i][1], x2: places[j][0], y2: places[j][1] };
  const text = `edge ${i}–${j}, ${Math.round(100 * share)} % of the heaviest`;
  const group = svg("g", { class: "edge", tabindex: 0, role: "button", "aria-label": `${text}; hide it` }, overlay);
  svg("line", { ...ends, class: "rim", "stroke-width": unit * (1.4 + 3 * share) }, group);
  svg("line", { ...ends, class: "line", "stroke-width": unit * (0.5 + 2.4 * share), opacity: 0.3 + 0.7 * share }, group);
  svg("line", { ...ends, class: "reach", "stroke-width": unit * 6 }, group);
  svg("title", {}, group).textContent = text;
  const hide = () => { state.hidden.add(`${i}-${j}`); draw(); };
  group.addEventListener("click", hide);
  group.addEventListener("keydown", (event) => { if (event.key === "Enter" || event.key === " ") { event.preventDefault(); hide(); } });
  group.addEventListener("pointerenter", () => { $(".point").textContent = text; });
}

function drawPoint(overlay, k, [x, y], unit) {
  const text = `keypoint ${k}, cluster ${state.facts.labels[k]}`;
  const group = svg("g", { class: "dot", role: "img", "aria-label": text }, overlay);
  const colour = state.facts.colours[state.facts.labels[k]];
  svg("circle", { cx: x, cy: y, r: unit * 2.6, fill: colour }, group);
  svg("text", { x: x + unit * 3.4, y: y - unit * 2, "font-size": unit * 7 }, group).textContent = k;
  svg("title", {}, group).textContent = text;
  group.addEventListener("pointerenter", () => { $(".point").textContent = text; });
}

async function refresh() {
  const clusters = Math.min(Math.max(Number($(".clusters").value) || 1, 1), state.keypoints.length);
  const facts = await ask("facts", { clusters, dropped: [...state.dropped] });
  if (!facts) return false;
  state.facts = facts;
  $(".matrix").src = facts.matrix;
  drawChips();
  draw();
  return true;
}

function drawChips() {
  $(".chips").replaceChildren(...state.facts.colours.map((colour, number) => {
    const members = state.facts.labels.flatMap((label, k) => (label === number ? [k] : []));
    const chip = document.createElement("button");
    const isLeftOut = state.dropped.has(number);
    chip.type = "button";
    chip.className = "chip";
    chip.style.setProperty("--colour", colour);
    chip.setAttribute("aria-pressed", String(!isLeftOut));
    chip.textContent = `${number}: keypoints ${members.join(", ")}`;
    chip.title = isLeftOut ? "Click to show it again" : "Click to leave it out";
    chip.addEventListener("click", () => toggle(number));
    return chip;
  }));
}

async function toggle(number) {
  const before = new Set(state.dropped);
  if (!state.dropped.delete(number)) state.dropped.add(number);
  if (!(await refresh())) state.dropped = before; // such as the last cluster
}

async function use(file) {
  const found = await askAboutFile("find_points", file);
  if (!found) return;
  Object.assign(state, found);
  draw();
}

takePictures($(".file"), $(".stage"), use);
copyOnClick($(".copy"), () => $(".command code").textContent);
$(".restore").addEventListener("click", () => { state.hidden.clear(); draw(); });
$(".clusters").max = state.keypoints.length;
$(".clusters").addEventListener("change", () => { state.dropped.clear(); refresh(); });
$(".threshold").addEventListener("input", () => { $(".percent").textContent = `${$(".threshold").value} %`; draw(); });
refresh();
