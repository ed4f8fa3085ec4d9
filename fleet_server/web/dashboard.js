// The dashboard: asks the REST interface every two seconds and draws what it says.
// Everything from the server becomes text nodes; nothing is ever parsed as HTML.
"use strict";

const PERIOD_MS = 2000;
const EVENTS_SHOWN = 100;
const COMMANDS_SHOWN = 20;
const STATE_KIND = {
  online: "good", offline: "quiet", revoked: "bad", healthy: "good", degraded: "caution", failing: "bad",
  succeeded: "good", running: "", paused: "caution", rolling_back: "caution", rolled_back: "bad", aborted: "bad", superseded: "quiet",
  done: "good", failed: "bad", sent: "", waiting: "caution", expired: "bad", cancelled: "quiet", pass: "good", wait: "caution", fail: "bad",
};
const ACTIONS = {
  waiting_for_approval: ["approve", "abort"], ready: ["start", "abort"], running: ["pause", "rollback", "abort"],
  paused: ["resume", "rollback", "abort"], rolling_back: ["abort"],
};
const CONSEQUENCE = {
  rollback: "Every device that was asked goes back to the version it had before.",
  abort: "No further device is asked; those that are done keep the version, the others are called back.",
  start: "Devices of the first phase are asked to update now.",
  approve: "The rollout may start.",
};

let token = readToken();
let lastEvent = null;
let events = [];
const opened = new Set();

function readToken() {
  const match = location.hash.match(/[#&?]token=([^&]+)/);
  if (match) {
    sessionStorage.setItem("token", decodeURIComponent(match[1]));
    history.replaceState(null, "", location.pathname);
  }
  return sessionStorage.getItem("token") || "";
}

function byId(id) { return document.getElementById(id); }

function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "onclick") element.addEventListener("click", value);
    else if (value !== undefined && value !== false) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

function chip(word) {
  const kind = STATE_KIND[word];
  return make("span", { class: `chip ${kind === undefined ? "" : kind}` }, String(word).replaceAll("_", " "));
}

async function ask(path, body) {
  const options = { headers: { authorization: `Bearer ${token}` } };
  if (body) {
    options.method = "POST";
    options.headers["content-type"] = "application/json";
    options.body = JSON.stringify(body);
  }
  const response = await fetch(path, options);
  const answer = await response.json();
  if (!response.ok) throw Object.assign(new Error(`${answer.error || "the server refused"} ${answer.advice || ""}`), { code: response.status });
  return answer;
}

function number(value, digits = 3) {
  if (value === null || value === undefined) return "–";
  return Number.isInteger(value) ? value.toLocaleString("en") : Number(value.toPrecision(digits)).toString();
}

function clock(text) { return text ? new Date(text).toLocaleTimeString() : "–"; }

function version(ref) { return ref ? `${ref.model} ${ref.version}` : "–"; }

function table(target, columns, rows, empty) {
  const head = make("tr", {}, ...columns.map(([name, kind]) => make("th", { class: kind, scope: "col" }, name)));
  const body = rows.map((cells) => make("tr", {}, ...cells.map((cell, index) => make("td", { class: columns[index][1] }, cell))));
  if (!rows.length) body.push(make("tr", {}, make("td", { colspan: columns.length, class: "muted" }, empty)));
  target.replaceChildren(make("thead", {}, head), make("tbody", {}, ...body));
  return target;
}

function drawDevices(devices) {
  const columns = [["device", "line"], ["class"], ["presence"], ["runs", "line"], ["wanted", "line"], ["update"], ["p95, ms", "number"], ["health"], ["last seen", "line"]];
  const rows = devices.map((device) => {
    const slot = device.reported && device.reported.slots.main;
    const update = slot && slot.update;
    return [
      device.device, device.hardware_class, chip(device.revoked ? "revoked" : device.presence), version(slot && slot.current), version(device.desired),
      update ? make("span", { title: update.detail || update.reason || "" }, chip(update.state)) : "–",
      number(device.latency_p95_ms), device.health ? chip(device.health.state) : "–", clock(device.last_seen_at),
    ];
  });
  table(byId("devices"), columns, rows, "No device is enrolled yet. Make a claim in the studio, then run: eyelet-agent enroll TOKEN");
}

function drawPhases(rollout) {
  const bars = rollout.spec.phases ? rollout.spec.phases : [{ share_bp: 10000 }];
  return make("div", { class: "phases", role: "img", "aria-label": `phase ${rollout.phase + 1} of ${bars.length}` }, ...bars.map((phase, index) => {
    const members = rollout.assignments.filter((device) => device.phase === index);
    const settled = members.filter((device) => device.settled);
    const bar = make("i");
    bar.style.width = `${members.length ? (100 * settled.length) / members.length : 0}%`;
    const failed = settled.some((device) => device.failed);
    const title = `phase ${index + 1}, up to ${phase.share_bp / 100} % of the cohort: ${settled.length} of ${members.length} devices settled`;
    return make("div", { class: failed ? "phase failed" : "phase", title }, bar);
  }));
}

async function act(rollout, action) {
  if (CONSEQUENCE[action] && !confirm(`${action} ${rollout.rollout}? ${CONSEQUENCE[action]}`)) return;
  try {
    await ask(`/v1/rollouts/${rollout.rollout}/${action}`, { revision: rollout.revision, reason: "from the dashboard" });
  } catch (error) {
    byId("asked").textContent = error.message;
  }
  look();
}

function drawRollout(rollout) {
  const spec = rollout.spec;
  const versions = spec.control_version ? `${spec.version} against ${spec.control_version}` : `${spec.version}`;
  const buttons = (ACTIONS[rollout.state] || []).map((action) => make("button", { onclick: () => act(rollout, action) }, action));
  const gates = table(make("table"), [["gate", "line"], ["verdict"], ["reason"]], rollout.gates.map((gate) => [gate.gate.replaceAll("_", " "), chip(gate.verdict), gate.reason]), "No gate was looked at yet.");
  const arms = table(
    make("table"),
    [["arm"], ["version", "number"], ["devices", "number"], ["inferences", "number"], ["errors", "number"], ["p50, ms", "number"], ["p95, ms", "number"], ["confidence", "number"], ["classes"]],
    rollout.arms.map((arm) => [
      arm.arm, number(arm.version), number(arm.devices.length), number(arm.inferences), number(arm.errors), number(arm.latency_p50_ms), number(arm.latency_p95_ms), number(arm.mean_confidence),
      Object.entries(arm.class_counts).map(([name, count]) => `${name}: ${count}`).join("  "),
    ]),
    "",
  );
  const devices = table(
    make("table"),
    [["device", "line"], ["arm"], ["phase", "number"], ["update"], ["reason"]],
    rollout.assignments.map((device) => [
      device.device, device.arm, number(device.phase + 1), device.state ? chip(device.state) : "–",
      [device.reason, device.detail, device.rolled_back_by ? `rolled back by the ${device.rolled_back_by}` : ""].filter(Boolean).join("; "),
    ]),
    "",
  );
  const details = make("details", opened.has(rollout.rollout) ? { open: "" } : {}, make("summary", {}, `Gates and ${rollout.assignments.length} ${rollout.assignments.length === 1 ? "device" : "devices"}`), make("div", { class: "scroll" }, gates), make("div", { class: "scroll" }, devices));
  details.addEventListener("toggle", () => (details.open ? opened.add(rollout.rollout) : opened.delete(rollout.rollout)));
  return make(
    "article", { class: "card" },
    make("div", { class: "row" }, make("b", {}, `${rollout.rollout}  ${spec.name}`), make("span", {}, `${spec.model} version ${versions}`), chip(rollout.state), make("span", { class: "grow" }), ...buttons),
    make("div", { class: "muted" }, rollout.state_reason),
    drawPhases(rollout),
    make("div", { class: "scroll" }, arms),
    rollout.paired ? make("p", { class: "verdict" }, rollout.paired.text) : null,
    rollout.verdict ? make("p", { class: "verdict" }, rollout.verdict.text) : null,
    details,
  );
}

function drawEvents(page) {
  events = [...page.events.reverse(), ...events].slice(0, EVENTS_SHOWN);
  lastEvent = page.next_after;
  table(byId("events"), [["at", "line"], ["device", "line"], ["kind"], ["text"]], events.map((event) => [clock(event.at), event.device, event.kind, event.text]), "Nothing was reported yet.");
}

function drawCommands(commands) {
  const rows = commands.map((command) => [clock(command.created_at), command.device, command.kind.replaceAll("_", " "), chip(command.state), command.text]);
  table(byId("commands"), [["made", "line"], ["device", "line"], ["kind", "line"], ["state"], ["result"]], rows, "No command yet. Send one: eyelet-fleet command send DEVICE --kind report");
}

function drawFigures(devices, rollouts) {
  const online = devices.filter((device) => device.presence === "online" && !device.revoked).length;
  const lastFailed = devices.filter((device) => ["failed", "rolled_back"].includes(device.reported?.slots.main?.update?.state)).length;
  byId("online").textContent = `${online} of ${devices.length}`;
  byId("active").textContent = rollouts.filter((rollout) => ["running", "paused", "rolling_back"].includes(rollout.state)).length;
  byId("inferences").textContent = rollouts.length ? number(rollouts[0].arms.reduce((sum, arm) => sum + arm.inferences, 0)) : "–";
  byId("failed").textContent = lastFailed;
}

async function drawAll() {
  const [devices, rollouts, commands, page] = await Promise.all([ask("/v1/devices"), ask("/v1/rollouts"), ask(`/v1/commands?limit=${COMMANDS_SHOWN}`), ask(lastEvent === null ? `/v1/events?newest=true&limit=${EVENTS_SHOWN}` : `/v1/events?after=${lastEvent}&limit=1000`)]);
  drawFigures(devices, rollouts);
  drawDevices(devices);
  if (!byId("rollouts").contains(document.activeElement)) {
    byId("rollouts").replaceChildren(...(rollouts.length ? rollouts.map(drawRollout) : [make("div", { class: "card muted" }, "No rollout yet. Publish a version in the studio, then run: eyelet-fleet rollout create MODEL VERSION")]));
  }
  drawCommands(commands);
  drawEvents(page);
  byId("asked").textContent = `as of ${new Date().toLocaleTimeString()}`;
}

function showLogin(reason) {
  sessionStorage.removeItem("token");
  token = "";
  byId("refused").textContent = reason;
  byId("login").hidden = false;
  byId("content").hidden = true;
  byId("forget").hidden = true;
  byId("token").focus();
}

async function look() {
  if (!token) return;
  try {
    await drawAll();
    byId("login").hidden = true;
    byId("content").hidden = false;
    byId("forget").hidden = false;
  } catch (error) {
    if (error.code === 401) showLogin("The server does not know this token.");
    else byId("asked").textContent = `no answer: ${error.message}`;
  }
}

async function start() {
  const server = await (await fetch("/v1/server")).json();
  byId("fleet").textContent = `fleet ${server.fleet}`;
  byId("mqtt").textContent = server.mqtt_url;
  byId("login").addEventListener("submit", (event) => {
    event.preventDefault();
    token = byId("token").value.trim();
    sessionStorage.setItem("token", token);
    byId("token").value = "";
    look();
  });
  byId("forget").addEventListener("click", () => showLogin(""));
  if (token) await look();
  else showLogin("");
  setInterval(() => { if (!document.hidden) look(); }, PERIOD_MS);
}

start();
