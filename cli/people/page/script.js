// Shows what the judge asks and sends back what the person says. Texts are only ever put in as text.

const ANSWERS = { "1": "first", "2": "second", "=": "tie", "0": "tie", "u": "back" };
const NOTICES = {
  waiting: "Nothing to compare at the moment. This page goes on by itself.",
  ended: "The judge has ended. Votes are kept; you may close this page.",
  stopped: "Stopped. Votes are kept; the same command goes on from here.",
  lost:
    "The judge cannot be reached. Votes are kept; if it was started again, it has told its new address.",
};

const at = (id) => document.getElementById(id);

/** The id of the question that is shown and not answered. */
let open;
let state = "waiting";

function show(message) {
  state = message.state;
  document.body.dataset.state = state;
  open = message.state === "question" ? message.id : undefined;
  if (state === "ended") events.close();
  if (state !== "question") {
    at("notice").textContent = NOTICES[state];
    at("place").textContent = state === "waiting" ? "Waiting for the judge" : "";
    return;
  }
  const { name, number, total, later, prompt } = message.question;
  at("place").textContent = (name === undefined ? "" : `${name}: `) +
    `question ${number} of ${total}` + (later ? `, then up to ${later} more prompts` : "");
  at("progress").max = total;
  at("progress").value = number - 1;
  const turns = typeof prompt.content === "string"
    ? [{ role: undefined, content: prompt.content }]
    : prompt.content;
  at("prompt").replaceChildren(...turns.flatMap(({ role, content }) => [
    ...(role === undefined ? [] : [textElement("h3", role)]),
    textElement("div", content),
  ]));
  at("prompt").scrollTop = 0;
  for (const side of ["first", "second"]) at(side).textContent = message.question[side];
  for (const button of document.querySelectorAll("button")) button.disabled = false;
  document.querySelector('[data-answer="back"]').disabled = number === 1;
  scrollTo(0, 0);
}

function textElement(tag, text) {
  const element = document.createElement(tag);
  element.textContent = text;
  if (tag === "div") {
    element.className = "text";
    element.dir = "auto";
  }
  return element;
}

async function send(path, body) {
  try {
    await fetch(path, { method: "POST", body: JSON.stringify(body) });
  } catch {
    show({ state: "lost" });
  }
}

async function say(answer) {
  if (open === undefined) return;
  const id = open;
  open = undefined; // until the next question is there, so that no key counts twice
  for (const button of document.querySelectorAll("button")) button.disabled = true;
  await send("vote", { id, answer });
}

async function stop() {
  await send("stop", {});
  events.close();
  show({ state: "stopped" });
}

document.addEventListener("keydown", (event) => {
  if (event.repeat || event.ctrlKey || event.metaKey || event.altKey) return;
  const key = event.key.toLowerCase();
  if (Object.hasOwn(ANSWERS, key)) say(ANSWERS[key]);
  else if (key === "q" && state === "question") stop();
});
for (const button of document.querySelectorAll("[data-answer]")) {
  button.addEventListener("click", () => say(button.dataset.answer));
}
at("stop").addEventListener("click", stop);

const events = new EventSource("events");
events.onmessage = ({ data }) => show(JSON.parse(data));
events.onerror = () => {
  show({ state: "lost" });
};
