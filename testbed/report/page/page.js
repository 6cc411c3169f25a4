// Steps through the packets of each story. Everything is in the page already; this shows one packet at a time, moves the
// dot on the map and marks the current step, whose address is always that of the page.
"use strict";

const DIRECTIONS = { ArrowLeft: -1, ArrowRight: 1 };

class Story {
  constructor(section) {
    this.section = section;
    this.packets = [...section.querySelectorAll(".packet")];
    this.stage = section.querySelector(".stage");
    this.range = section.querySelector("input");
    this.links = [...section.querySelectorAll(".packets a")];
    for (const button of section.querySelectorAll("button")) {
      button.onclick = () => this.go(Number(button.dataset.packets ?? 0), Number(button.dataset.steps ?? 0));
    }
    section.onclick = (event) => {
      const step = event.target.closest(".step");
      if (step && !event.target.closest("a") && getSelection().isCollapsed) this.show(step);
    };
    this.range.oninput = () => this.show(this.steps[this.range.value - 1]);
    this.packet = this.packets[0];
    this.mark(this.steps[0]);
  }

  get steps() {
    return [...this.packet.querySelectorAll(".step")];
  }

  // By so many packets, or by so many steps; the step behind a packet's last one is the first of the next packet.
  go(packets, steps) {
    const number = this.packets.indexOf(this.packet);
    const step = this.steps[this.steps.indexOf(this.step) + steps];
    const other = this.packets[number + (packets || (step ? 0 : steps))];
    if (!packets && step) this.show(step);
    else if (other) {
      const inOther = [...other.querySelectorAll(".step")];
      this.show(packets || steps > 0 ? inOther[0] : inOther.at(-1));
    }
  }

  show(step) {
    this.mark(step);
    history.replaceState(null, "", `#${step.id}`);
    this.follow(step);
  }

  // Scrolls as little as is needed; a packet's first step comes to the top, with what is to follow below it.
  follow(step) {
    const height = getComputedStyle(this.stage).position === "sticky" ? this.stage.offsetHeight : 0;
    this.section.style.setProperty("--stage", `${height}px`);
    const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
    step.scrollIntoView({ block: step === this.steps[0] ? "start" : "nearest", behavior: still ? "auto" : "smooth" });
  }

  mark(step) {
    this.step?.removeAttribute("aria-current");
    this.step = step;
    this.packet = step.closest(".packet");
    for (const packet of this.packets) packet.classList.toggle("current", packet === this.packet);
    for (const link of this.links) {
      if (link.hash === `#${this.packet.id}`) link.setAttribute("aria-current", "true");
      else link.removeAttribute("aria-current");
    }
    step.setAttribute("aria-current", "step");
    this.tell();
    this.draw();
  }

  // What is beside the map, and the scrubber.
  tell() {
    const { step, steps, packet } = this;
    const at = step.closest("[data-at]").dataset;
    const first = steps[0].closest("[data-at]").dataset;
    const number = steps.indexOf(step) + 1;
    const text = (selector, words) => (this.section.querySelector(selector).textContent = words);
    text(".now-kind b", packet.dataset.kind);
    text(".now-kind span", `${packet.dataset.bytes} bytes · packet ${this.packets.indexOf(packet) + 1} of ${this.packets.length}`);
    for (const chip of ["from", "to"]) this.chip(chip, first[chip], step.dataset[chip] ?? at[chip]);
    text("[data-chip=state]", this.tracked(step));
    const chain = step.closest(".chain")?.querySelector(".chain-name").textContent;
    text(".now-step b", [at.place, chain].filter(Boolean).join(" · "));
    text(".now-step span", step.textContent.replace(/\s+/g, " ").trim());
    this.range.max = steps.length;
    this.range.value = number;
    this.range.setAttribute("aria-valuetext", `step ${number} of ${steps.length}`);
    text("output", `${number}/${steps.length}`);
    this.section.querySelector(".here").href = `#${step.id}`;
    const last = this.packets.at(-1);
    const disable = (selector, off) => (this.section.querySelector(selector).disabled = off);
    disable("[data-packets='-1']", packet === this.packets[0]);
    disable("[data-packets='1']", packet === last);
    disable("[data-steps='-1']", packet === this.packets[0] && number === 1);
    disable("[data-steps='1']", packet === last && number === steps.length);
  }

  chip(name, was, now) {
    const place = this.section.querySelector(`[data-chip=${name}]`);
    place.replaceChildren(now);
    place.classList.toggle("rewritten", was !== now);
    if (was !== now) {
      const old = document.createElement("s");
      old.textContent = was;
      place.prepend(old, " → ");
    }
  }

  // The state that conntrack gave it last.
  tracked(step) {
    const before = this.stationsUpTo(step).map((at) => at.dataset).filter((at) => at.state);
    return before.at(-1)?.state ?? "not seen yet";
  }

  stationsUpTo(step) {
    const stations = [...this.packet.querySelectorAll("[data-at]")];
    return stations.slice(0, stations.indexOf(step.closest("[data-at]")) + 1);
  }

  // On each map (a wide one, a narrow one) the dot where the packet is, and the way that it has come.
  draw() {
    const failed = this.step === this.steps.at(-1) && /dropped|lost/.test(this.packet.dataset.end);
    const stations = this.stationsUpTo(this.step);
    this.stage.querySelectorAll(".map").forEach((map, number) => {
      const way = route(stations.flatMap((at) => at.dataset.at.split(" | ")[number].split("; ")));
      const { x, y } = way.at(-1);
      map.querySelector(".dot").style.transform = `translate(${x}px, ${y}px)`;
      map.querySelector(".trail").setAttribute("points", way.map((place) => `${place.x},${place.y}`).join(" "));
      map.classList.toggle("failed", failed);
    });
  }
}

// Places (`x y turns`) joined by lines that go along the axes; a line turns at the place with more turns.
function route(places) {
  const way = [];
  for (const place of places) {
    const [x, y, turns] = place.split(" ").map(Number);
    const before = way.at(-1);
    if (before) way.push(before.turns >= turns ? { x: before.x, y } : { x, y: before.y });
    way.push({ x, y, turns });
  }
  return way;
}

const stories = [...document.querySelectorAll(".story:has(.packet)")].map((section) => new Story(section));
document.documentElement.classList.add("stepping");
let current = stories[0];

const at = (element) => stories.find((story) => story.section.contains(element));

// The address of a step, or of a packet, shows it there.
function open() {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  const story = target && at(target);
  if (!story) return;
  current = story;
  if (target.matches(".packet")) story.show(target.querySelector(".step"));
  else if (target.matches(".step")) story.show(target);
}

// The story that keys are for: the last one used, until its step is out of sight and another is in the middle.
function looked() {
  const spans = (element, top, bottom) => {
    const box = element.getBoundingClientRect();
    return box.bottom > top && box.top < bottom;
  };
  const middle = innerHeight / 2;
  if (spans(current.step, 0, innerHeight)) return current;
  return stories.find((story) => spans(story.section, middle, middle)) ?? current;
}

addEventListener("hashchange", open);
addEventListener("pointerdown", (event) => (current = at(event.target) ?? current));
addEventListener("focusin", (event) => (current = at(event.target) ?? current));
addEventListener("keydown", (event) => {
  const direction = DIRECTIONS[event.key];
  if (!direction || !current || event.altKey || event.ctrlKey || event.metaKey) return;
  if (event.target.matches("input") && !event.shiftKey) return;
  event.preventDefault();
  current = looked();
  if (event.shiftKey) current.go(direction, 0);
  else current.go(0, direction);
});
open();
