// What the tabs share: SVG elements, files chosen by the user, one line for what went wrong, long work, the camera.
const $ = (selector) => element.querySelector(selector);
const SVG = "http://www.w3.org/2000/svg";

function svg(name, attributes, parent) {
  const node = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  parent.append(node);
  return node;
}

function say(line) {
  $(".error").textContent = line || "";
}

// Ask the server; null, and the reason in the page, where it cannot do it.
async function ask(name, data) {
  try {
    const answer = await server[name](data);
    if (answer.error || name !== "job_state") say(answer.error); // what is asked all the time wipes no line away
    return answer.error ? null : answer;
  } catch (problem) {
    say("the studio does not answer; is it still running?");
    return null;
  }
}

const MAX_UPLOAD_BYTES = 2 ** 25;

function base64Of(file) {
  return new Promise((resolve) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result.slice(reader.result.indexOf(",") + 1));
    reader.onerror = () => resolve("");
    reader.readAsDataURL(file);
  });
}

async function askAboutFile(name, file, how = ask) {
  if (file.size > MAX_UPLOAD_BYTES) {
    say(`cannot read ${file.name}: it has more than 32 MiB; choose another picture`);
    return null;
  }
  const content = await base64Of(file);
  element.classList.add("waiting");
  const answer = await how(name, { name: file.name, content });
  element.classList.remove("waiting");
  return answer;
}

const MAX_VIDEO_BYTES = 2 ** 28, MAX_VIDEO_S = 300;

// Send a picture or a video of up to 256 MiB to be kept there for a while, and tell what share of it has gone; its
// token, or null and the reason in the page.
async function sendFile(file, tell = () => {}) {
  if (file.size > MAX_VIDEO_BYTES) {
    say(`cannot read ${file.name}: it has more than 256 MiB; choose another, or a part of it`);
    return null;
  }
  element.classList.add("waiting");
  const sent = await new Promise((resolve) => {
    const request = new XMLHttpRequest(); // fetch does not tell how far it is
    request.open("POST", `studio/upload?name=${encodeURIComponent(file.name)}`);
    request.setRequestHeader("Content-Type", "application/octet-stream");
    request.upload.addEventListener("progress", (event) => tell(event.loaded / event.total));
    request.addEventListener("loadend", () => resolve(request));
    request.send(file);
  });
  element.classList.remove("waiting");
  const why = sent.status ? sent.responseText : "the studio does not answer; is it still running?";
  const answer = sent.status === 200 ? JSON.parse(sent.responseText) : { error: `cannot send ${file.name}: ${why}` };
  say(answer.error);
  return answer.token || null;
}

const askAboutJob = (name, file) => askAboutFile(name, file, runJob);

const VIDEO_ENDINGS = /\.(3gp|asf|avi|flv|gif|m2ts|m4v|mkv|mov|mp4|mpe?g|mts|ogv|ts|webm|wmv)$/i;
const isVideo = (file) => file.type.startsWith("video/") || VIDEO_ENDINGS.test(file.name);

// Pictures by the button, or dropped on the stage: one after the other, and the first alone where one is wanted.
function takePictures(input, stage, use) {
  const useAll = async (files) => {
    for (const file of input.multiple ? files : files.slice(0, 1)) await use(file);
  };
  input.addEventListener("change", () => { useAll([...input.files]); input.value = ""; });
  if (!stage) return;
  stage.addEventListener("dragover", (event) => event.preventDefault());
  stage.addEventListener("drop", (event) => {
    event.preventDefault();
    useAll([...event.dataTransfer.files]);
  });
}

function save(name, href) {
  const link = document.createElement("a");
  link.href = href;
  link.download = name;
  link.click();
}

const saveText = (name, text) => save(name, "data:application/json," + encodeURIComponent(text));

// A name as a shell takes it.
const quoted = (name) => (/^[\w./-]+$/.test(name) && !name.startsWith("-") ? name : `'${name.replaceAll("'", "'\\''")}'`);

function copyOnClick(button, text) {
  button.addEventListener("click", () => navigator.clipboard.writeText(text()).then(() => {
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = "Copy"; }, 1500);
  }));
}

// Long work: the server function begins a job; the tab's .job shows its bar and a Stop. The result, or null.
async function runJob(name, data) {
  const box = $(".job"), bar = $(".job progress");
  if (!box.hidden) {
    say("this tab is at work already; wait until that is done, or stop it");
    return null;
  }
  box.hidden = false; // before the server is asked, so that nothing else begins meanwhile
  bar.removeAttribute("value");
  $(".job-text").textContent = "Begins …";
  $(".job .stop").onclick = null;
  const begun = await ask(name, data);
  $(".job .stop").onclick = () => ask("stop_job", begun);
  let state = begun && {};
  while (state && !state.result) {
    await new Promise((resolve) => { setTimeout(resolve, 250); });
    state = await ask("job_state", begun);
    if (state && state.total) bar.value = state.done / state.total;
    if (state) $(".job-text").textContent = jobText(state);
  }
  box.hidden = true;
  if (state) say(state.result.error);
  return state && !state.result.error ? { ...state.result, done: state.done, total: state.total } : null;
}

function jobText({ before, label, done, total, left_s: left }) {
  if (before) return `Waits for ${before} other job${before > 1 ? "s" : ""} …`;
  if (!total) return "Begins …";
  return `${label}: ${done} of ${total}` + (left === null ? "" : `, ${Math.ceil(left)} s left`);
}

// A slider over the frames of a video, and Play, which walks through them at their times, or more slowly where showing
// one takes longer. `begins` is called before the frames change by a slide or by Play.
function makePlayer(begins = () => {}) {
  const slider = $(".player .frame"), button = $(".player .play");
  let times = [], show = null, walk = 0, isSliding = false;

  function go(frame) {
    slider.value = frame;
    $(".frame-text").textContent = `Frame ${frame + 1} of ${times.length}, ${times[frame].toFixed(2)} s`;
    return show(frame);
  }

  function pause() {
    walk += 1;
    button.textContent = "Play";
  }

  async function play() {
    const mine = (walk += 1), last = times.length - 1;
    let frame = Number(slider.value) === last ? 0 : Number(slider.value);
    const start = performance.now() - 1000 * times[frame];
    button.textContent = "Pause";
    begins();
    for (;;) {
      await Promise.all([go(frame), new Promise((resolve) => { setTimeout(resolve, 15); })]);
      if (walk !== mine) return;
      if (frame === last) break;
      await new Promise((resolve) => { setTimeout(resolve, Math.max(0, start + 1000 * times[frame + 1] - performance.now())); });
      if (walk !== mine) return;
      const passed = (performance.now() - start) / 1000;
      while (frame < last && times[frame + 1] <= passed) frame += 1;
    }
    pause();
  }

  button.addEventListener("click", () => (button.textContent === "Play" ? play() : pause()));
  slider.addEventListener("input", () => {
    if (!isSliding) begins();
    isSliding = true;
    pause();
    go(Number(slider.value));
  });
  slider.addEventListener("change", () => { isSliding = false; });
  return {
    pause,
    open(times_s, shows) {
      pause();
      [times, show] = [times_s, shows];
      slider.max = times.length - 1;
      $(".player").hidden = times.length < 2;
      return go(0);
    },
    close() {
      pause();
      $(".player").hidden = true;
    },
  };
}

// The camera in a <video>; false, and the reason in the page, where there is none or it is refused.
async function openCamera(video) {
  if (!navigator.mediaDevices) {
    say("the browser gives no camera to this address; open the studio at 127.0.0.1, or under https");
    return false;
  }
  try {
    video.srcObject = await navigator.mediaDevices.getUserMedia({ video: { width: { ideal: 640 } }, audio: false });
    await video.play();
    say("");
    return true;
  } catch (problem) {
    say({
      NotAllowedError: "the camera was refused; allow it in the browser, then try again",
      NotFoundError: "there is no camera; connect one, then try again",
    }[problem.name] || `the camera cannot be used: ${problem.message}`);
    closeCamera(video);
    return false;
  }
}

function closeCamera(video) {
  if (video.srcObject) for (const track of video.srcObject.getTracks()) track.stop();
  video.srcObject = null;
}

// Record what the camera sees in a <video>, until stop() is called or the most seconds have passed. Gives
// { film, stop }: film is the promise of a file; null, and the reason in the page, where the browser records nothing.
function recordCamera(video, { seconds = MAX_VIDEO_S } = {}) {
  if (!window.MediaRecorder) {
    say("this browser records no video; choose a file");
    return null;
  }
  const kind = ["video/webm", "video/mp4"].find((one) => MediaRecorder.isTypeSupported(one));
  const recorder = new MediaRecorder(video.srcObject, kind ? { mimeType: kind } : {}), parts = [];
  recorder.addEventListener("dataavailable", (event) => parts.push(event.data));
  const film = new Promise((resolve) => recorder.addEventListener("stop", () => {
    const type = recorder.mimeType.split(";")[0];
    resolve(new File(parts, type === "video/mp4" ? "webcam.mp4" : "webcam.webm", { type }));
  }));
  recorder.start();
  const stop = () => { if (recorder.state !== "inactive") recorder.stop(); };
  setTimeout(stop, seconds * 1000);
  return { film, stop };
}

// What the camera sees now, as a JPEG in a data URL, its longer side at most so many pixels.
function cameraPicture(video, side) {
  const scale = Math.min(1, side / Math.max(video.videoWidth, video.videoHeight));
  const canvas = document.createElement("canvas");
  canvas.width = Math.round(video.videoWidth * scale);
  canvas.height = Math.round(video.videoHeight * scale);
  canvas.getContext("2d").drawImage(video, 0, 0, canvas.width, canvas.height);
  return canvas.toDataURL("image/jpeg", 0.85);
}

// Keypoints in [-1, 1] are the centres of the outer pixels; an SVG's units are the pixels' borders.
const toPixel = (value, size) => ((value + 1) / 2) * (size - 1) + 0.5;
const fromPixel = (value, size) => ((value - 0.5) / (size - 1)) * 2 - 1;
