// What the reader does: keys and buttons to answers, which go to the server one after the other.

import { Viewer, decode } from "/viewer.js";

const QUESTIONS = ["realistic", "shows_label"];
const SAID = {
  ...{ accept: "accepted", reject: "rejected", review: "unsure" },
  ...{ real: "called real", synthetic: "called synthetic" },
};
const AHEAD = 4;
const KEPT = 24;
const element = (id) => document.getElementById(id);

let blinded = false;
let cases = [];
let at = 0;
let comparing = false;
let ended = false;
let unsent = 0;
let asked = 0; // so that a slow answer about an earlier image is not shown beside a later one
let hold = { down: false, used: false };
let queue = Promise.resolve();
const images = new Map();
const canvases = ["image", "real"].map(element).filter(Boolean);
const viewer = new Viewer(element("stage"), canvases, showView);

history.replaceState(null, "", "/"); // the token is a cookie now and need not be seen or copied
start();

async function start() {
  try {
    ({ blinded, cases } = await (await ask("/cases")).json());
  } catch (error) {
    notice(error.message);
    return;
  }
  const open = cases.findIndex((each) => !each.answer);
  show(open < 0 ? 0 : open);
  if (open < 0) showEnd();
}

// ---- what is shown

function show(index) {
  at = index;
  const name = cases[at].id;
  viewer.view = { ...viewer.view, width: 256, level: 128, zoom: 1, x: 0, y: 0, inverted: false };
  const known = images.get(name);
  viewer.show(0, known instanceof Promise ? null : (known ?? null));
  if (!known || known instanceof Promise) load(name).then(showLate, (error) => at === index && notice(error.message));
  if (comparing) showNearest();
  showAnswers();
  preload();

  function showLate(image) {
    if (cases[at].id === name) viewer.show(0, image);
  }
}

function showAnswers() {
  const now = cases[at];
  const answered = cases.filter((each) => each.answer).length;
  element("place").textContent = `${at + 1} of ${cases.length}`;
  Object.assign(element("bar"), { max: cases.length, value: answered });
  element("counts").textContent = counts();
  element("label").textContent = now.label;
  if (now.asked) element("q-shows_label").textContent = `Does it show ${now.asked}?`;
  element("image-caption").textContent = now.answer ? `You: ${SAID[now.answer]}` : blinded ? "" : "Synthetic";
  element("image-caption").className = now.answer ?? "";
  if (element("prompt")) element("prompt").textContent = now.prompt ? `Prompt: ${now.prompt}` : "";
  if (element("reasons")) showReasons(now.reasons);
  for (const button of document.querySelectorAll("[data-answer]")) press(button, button.dataset.answer === now.answer);
  for (const button of document.querySelectorAll("[data-question]")) {
    press(button, now[button.dataset.question] === (button.dataset.value === "yes"));
  }
  element("previous").disabled = at === 0;
  element("next").disabled = at === cases.length - 1;
}

function counts() {
  if (blinded) return `${cases.filter((each) => each.answer).length} answered`;
  const kinds = ["accept", "reject", "review"];
  return kinds.map((kind) => `${cases.filter((each) => each.answer === kind).length} ${SAID[kind]}`).join(" · ");
}

function showReasons(reasons) {
  element("why").hidden = !reasons.length;
  element("reasons").replaceChildren(...reasons.map((reason) => textIn("li", reason)));
}

function showView({ width, level, zoom }) {
  const tool = viewer.windowing ? "arrows and drag: window" : zoom > 1 ? "drag: move" : "drag: window";
  element("readout").textContent = `W ${width}  L ${level}   zoom ${Math.round(zoom * 100)}%   ${tool}`;
}

async function showNearest() {
  const [name, question] = [cases[at].id, ++asked];
  const caption = element("real-caption");
  caption.textContent = "Searching the training images…";
  viewer.show(1, null);
  try {
    const found = await (await ask(`/nearest/${name}`)).json();
    const image = await load(found.id);
    if (question !== asked || !comparing) return;
    caption.textContent = `Nearest real: ${found.file}, correlation ${found.correlation.toFixed(3)}`;
    viewer.show(1, image);
  } catch (error) {
    if (question === asked) caption.textContent = error.message;
  }
}

function notice(text) {
  element("notice").hidden = !text;
  element("notice").textContent = text;
}

function say(text) {
  element("said").textContent = text;
}

function press(button, pressed) {
  button.setAttribute("aria-pressed", String(pressed));
}

function textIn(kind, text) {
  const made = document.createElement(kind);
  made.textContent = text;
  return made;
}

// ---- images, fetched before they are needed

function load(name) {
  if (images.has(name)) return Promise.resolve(images.get(name));
  const coming = ask(`/image/${name}`)
    .then((response) => response.arrayBuffer())
    .then((buffer) => {
      const image = decode(buffer);
      if (images.get(name) === coming) images.set(name, image); // given up meanwhile, it would push out a later one
      return image;
    });
  images.set(name, coming);
  coming.catch(() => images.delete(name));
  for (const old of [...images.keys()].slice(0, Math.max(0, images.size - KEPT))) images.delete(old);
  return coming;
}

function preload() {
  const ahead = [];
  for (let index = at + 1; index < cases.length && ahead.length < AHEAD; index++) {
    if (index === at + 1 || !cases[index].answer) ahead.push(index);
  }
  const around = at > 0 ? [...ahead, at - 1] : ahead;
  for (const index of around) load(cases[index].id).catch(() => {});
}

// ---- answers

function answer(kind) {
  const now = cases[at];
  const before = now.answer;
  const fields = blinded ? { answer: kind } : { decision: kind, realistic: now.realistic, shows_label: now.shows_label };
  now.answer = kind;
  say(`${SAID[kind]}.`);
  inTurn(() => send("/answer", { id: now.id, ...fields })).catch((error) => {
    now.answer = before;
    show(cases.indexOf(now));
    notice(`Not stored: ${error.message}`);
  });
  advance();
}

function advance() {
  const later = cases.findIndex((each, index) => index > at && !each.answer);
  const open = later < 0 ? cases.findIndex((each) => !each.answer) : later;
  if (open >= 0) {
    show(open);
    return;
  }
  showAnswers();
  showEnd();
}

function undo() {
  inTurn(() => send("/undo", {}))
    .then((response) => response.json())
    .then((now) => {
      notice("");
      const index = cases.findIndex((each) => each.id === now.id);
      Object.assign(cases[index], now);
      show(index);
      say("Taken back.");
    })
    .catch((error) => notice(error.message));
}

function toggle(question, value) {
  const now = cases[at];
  now[question] = now[question] === value ? null : value;
  showAnswers();
}

function go(step) {
  const index = Math.min(cases.length - 1, Math.max(0, at + step));
  if (index !== at) show(index);
}

function inTurn(work) {
  unsent += 1;
  const done = queue.then(work).finally(() => {
    unsent -= 1;
  });
  queue = done.catch(() => {});
  return done;
}

async function send(path, fields) {
  const request = { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(fields) };
  for (;;) {
    try {
      const response = await ask(path, request);
      if (element("notice").dataset.waiting) notice("");
      delete element("notice").dataset.waiting;
      return response;
    } catch (error) {
      if (error.status !== 503) throw error;
      element("notice").dataset.waiting = "yes";
      notice(`Waiting to store your answer: ${error.message}`);
      await new Promise((resolve) => setTimeout(resolve, 2000));
    }
  }
}

async function ask(path, request) {
  let response;
  try {
    response = await fetch(path, request);
  } catch {
    throw new Error("balance has ended. Your answers are stored. To continue, start balance review again.");
  }
  if (response.ok) return response;
  const said = await response.json().catch(() => ({ why: `the server answered ${response.status}` }));
  throw Object.assign(new Error(said.why), { status: response.status });
}

// ---- the end

function showEnd() {
  const open = cases.filter((each) => !each.answer).length;
  element("end-title").textContent = open ? `Finish? ${open} of ${cases.length} are not answered` : "All answered";
  element("end-text").replaceChildren(textIn("p", open ? "You can go on with them another time." : counts()));
  element("end").showModal();
  element("end-finish").focus();
}

async function finish() {
  element("end-finish").disabled = true;
  await queue;
  try {
    const { sentences } = await (await send("/finish", {})).json();
    ended = true;
    element("end-title").textContent = "Thank you";
    const lines = [...sentences, "You can close this page."].map((line) => textIn("p", line));
    element("end-text").replaceChildren(...lines);
    element("end-buttons").remove();
  } catch (error) {
    element("end-finish").disabled = false;
    element("end-text").replaceChildren(textIn("p", error.message));
  }
}

// ---- keys and buttons

function setWindowing(on) {
  viewer.windowing = on;
  press(element("window"), on);
  showView(viewer.view);
}

function compare() {
  comparing = !comparing;
  element("near").hidden = !comparing;
  press(element("nearest"), comparing);
  if (comparing) showNearest();
  viewer.paint();
}

const ANSWERS = () => (blinded ? { r: "real", s: "synthetic" } : { a: "accept", r: "reject", u: "review" });
const MOVES = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const KEYS = {
  z: undo,
  i: () => viewer.invert(),
  0: () => viewer.reset(),
  "+": () => viewer.zoom(1.25),
  "=": () => viewer.zoom(1.25),
  "-": () => viewer.zoom(0.8),
  "?": () => element("help").showModal(),
  Escape: () => setWindowing(false),
};
const QUESTION_KEYS = { 1: [0, true], 2: [0, false], 3: [1, true], 4: [1, false] };

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || ended || !cases.length) return;
  if (event.key === "z" && element("end").open) element("end").close();
  if (document.querySelector("dialog[open]")) return;
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  const given = Object.hasOwn(ANSWERS(), key) && ANSWERS()[key];
  if (key === "w") holdWindow(event);
  else if (given && !event.repeat) answer(given);
  else if (MOVES[key]) onArrow(event, MOVES[key]);
  else if (!blinded && QUESTION_KEYS[key] && !event.repeat) toggle(QUESTIONS[QUESTION_KEYS[key][0]], QUESTION_KEYS[key][1]);
  else if (!blinded && key === "n" && !event.repeat) compare();
  else if (Object.hasOwn(KEYS, key)) KEYS[key]();
  else return;
  event.preventDefault();
}

function onArrow(event, [x, y]) {
  if (viewer.windowing) {
    hold.used = true;
    viewer.window(8 * x, -4 * y);
  } else if (event.shiftKey) {
    viewer.move((-0.1 * x) / viewer.view.zoom, (-0.1 * y) / viewer.view.zoom);
  } else if (x) {
    go(x);
  }
}

function holdWindow(event) {
  if (event.repeat) return;
  hold = { down: true, used: viewer.windowing }; // a second tap ends what the first began
  setWindowing(true);
}

function releaseWindow() {
  if (hold.down && hold.used) setWindowing(false);
  hold.down = false;
}

document.addEventListener("keydown", onKey);
document.addEventListener("keyup", (event) => event.key.toLowerCase() === "w" && releaseWindow());
document.addEventListener("pointermove", (event) => {
  if (event.buttons) hold.used = true;
});
window.addEventListener("blur", releaseWindow);
window.addEventListener("beforeunload", (event) => {
  if (unsent && !ended) event.preventDefault();
});
element("help").addEventListener("keydown", (event) => event.key === "?" && element("help").close());
element("end").addEventListener("cancel", (event) => ended && event.preventDefault());
for (const button of document.querySelectorAll("[data-answer]")) {
  button.addEventListener("click", () => answer(button.dataset.answer));
}
for (const button of document.querySelectorAll("[data-question]")) {
  button.addEventListener("click", () => toggle(button.dataset.question, button.dataset.value === "yes"));
}
const CLICKS = {
  previous: () => go(-1),
  next: () => go(1),
  undo,
  nearest: compare,
  window: () => setWindowing(!viewer.windowing),
  reset: () => viewer.reset(),
  finish: showEnd,
  "help-button": () => element("help").showModal(),
  "end-finish": finish,
  "end-back": () => element("end").close(),
};
for (const [id, click] of Object.entries(CLICKS)) element(id)?.addEventListener("click", click);
