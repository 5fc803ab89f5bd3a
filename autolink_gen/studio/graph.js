// The Graph tab: keypoints and edges over a picture, the frames of a video, or what the camera sees.
const WITHOUT_PICTURE_PX = 640, CAMERA_PX = 480;
const state = {
  keypoints: props.value.pose, likelihoods: null, width: WITHOUT_PICTURE_PX, height: WITHOUT_PICTURE_PX, picture: null,
  source: null, walk: null, frame: 0, camera: null, facts: null, hidden: new Set(), dropped: new Set(),
};

function draw() {
  const overlay = $(".overlay");
  overlay.replaceChildren();
  overlay.setAttribute("viewBox", `0 0 ${state.width} ${state.height}`);
  if (state.picture) {
    svg("image", { href: state.picture, width: state.width, height: state.height, preserveAspectRatio: "none" }, overlay);
  }
  if (!state.facts) return;
  const unit = unitOf(overlay);
  const places = state.keypoints.map(([x, y]) => [toPixel(x, state.width), toPixel(y, state.height)]);
  const [threshold, least] = [$(".threshold").value / 100, Number($(".likelihood").value)];
  const isLikely = (k) => state.likelihoods === null || state.likelihoods[k] >= least;
  const seen = state.facts.edges.filter(
    ([i, j, share]) => share >= threshold && isLikely(i) && isLikely(j) && !state.hidden.has(`${i}-${j}`));
  for (const edge of seen.reverse()) drawEdge(overlay, edge, places, unit); // the heaviest last, on top
  for (const k of state.facts.shown) if (isLikely(k)) drawPoint(overlay, k, places[k], unit);
  $(".restore").disabled = state.hidden.size === 0;
  drawCommand(threshold, least);
}

// About two pixels of the screen, so that points and numbers have one size, whatever that of the picture.
function unitOf(overlay) {
  const { width, height } = overlay.getBoundingClientRect();
  const scale = Math.min(width / state.width, height / state.height);
  return scale > 0 ? (2 + Math.min(width, height) / 700) / scale : Math.max(state.width, state.height) / 200;
}

function drawCommand(threshold, least) {
  const source = state.source ? quoted(state.source) : "IMAGES";
  const options = [
    threshold === 0.1 ? "" : ` --threshold ${threshold}`, least ? ` --min-likelihood ${least}` : "",
    state.walk && $(".smooth").value ? ` --smooth ${$(".smooth").value}` : "",
  ];
  $(".command code").textContent = state.facts.command.replace("IMAGES", () => source) + options.join("");
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
}

function drawPoint(overlay, k, [x, y], unit) {
  const sure = state.likelihoods ? `, likelihood ${state.likelihoods[k].toFixed(2)}` : "";
  const text = `keypoint ${k}, cluster ${state.facts.labels[k]}${sure}`;
  const group = svg("g", { class: "dot", role: "img", "aria-label": text }, overlay);
  const colour = state.facts.colours[state.facts.labels[k]];
  svg("circle", { cx: x, cy: y, r: unit * 2.4, fill: colour }, group);
  svg("text", { x: x + unit * 3, y: y - unit * 1.8, "font-size": unit * 5 }, group).textContent = k;
  svg("title", {}, group).textContent = text;
}

// What lies below the mouse, told below the picture; nothing where that is neither point nor edge.
function tell(node) {
  $(".point").textContent = node?.closest(".dot, .edge")?.querySelector("title").textContent ?? "";
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
  if (isVideo(file)) {
    await useVideo(file);
    return;
  }
  const found = await askAboutFile("find_points", file);
  if (!found) return;
  leaveVideo();
  Object.assign(state, found, { source: file.name });
  draw();
}

async function useVideo(file) {
  const token = await sendFile(file);
  const walk = token && (await runJob("find_in_video", { token }));
  if (!walk) return;
  stopCamera();
  tell(null);
  Object.assign(state, { walk, source: file.name, width: walk.width, height: walk.height });
  $(".smooth").parentElement.hidden = false;
  $(".remark").textContent = walk.remark;
  player.open(walk.times_s, showFrame);
}

function showFrame(frame) {
  const { walk } = state;
  state.frame = frame;
  state.picture = walk.pictures[frame];
  state.keypoints = (walk.smoothed[$(".smooth").value] || walk.keypoints)[frame];
  state.likelihoods = walk.likelihoods[frame];
  draw();
}

function leaveVideo() {
  tell(null);
  stopCamera();
  state.walk = null;
  $(".smooth").parentElement.hidden = true;
  $(".remark").textContent = "";
  player.close();
}

// Each picture is sent when the answer for the one before has come.
async function useCamera() {
  const video = document.createElement("video");
  Object.assign(video, { muted: true, playsInline: true });
  if (!(await openCamera(video))) return;
  leaveVideo();
  Object.assign(state, { camera: video, source: null });
  $(".camera").textContent = "Stop the camera";
  while (state.camera === video) {
    const picture = cameraPicture(video, CAMERA_PX);
    const found = await ask("find_live", { name: "the camera's picture", content: picture.slice(picture.indexOf(",") + 1) });
    if (state.camera !== video) return;
    const isGone = !video.srcObject || video.srcObject.getTracks().some((track) => track.readyState === "ended");
    if (!found || isGone || element.getClientRects().length === 0) { // such as another tab of the studio
      stopCamera();
      if (isGone) say("the camera sends no more pictures");
      return;
    }
    Object.assign(state, found, { picture });
    draw();
    element.dataset.live = Number(element.dataset.live || 0) + 1;
    await new Promise((resolve) => { setTimeout(resolve, document.hidden ? 1000 : 15); });
  }
}

function stopCamera() {
  if (state.camera) closeCamera(state.camera);
  state.camera = null;
  $(".camera").textContent = "Camera";
}

const player = makePlayer();
takePictures($(".file"), $(".stage"), use);
copyOnClick($(".copy"), () => $(".command code").textContent);
$(".camera").addEventListener("click", () => { if (state.camera) stopCamera(); else useCamera(); });
$(".restore").addEventListener("click", () => { state.hidden.clear(); draw(); });
$(".clusters").max = state.keypoints.length;
$(".clusters").addEventListener("change", () => { state.dropped.clear(); refresh(); });
$(".threshold").addEventListener("input", () => { $(".percent").textContent = `${$(".threshold").value} %`; draw(); });
$(".likelihood").addEventListener("input", () => { $(".likelihood-text").textContent = $(".likelihood").value; draw(); });
$(".smooth").addEventListener("change", () => { if (state.walk) showFrame(state.frame); });
$(".overlay").addEventListener("pointerover", (event) => tell(event.target));
$(".overlay").addEventListener("pointerleave", (event) => { if (event.pointerType !== "touch") tell(null); }); // a finger leaves at once
new ResizeObserver(draw).observe($(".stage"));
refresh();
