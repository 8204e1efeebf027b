exports.pad = (text, width) => text.padStart(width, "-");
