// guacamole-lite as its README shows it, without logs. argv: port of guacd, key, port to listen on.
// A line on stdin is answered by the event loop's lag since the last one: its 99th percentile [ms].
const { monitorEventLoopDelay } = require("node:perf_hooks");
const readline = require("node:readline");
const GuacamoleLite = require("guacamole-lite");

const [guacdPort, key, port] = process.argv.slice(2);
const lag = monitorEventLoopDelay({ resolution: 10 });
lag.enable();

// It logs each connection on stdout by itself, too, which is our own here.
const say = console.log;
console.log = () => {};
const log = { level: 0, stdLog: () => {}, errorLog: () => {} };
const server = new GuacamoleLite(
  { host: "127.0.0.1", port: Number(port) },
  { host: "127.0.0.1", port: Number(guacdPort) },
  { crypt: { cypher: "AES-256-CBC", key: Buffer.from(key, "hex") }, log, maxInactivityTime: 0 },
);
server.webSocketServer.on("listening", () => say("ready"));

readline.createInterface({ input: process.stdin }).on("line", () => {
  // The histogram counts the resolution itself.
  say(Math.max(0, lag.percentile(99) / 1e6 - 10));
  lag.reset();
}).on("close", () => process.exit(0));
