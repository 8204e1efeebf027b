const { createServer } = require("http");
const { greet } = require("./src/greet.js");
createServer((_, answer) => answer.end(greet("world"))).listen(process.env.PORT);
