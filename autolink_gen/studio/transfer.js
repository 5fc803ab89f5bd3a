// The Transfer tab: a source and a driver in, the moved source out.
const files = { source: null, driver: null }; // what the server says of each, with its token
let recording = null, isBusy = false, numSending = 0;

// A picture or a film in one of the three stages; the poster stands where the browser cannot play the film.
function present(name, { address, poster = "", isImage }) {
  const [image, film] = [`.${name} img`, `.${name} video`].map($);
  URL.revokeObjectURL(film.src);
  image.hidden = !isImage;
  film.hidden = isImage;
  $(`.${name} figcaption`).hidden = true;
  if (isImage) image.src = poster || address;
  else Object.assign(film, { poster, src: address });
}

async function take(name, file) {
  const line = $(`.${name}-facts`);
  numSending += 1;
  describe(); // nothing is made of the file that this one is to replace
  const token = await sendFile(file, (share) => { line.textContent = `Sends ${file.name}: ${Math.round(100 * share)} %`; });
  const facts = token && await ask("look_at", { token });
  line.textContent = "";
  numSending -= 1;
  if (facts) {
    files[name] = { ...facts, token, name: file.name };
    const address = facts.is_image ? "" : URL.createObjectURL(file);
    present(name, { address, poster: facts.picture, isImage: facts.is_image });
  }
  describe();
}

function describe() {
  for (const [name, facts] of Object.entries(files)) {
    if (!facts) continue;
    const length = facts.is_image ? "" : `, ${facts.length_s.toFixed(1)} s, ${facts.num_frames} frames${facts.has_sound ? "" : ", silent"}`;
    $(`.${name}-facts`).textContent = `${facts.name}: ${facts.width} × ${facts.height} pixels${length}`;
  }
  $(".go").textContent = files.driver?.is_image ? "Make the picture" : "Make the video";
  $(".go").disabled = isBusy || numSending > 0 || !(files.source && files.driver);
}

function request() {
  const number = (selector) => ($(selector).value === "" ? null : Number($(selector).value));
  const layout = $(".layout").value, isImage = files.driver.is_image;
  return {
    source: files.source.token,
    driver: files.driver.token,
    relative: $(".movement").value === "absolute" ? false : null, // of a picture the pose is taken anyway
    adapt_scale: $(".adapt").checked,
    find_best_frame: $(".best").checked && !isImage,
    smooth: $(".smooth").value && !isImage ? { kind: $(".smooth").value } : null,
    audio: $(".sound").value,
    look: { crop: $(".crop").checked, paste_back: layout === "paste_back", side_by_side: layout === "side_by_side", size: number(".width") },
    start_s: isImage ? 0 : number(".start") || 0,
    end_s: isImage ? null : number(".end"),
  };
}

async function make() {
  isBusy = true;
  describe();
  const moved = await runJob("begin_transfer", request());
  isBusy = false;
  describe();
  if (!moved) return;
  const address = `studio/results/${moved.token}`;
  present("result", { address, isImage: moved.is_image });
  if (!moved.is_image) $(".result video").play().catch(() => {}); // browsers may ask for a click first
  Object.assign($(".save"), { href: address, download: moved.name, hidden: false });
  $(".remarks").replaceChildren(...moved.remarks.map((line) => Object.assign(document.createElement("li"), { textContent: line })));
  $(".command code").textContent = moved.command;
}

async function record() {
  const camera = $(".camera"), button = $(".record");
  if (recording) {
    recording.stop();
    return;
  }
  if (!(await openCamera(camera))) return;
  recording = recordCamera(camera);
  if (recording) {
    const begun = Date.now();
    const tell = () => { button.textContent = `Stop recording (${Math.round((Date.now() - begun) / 1000)} s)`; };
    const clock = setInterval(tell, 500);
    tell();
    $(".driver").classList.add("recording");
    const film = await recording.film;
    recording = null;
    clearInterval(clock);
    button.textContent = "Record a driver";
    $(".driver").classList.remove("recording");
    closeCamera(camera);
    Object.assign($(".save-film"), { href: URL.createObjectURL(film), download: film.name, hidden: false });
    await take("driver", film);
  } else {
    closeCamera(camera);
  }
}

for (const name of ["source", "driver"]) {
  takePictures($(`.${name}-file`), $(`.${name}`), (file) => take(name, file));
  const film = $(`.${name} video`); // whose controls would hide a small picture
  for (const event of ["pointerenter", "focus"]) film.addEventListener(event, () => { film.controls = true; });
  for (const event of ["pointerleave", "blur"]) film.addEventListener(event, () => { film.controls = false; });
}
const see = () => $(".result").scrollIntoView({ block: "nearest", behavior: "smooth" }); // on a telephone it lies above
$(".result video").addEventListener("loadedmetadata", see);
$(".result img").addEventListener("load", see);
$(".width").placeholder = props.value.size_px;
$(".go").addEventListener("click", make);
$(".record").addEventListener("click", record);
copyOnClick($(".copy"), () => $(".command code").textContent);
describe();
