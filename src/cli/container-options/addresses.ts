/** An IPv4 or IPv6 address. Without node:net, whose loading costs a command 5 ms. */
export const isAddress = (text: string): boolean =>
  text.includes(":")
    ? URL.canParse(`http://[${text}]/`)
    : /^\d+(\.\d+){3}$/.test(text) && text.split(".").every((part) => Number(part) <= 255);
