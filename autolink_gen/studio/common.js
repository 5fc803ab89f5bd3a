// What both tabs share: SVG elements, files chosen by the user, one line for what went wrong.
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
    say(answer.error);
    return answer.error ? null : answer;
  } catch (problem) {
    say("the studio does not answer; is it still running?");
    return null;
  }
}

const MAX_UPLOAD_BYTES = 2 ** 25;

async function askAboutFile(name, file) {
  if (file.size > MAX_UPLOAD_BYTES) {
    say(`cannot read ${file.name}: it has more than 32 MiB; choose another picture`);
    return null;
  }
  const content = await new Promise((resolve) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result.slice(reader.result.indexOf(",") + 1));
    reader.onerror = () => resolve("");
    reader.readAsDataURL(file);
  });
  element.classList.add("waiting");
  const answer = await ask(name, { name: file.name, content });
  element.classList.remove("waiting");
  return answer;
}

// Pictures by the button, or dropped on the stage: one after the other, and the first alone where one is wanted.
function takePictures(input, stage, use) {
  const useAll = async (files) => {
    for (const file of input.multiple ? files : files.slice(0, 1)) await use(file);
  };
  input.addEventListener("change", () => { useAll([...input.files]); input.value = ""; });
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

function copyOnClick(button, text) {
  button.addEventListener("click", () => navigator.clipboard.writeText(text()).then(() => {
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = "Copy"; }, 1500);
  }));
}

// Keypoints in [-1, 1] are the centres of the outer pixels; an SVG's units are the pixels' borders.
const toPixel = (value, size) => ((value + 1) / 2) * (size - 1) + 0.5;
const fromPixel = (value, size) => ((value - 0.5) / (size - 1)) * 2 - 1;
