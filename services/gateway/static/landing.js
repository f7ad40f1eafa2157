// The live list of tasks. It shows what the service said last, and when; it never guesses. Texts of tasks are hostile until
// proven otherwise, so everything goes through textContent. No dependencies.

const ROWS_MAX = 300;
const ENDED_MAX = 20;
const QUIET_AFTER_MS = 10_000;
const DOCUMENT_TITLE = "taskstate";
const WORDS = { pending: "Pending", queued: "Queued", running: "Running", retrying: "Retrying", succeeded: "Succeeded", failed: "Failed", cancelled: "Cancelled", lost: "Lost" };
const WAITS = {
  dispatch: "dispatch", time: "its time", dependency: "another task", slot: "a free slot of its group",
  previous_process: "its previous process to go", no_worker: "a worker that knows its type", paused: "its queue, which is paused",
};
const REASONS = {
  ERROR: "Error in the task", TIMEOUT: "Ran past its limit", STALLED: "No progress", FORCE_CANCELLED: "Force cancelled by user",
  WORKER_LOST: "Worker vanished", WORKER_DRAINED: "Worker was stopped", ENQUEUE_FAILED: "Could not be put in the queue",
  DEPENDENCY_FAILED: "A task it needs did not succeed", RESET: "Ended by a reset", ADOPTED: "Late result accepted",
};
/** What casts doubt on "Running": beside the state and never in its place, each with its own shape and what comes of it. */
const DOUBTS = {
  suspect: { word: "Suspect", says: () => "Connection to the worker ended. It has a short grace to come back." },
  unresponsive: { word: "Unresponsive", says: () => "The process is there, but its code has not reported. Not counted as dead." },
  cancelling: { word: "Cancelling", says: (task) => `Stop requested; ${stopStage(task.cancel)}.` },
};
const EXITS = { confirmed: "Exit seen.", unconfirmed: "The exit was not confirmed." };

const $ = (id) => document.getElementById(id);
/** Every task known here, by id: {task, row, section, seen}. An entry is replaced only by a higher revision. */
const entries = new Map();
const dirty = new Set();
const connection = { lastId: null, heardAt: 0, serverTime: 0, isOpen: false, isUpstreamLost: false, lostAt: null, epoch: 0 };

/** The server's clock now: its last checkpoint plus our monotonic time since. Stands still while disconnected. */
function serverNow() {
  const since = connection.isOpen ? performance.now() : connection.lostAt ?? performance.now();
  return connection.serverTime ? connection.serverTime + (since - connection.clockAt) : null;
}

function element(name, className, text) {
  const node = document.createElement(name);
  if (className) node.className = className;
  if (text !== undefined) node.textContent = text;
  return node;
}

/** Control and direction characters drawn as visible marks, and long text cut: a cell shows what is there and no more. */
function visible(text, limit = 200) {
  const marked = text.replace(/[\u0000-\u001f]/g, (c) => String.fromCharCode(0x2400 + c.charCodeAt(0))).replace(/[\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069]/g, "\ufffd");
  return marked.length > limit ? `${marked.slice(0, limit)}…` : marked;
}

function span(ms) {
  const s = Math.max(0, ms) / 1000;
  if (s < 10) return `${s.toFixed(1)} s`;
  if (s < 60) return `${Math.floor(s)} s`;
  const m = Math.floor(s / 60);
  if (m < 60) return `${m} min ${Math.floor(s % 60)} s`;
  const h = Math.floor(m / 60);
  return h < 24 ? `${h} h ${m % 60} min` : `${Math.floor(h / 24)} d ${h % 24} h`;
}

const ageOf = (time) => (time && serverNow() !== null ? span(serverNow() - Date.parse(time)) : "");

function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  svg.setAttribute("aria-hidden", "true");
  use.setAttribute("href", `#i-${name}`);
  svg.append(use);
  return svg;
}

function badge(task) {
  const node = element("span", `badge ${task.state in WORDS ? task.state : "pending"}`);
  node.append(icon(task.state), WORDS[task.state] ?? task.state);
  return node;
}

/** The doubts about a task, the gravest first. */
function doubtsOf(task) {
  const isCancelling = task.is_running && task.cancel !== null && task.cancel.outcome === null;
  return [task.liveness in DOUBTS && task.is_running ? task.liveness : "", isCancelling ? "cancelling" : ""].filter(Boolean);
}

function stopStage(cancel) {
  if (cancel.signal_time) return "told to end, and killed if it does not";
  return cancel.deliver_time ? "delivered, waiting for the task to stop" : "not delivered yet";
}

function stateCell(task) {
  const cell = element("td");
  cell.append(badge(task));
  for (const doubt of doubtsOf(task)) {
    const mark = element("div", `doubt ${doubt}`);
    mark.append(icon(doubt), DOUBTS[doubt].word);
    cell.append(mark);
  }
  return cell;
}

function nameCell(task) {
  const cell = element("td");
  const link = element("a", "name");
  const name = element("bdi", "", visible(task.human_readable_name));
  name.dir = "auto";
  link.href = `/api/v2/tasks/${task.task_id}`;
  link.append(name);
  const attempt = task.attempt > 1 ? ` · attempt ${task.attempt} of ${task.max_attempts}` : "";
  cell.append(link, element("div", "meta", `${task.type} #${task.task_id.slice(0, 4)}${attempt}`));
  return cell;
}

function segment(className, share) {
  const node = element("span", className);
  if (share !== null) {
    const fill = element("i");
    fill.style.width = `${Math.min(100, Math.max(0, share))}%`;
    node.append(fill);
  }
  return node;
}

function phaseSegment(phase) {
  if (phase.state === "done") return segment("done", 100);
  if (phase.state !== "running") return segment(phase.state, null);
  return phase.total ? segment("running-phase", (100 * phase.done) / phase.total) : segment("unknown", null);
}

function progressCell(task) {
  const cell = element("td");
  const bar = element("div", "bar");
  const { percent, done, total } = task.progress;
  const phases = task.phases.filter((phase) => !phase.id.includes("."));
  const current = task.phases.find((phase) => phase.id === task.phase);
  const label = current ? visible(current.name || current.id, 60) : "";
  const count = phases.length ? `phase ${Math.min(done + 1, phases.length)} of ${phases.length}` : total === null ? (done ? `${done.toLocaleString()} done` : "") : `${done.toLocaleString()} of ${total.toLocaleString()}`;
  // Whole percent, and 99 until truly all.
  const shown = percent === null ? "" : `${percent < 100 ? Math.min(99, Math.floor(percent)) : 100} %`;
  if (phases.length) bar.append(...phases.map(phaseSegment));
  else bar.append(percent === null ? segment("unknown", null) : segment("", percent));
  const text = [label, count, shown].filter(Boolean).join(" · ");
  bar.setAttribute("role", "progressbar");
  bar.setAttribute("aria-label", "Progress");
  bar.setAttribute("aria-valuetext", text || "not known");
  if (percent !== null) bar.setAttribute("aria-valuenow", String(Math.floor(percent)));
  const doubts = doubtsOf(task);
  bar.classList.toggle("doubtful", doubts.some((doubt) => doubt !== "cancelling"));
  cell.append(bar, element("div", "", text || "Progress not known"));
  for (const doubt of doubts) {
    const says = element("div", `says ${doubt}`, `${DOUBTS[doubt].says(task)} `);
    if (doubt === "cancelling" && task.cancel.deadline_time) {
      const until = element("span");
      until.dataset.until = task.cancel.deadline_time;
      says.append(until);
    }
    cell.append(says);
  }
  if (task.message) cell.append(element("div", "meta", visible(task.message)));
  return cell;
}

function labelled(label, text, time) {
  const cell = element("td", "", text);
  cell.dataset.label = label;
  if (time) cell.dataset.since = time;
  return cell;
}

/** What became of the process of a task that was told to stop; empty where there was none, or the task finished first. */
function exitOf(task) {
  if (!task.cancel || !task.attempt || !["failed", "cancelled"].includes(task.state)) return "";
  return task.cancel.outcome === null ? "Its process is being ended." : EXITS[task.cancel.outcome] ?? "";
}

function howCell(task) {
  const cell = element("td");
  const took = task.execution_duration === null ? "" : span(task.execution_duration * 1000);
  const reason = task.reason ? REASONS[task.reason] ?? task.reason : "";
  const how = { cancelled: took ? `Stopped after ${took}` : "Stopped before it ran", succeeded: took ? `Finished in ${took}` : "Finished", lost: "The worker vanished. The outcome is not known." }[task.state] ?? ([reason, took && `after ${took}`].filter(Boolean).join(" ") || WORDS[task.state]);
  const said = task.error ? `${task.error.type}: ${task.error.message}` : task.message;
  cell.append(element("div", "", how));
  const exit = exitOf(task);
  if (exit) cell.append(element("div", "meta", exit));
  if (said) cell.append(element("div", "meta", visible(said)));
  return cell;
}

const CELLS = {
  running: (task) => [stateCell(task), nameCell(task), progressCell(task), labelled("heard", "", task.heard_time), labelled("for", "", task.start_time), labelled("worker", visible(task.worker?.worker_id ?? "", 60))],
  waiting: (task) => [stateCell(task), nameCell(task), labelled("waits for", task.state === "queued" ? `a worker of queue ${visible(task.queue, 64)}` : WAITS[task.wait_reason] ?? "not known"), labelled("for", "", task.create_time)],
  ended: (task) => [stateCell(task), nameCell(task), howCell(task), labelled("ended", "", task.end_time)],
};
const AGO = new Set(["heard", "ended"]);

function sectionOf(task) {
  if (!task.is_active) return "ended";
  return task.is_running ? "running" : "waiting";
}

function paintUntil(node) {
  const now = serverNow();
  const left = now === null ? null : Date.parse(node.dataset.until) - now;
  node.textContent = left === null ? "" : left > 0 ? `Over in ${span(left)} in any case.` : "Over now in any case.";
}

function paintAges(root) {
  root.querySelectorAll("[data-since]").forEach(paintAge);
  root.querySelectorAll("[data-until]").forEach(paintUntil);
}

function paintAge(cell) {
  const age = ageOf(cell.dataset.since);
  cell.textContent = age && AGO.has(cell.dataset.label) ? `${age} ago` : age;
}

function paint() {
  for (const id of dirty) {
    const entry = entries.get(id);
    const section = sectionOf(entry.task);
    entry.row ??= element("tr");
    const focused = entry.row.contains(document.activeElement);
    entry.row.replaceChildren(...CELLS[section](entry.task));
    if (entry.section !== section) {
      // Rows move only when their state does, never under a reader's pointer for any other cause.
      entry.section = section;
      if (section === "ended") placeEnded(entry);
      else if ($(section).rows.length < ROWS_MAX) $(section).append(entry.row);
    }
    if (focused) entry.row.querySelector("a")?.focus();
    paintAges(entry.row);
  }
  dirty.clear();
  trimEnded();
  paintCounts();
}

/** The newest end stands first, also among those that were read as a list, which comes by creation. */
function placeEnded(entry) {
  const end = Date.parse(entry.task.end_time);
  entry.row.dataset.end = String(end);
  const older = [...$("ended").rows].find((row) => Number(row.dataset.end) < end);
  $("ended").insertBefore(entry.row, older ?? null);
}

function trimEnded() {
  const rows = $("ended").rows;
  while (rows.length > ENDED_MAX) rows[rows.length - 1].remove();
  for (const [id, entry] of entries) if (entry.section === "ended" && !entry.row.isConnected) entries.delete(id);
}

function paintCounts() {
  const count = { running: 0, waiting: 0, ended: 0 };
  for (const entry of entries.values()) count[sectionOf(entry.task)] += 1;
  for (const section of ["running", "waiting", "ended"]) {
    $(`${section}-empty`).hidden = count[section] > 0;
    $(section).closest("table").hidden = count[section] === 0;
    if (section !== "ended") $(`${section}-count`).textContent = count[section].toLocaleString();
  }
  document.title = count.running ? `${count.running} running | ${DOCUMENT_TITLE}` : DOCUMENT_TITLE;
}

function markDirty(id) {
  if (dirty.size === 0) requestAnimationFrame(paint);
  dirty.add(id);
}

/** Take a task as the service showed it: "apply if the revision is greater" is always right. */
function apply(task) {
  const entry = entries.get(task.task_id);
  if (entry) entry.epoch = connection.epoch;
  if (entry && BigInt(entry.task.revision) >= BigInt(task.revision)) return;
  if (entry) entry.task = task;
  else entries.set(task.task_id, { task, row: null, section: null, epoch: connection.epoch });
  markDirty(task.task_id);
}

/** After a reset's snapshot: what it did not show as active is not active any more, and how it ended is not known here. */
function dropUnseen() {
  for (const [id, entry] of entries) {
    if (entry.task.is_active && entry.epoch !== connection.epoch) {
      entry.row?.remove();
      dirty.delete(id);
      entries.delete(id);
    }
  }
  paintCounts();
}

function heard() {
  connection.heardAt = performance.now();
  if (!connection.isOpen) {
    connection.isOpen = true;
    connection.lostAt = null;
  }
}

function listen() {
  const resume = connection.lastId === null ? "" : `?from_revision=${connection.lastId}`;
  const source = new EventSource(`/api/v2/stream${resume}`);
  let resetPending = connection.lastId === null;
  source.addEventListener("task", (message) => {
    heard();
    if (message.lastEventId) connection.lastId = message.lastEventId;
    apply(JSON.parse(message.data).task);
  });
  source.addEventListener("checkpoint", (message) => {
    heard();
    connection.lastId = message.lastEventId;
    connection.serverTime = Date.parse(JSON.parse(message.data).server_time);
    connection.clockAt = performance.now();
    if (resetPending) {
      resetPending = false;
      dropUnseen();
      loadEnded();
    }
    tick();
  });
  source.addEventListener("reset", () => {
    heard();
    connection.epoch += 1;
    resetPending = true;
  });
  source.addEventListener("error", () => {
    if (connection.isOpen || connection.lostAt === null) connection.lostAt = performance.now();
    connection.isOpen = false;
    tick();
    if (source.readyState === EventSource.CLOSED) setTimeout(listen, 1000 + Math.random() * 2000);
  });
}

/** The stream tells of what is active; what ended before is asked for once. */
async function loadEnded() {
  try {
    const ended = ["succeeded", "failed", "cancelled", "lost"].map((state) => `status=${state}`).join("&");
    const answer = await fetch(`/api/v2/tasks?limit=${ENDED_MAX}&${ended}`);
    if (answer.ok) for (const task of (await answer.json()).tasks.reverse()) apply(task);
  } catch (error) {
    console.warn("the list of ended tasks could not be read", error);
  }
}

function tick() {
  const age = performance.now() - connection.heardAt;
  const is = connection.isOpen ? (age > QUIET_AFTER_MS ? "quiet" : "live") : connection.heardAt ? "lost" : "connecting";
  const text = { live: `Live · ${span(age)}`, quiet: `Quiet · ${span(age)}`, lost: `Disconnected · ${span(age)}`, connecting: "Connecting" }[is];
  $("connection").dataset.is = is;
  $("connection-text").textContent = text;
  const since = new Date(Date.now() - age).toLocaleTimeString();
  $("disconnected").hidden = is !== "lost" && is !== "quiet";
  if (!$("disconnected").hidden && !$("disconnected").textContent) {
    $("disconnected").textContent = `Nothing heard since ${since}. What you see is from then. Trying again.`;
  } else if ($("disconnected").hidden) {
    $("disconnected").textContent = "";
  }
  document.body.classList.toggle("unconfirmed", is !== "live");
  if (!document.hidden) paintAges(document);
}

paintCounts();
listen();
setInterval(tick, 1000);
