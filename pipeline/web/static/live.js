// @ts-check
/** One socket: what changes, as it changes. Lost, it comes back by itself and is told everything anew. */

const PAUSES = [250, 500, 1000, 2000, 4000];
/** The server says every two seconds that it lives. Where nothing is heard for so long there is none, or no way to it: a network that is gone tells nobody. */
const SILENCE = 7_000;
/** Of these the server is not asked: the first it tells everybody, the second is told here, when the socket is back. */
const NOT_ASKED = ["database", "again"];

/** @typedef {"connecting"|"live"|"lost"} State */

export class Live {
  /** @param {(state: State) => void} told */
  constructor(told) {
    this.told = told;
    /** @type {Map<string, Set<(data: any) => void>>} */
    this.listeners = new Map();
    /** @type {WebSocket|null} */
    this.socket = null;
    this.failures = 0;
    this.heard = 0;
    this.begun = 0;
    setInterval(() => {
      if (this.socket && Date.now() - Math.max(this.heard, this.begun) > SILENCE) this.#lose(this.socket);
    }, 1000);
    document.addEventListener("visibilitychange", () => {
      if (document.visibilityState === "visible" && this.socket && Date.now() - this.heard > SILENCE) this.#lose(this.socket);
    });
    addEventListener("online", () => this.socket && this.#lose(this.socket));
  }

  /** Listen to a topic; what is returned ends it. @param {string} topic @param {(data: any) => void} told @returns {() => void} */
  on(topic, told) {
    const known = this.listeners.get(topic) ?? new Set();
    known.add(told);
    this.listeners.set(topic, known);
    this.#subscribe();
    return () => {
      known.delete(told);
      if (!known.size && this.listeners.get(topic) === known) this.listeners.delete(topic);
      this.#subscribe();
    };
  }

  /** Connect, and stay so. */
  open() {
    this.told(this.failures ? "lost" : "connecting");
    const socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/api/live`);
    this.socket = socket;
    this.begun = Date.now();
    socket.onopen = () => {
      const again = this.heard > 0;
      this.failures = 0;
      this.heard = Date.now();
      this.told("live");
      this.#subscribe();
      if (again) this.#tell("again", null);
    };
    socket.onmessage = (event) => {
      this.heard = Date.now();
      const { topic, data } = JSON.parse(event.data);
      this.#tell(topic, data);
    };
    socket.onclose = () => this.#lose(socket);
  }

  /** Nothing more is expected of that one: another is tried. @param {WebSocket} socket */
  #lose(socket) {
    if (this.socket !== socket) return;
    this.socket = null;
    socket.onopen = socket.onmessage = null;
    socket.close();
    this.told("lost");
    setTimeout(() => this.open(), PAUSES[Math.min(this.failures++, PAUSES.length - 1)]);
  }

  /** @param {string} topic @param {any} data */
  #tell(topic, data) {
    for (const told of this.listeners.get(topic) ?? []) told(data);
  }

  #subscribe() {
    if (this.socket?.readyState !== WebSocket.OPEN) return;
    this.socket.send(JSON.stringify({ subscribe: [...this.listeners.keys()].filter((topic) => !NOT_ASKED.includes(topic)) }));
  }
}
