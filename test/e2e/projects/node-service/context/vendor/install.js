const fs = require("fs");
fs.mkdirSync("node_modules/left", { recursive: true });
fs.copyFileSync("vendor/left.js", "node_modules/left/index.js");
fs.mkdirSync("node_modules/.bin");
fs.symlinkSync("../left/index.js", "node_modules/.bin/left");
fs.chmodSync("node_modules/left/index.js", 0o755);
